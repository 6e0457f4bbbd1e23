package git_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/git"
)

// world is an environment with a git repository of the test's own in it.
type world struct {
	t   *testing.T
	env map[string]string
	dir string
}

func newWorld(t *testing.T) world {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	w := world{t, map[string]string{"PATH": os.Getenv("PATH"), "HOME": t.TempDir()}, t.TempDir()}
	w.write(filepath.Join(w.env["HOME"], ".gitconfig"), "[user]\n\tname = a\n\temail = a@example.com\n")
	w.must("init", "-q", "-b", "main")
	w.write(filepath.Join(w.dir, "file"), "one\n")
	w.must("add", ".")
	w.must("commit", "-q", "-m", "one")
	return w
}

func (w world) getenv(name string) string { return w.env[name] }

func (w world) git() git.Git {
	w.t.Helper()
	g, err := git.New(w.dir, w.getenv)
	require.NoError(w.t, err)
	return g
}

func (w world) must(args ...string) string {
	w.t.Helper()
	out, err := w.git().Run(w.t.Context(), args...)
	require.NoError(w.t, err, args)
	return strings.TrimSpace(out)
}

func (w world) write(path, text string) {
	w.t.Helper()
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o755))
}

// A hook is started with GIT_DIR and the like: what it asks about another directory must not be answered for its own.
func TestAHookIsNotHandedDown(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	for name, value := range map[string]string{"GIT_DIR": other.dir + "/.git", "GIT_WORK_TREE": other.dir, "GIT_INDEX_FILE": "/nowhere"} {
		w.env[name] = value
	}
	assert.Equal(t, w.dir, w.must("rev-parse", "--show-toplevel"))

	environ := []string{"PATH=" + os.Getenv("PATH"), "GIT_DIR=" + other.dir + "/.git", "GIT_WORK_TREE=" + other.dir, "GIT_TERMINAL_PROMPT=1"}
	top, err := w.git().Reaching(environ).Line(t.Context(), "rev-parse", "--show-toplevel")
	require.NoError(t, err)
	assert.Equal(t, w.dir, top)
}

func TestReachingKeepsTheEnvironment(t *testing.T) {
	w := newWorld(t)
	out, err := w.git().Reaching([]string{"PATH=" + os.Getenv("PATH"), "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org"}).Line(t.Context(), "var", "GIT_AUTHOR_IDENT")
	require.NoError(t, err)
	assert.Contains(t, out, "Ada <ada@example.org>")
}

func TestGitOfTheRepositoryIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.write(filepath.Join(w.dir, "bin", "git"), "#!/bin/sh\ntouch ran\n")
	_, err := git.New(w.dir, func(string) string { return "bin:." })
	assert.ErrorIs(t, err, git.ErrNone)
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	_, err := w.git().Run(t.Context(), "rev-parse", "--verify", "nonsense")
	var refused *git.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.EqualError(t, err, "git rev-parse: Needed a single revision")
	line, err := w.git().Line(t.Context(), "rev-parse", "--verify", "nonsense")
	assert.NoError(t, err)
	assert.Empty(t, line)
}

// A clone has the commit's files, whatever lies in the work tree, and runs nobody's hooks.
func TestClone(t *testing.T) {
	w := newWorld(t)
	first := w.must("rev-parse", "HEAD")
	w.write(filepath.Join(w.dir, "file"), "two\n")
	w.must("commit", "-q", "-a", "-m", "two")
	w.write(filepath.Join(w.dir, "file"), "not committed\n")
	hooks := t.TempDir()
	w.write(filepath.Join(hooks, "post-checkout"), "#!/bin/sh\ntouch "+hooks+"/ran\n")
	w.write(filepath.Join(w.env["HOME"], ".gitconfig"), "[core]\n\thooksPath = "+hooks+"\n")

	to := filepath.Join(t.TempDir(), "clone")
	require.NoError(t, w.git().Clone(t.Context(), w.dir, first, to))
	data, err := os.ReadFile(filepath.Join(to, "file"))
	require.NoError(t, err)
	assert.Equal(t, "one\n", string(data))
	assert.NoFileExists(t, filepath.Join(hooks, "ran"))
}

// A mirror follows from commit to commit and has nothing but the commit's files, whatever has become of it in between.
func TestMirror(t *testing.T) {
	w := newWorld(t)
	commits := []string{w.must("rev-parse", "HEAD")}
	w.write(filepath.Join(w.dir, "other"), "two\n")
	require.NoError(t, os.Remove(filepath.Join(w.dir, "file")))
	w.must("add", "-A")
	w.must("commit", "-q", "-m", "two")
	commits = append(commits, w.must("rev-parse", "HEAD"))

	to := filepath.Join(t.TempDir(), "deep", "mirror")
	names := func() (found []string) {
		entries, err := os.ReadDir(to)
		require.NoError(t, err)
		for _, e := range entries {
			found = append(found, e.Name())
		}
		return found
	}
	mirror := func(commit string) {
		t.Helper()
		require.NoError(t, w.git().Mirror(t.Context(), w.dir, commit, to))
	}
	mirror(commits[0])
	assert.Equal(t, []string{".git", "file"}, names())
	unchanged, err := os.Stat(filepath.Join(to, "file"))
	require.NoError(t, err)
	mirror(commits[0])
	again, err := os.Stat(filepath.Join(to, "file"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(unchanged, again), "what is as it was is not written again")

	w.write(filepath.Join(to, "left", "behind"), "x")
	w.write(filepath.Join(to, "file"), "changed")
	mirror(commits[1])
	assert.Equal(t, []string{".git", "other"}, names())

	w.write(filepath.Join(to, ".git", "index.lock"), "")
	mirror(commits[0])
	assert.Equal(t, []string{".git", "file"}, names())
}

// Where the mirror's own repository is gone, one further up is not touched.
func TestMirrorStaysInItsPlace(t *testing.T) {
	w := newWorld(t)
	to := filepath.Join(w.dir, "inside")
	w.write(filepath.Join(to, "x"), "x")
	w.write(filepath.Join(w.dir, "file"), "not committed\n")
	commit := w.must("rev-parse", "HEAD")
	require.NoError(t, w.git().Mirror(t.Context(), w.dir, commit, to))
	data, err := os.ReadFile(filepath.Join(w.dir, "file"))
	require.NoError(t, err)
	assert.Equal(t, "not committed\n", string(data))
	assert.NoFileExists(t, filepath.Join(to, "x"))
}
