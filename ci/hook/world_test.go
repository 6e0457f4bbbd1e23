package hook_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/git"
)

// repository is a git repository of the test's own, with a git that knows nothing of this machine's user.
type repository struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	r := repository{t, filepath.Join(dir, "a b"), map[string]string{"PATH": os.Getenv("PATH"), "HOME": filepath.Join(dir, "home"), "GIT_CONFIG_NOSYSTEM": "1"}}
	r.write("../home/.gitconfig", "[user]\n\tname = a\n\temail = a@example.com\n")
	require.NoError(t, os.MkdirAll(r.dir, 0o755))
	r.must("init", "-q", "-b", "main")
	r.commit("README.md")
	return r
}

func (r repository) git() git.Git {
	r.t.Helper()
	g, err := git.New(r.dir, func(name string) string { return r.env[name] })
	require.NoError(r.t, err)
	return g
}

func (r repository) must(args ...string) string {
	r.t.Helper()
	out, err := r.git().Run(r.t.Context(), args...)
	require.NoError(r.t, err, args)
	return strings.TrimSpace(out)
}

func (r repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, []byte(text), 0o644))
}

// commit changes files and commits them.
func (r repository) commit(names ...string) string {
	r.t.Helper()
	for _, name := range names {
		old, _ := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name))) // it may be new
		r.write(name, string(old)+"x\n")
	}
	r.must("add", "-A")
	r.must("commit", "-q", "--allow-empty", "-m", strings.Join(names, " "))
	return r.must("rev-parse", "HEAD")
}
