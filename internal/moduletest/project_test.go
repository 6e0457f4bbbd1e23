package moduletest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
)

// project is another repository, with a service to ship.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T) project {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "service.txtar"))
	require.NoError(t, err)
	p := project{t, filepath.Join(t.TempDir(), "hello")}
	for _, f := range archive.Files {
		p.write(f.Name, string(f.Data))
	}
	p.git("init", "-q", "-b", "main")
	p.commit()
	return p
}

// copied is the same repository in another place, so that tests do not see what others write.
func (p project) copied(t *testing.T) project {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hello")
	require.NoError(t, os.CopyFS(dir, os.DirFS(p.dir)))
	return project{t, dir}
}

func (p project) path(name string) string { return filepath.Join(p.dir, filepath.FromSlash(name)) }

func (p project) write(name, text string) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	require.NoError(p.t, os.WriteFile(p.path(name), []byte(text), 0o644))
}

func (p project) read(name string) string {
	p.t.Helper()
	data, err := os.ReadFile(p.path(name))
	require.NoError(p.t, err)
	return string(data)
}

func (p project) replace(name, old, with string) {
	p.t.Helper()
	text := p.read(name)
	require.Contains(p.t, text, old)
	p.write(name, strings.Replace(text, old, with, 1))
}

// commit takes in everything, as version 1.2.3.
func (p project) commit() {
	p.t.Helper()
	p.git("add", ".")
	p.git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "all of it")
	p.git("tag", "-f", "v1.2.3")
}

func (p project) git(args ...string) {
	p.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_DATE=2026-02-03T04:05:06Z", "GIT_COMMITTER_DATE=2026-02-03T04:05:06Z")
	out, err := cmd.CombinedOutput()
	require.NoError(p.t, err, "git %v: %s", args, out)
}
