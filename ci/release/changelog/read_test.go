package changelog

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/git"
)

// repository is a git repository of the test's own.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	r := repository{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_AUTHOR_DATE=2026-02-03T04:05:06Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_COMMITTER_DATE=2026-02-03T04:05:06Z")
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// commit commits a change of a file, and tags it.
func (r repository) commit(message string, tags ...string) {
	r.t.Helper()
	r.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message)
	for _, tag := range tags {
		r.git("tag", tag)
	}
}

func (r repository) options(version string) Options {
	return Options{Dir: r.dir, Version: version, Getenv: os.Getenv}
}

func (r repository) read(o Options) Changelog {
	r.t.Helper()
	log, err := Read(r.t.Context(), o)
	require.NoError(r.t, err)
	return log
}

func summaries(log Changelog) string {
	var all []string
	for _, e := range log.Entries {
		all = append(all, e.Summary)
	}
	return strings.Join(all, ", ")
}

func TestRead(t *testing.T) {
	r := newRepository(t)
	r.commit("one", "other-tag", "v1.0.0")
	r.commit("two")
	r.commit("three", "v1.1.0-rc.1")
	r.commit("feat(x): four\n\nbody\x1fwith\x1esigns", "v1.1.0-rc.2", "v1.1.0")
	r.git("tag", "-a", "-m", "annotated", "sub/v9.0.0", "v1.0.0")

	log := r.read(r.options("1.1.0"))
	assert.Equal(t, "v1.0.0", log.Since, "prereleases do not count for a release")
	assert.Equal(t, "four, three, two", summaries(log))
	assert.Equal(t, "2026-02-03", log.Date.Format("2006-01-02"))
	assert.Empty(t, log.Notes)

	log = r.read(r.options("1.1.0-rc.2"))
	assert.Equal(t, "v1.1.0-rc.1", log.Since)
	assert.Equal(t, "four", summaries(log))

	r.commit("five")
	log = r.read(r.options("1.1.0-1-gabc1234"))
	assert.Equal(t, "v1.1.0", log.Since, "commits after a tag come after it")
	assert.Equal(t, "five", summaries(log))
	log = r.read(r.options("1.2.0"))
	assert.Equal(t, "v1.1.0", log.Since, "a tag that is still to be made")

	older := r.options("1.1.0")
	older.Commit = "v1.1.0"
	assert.Equal(t, "four, three, two", summaries(r.read(older)), "of a commit that is not checked out")

	sub := r.options("9.1.0")
	sub.Prefix = "sub/"
	log = r.read(sub)
	assert.Equal(t, "sub/v9.0.0", log.Since, "an annotated tag of another line of versions")
	assert.Equal(t, "five, four, three, two", summaries(log))
}

func TestReadFirstVersion(t *testing.T) {
	r := newRepository(t)
	r.commit("one")
	r.commit("two", "v0.1.0-rc.1")
	r.commit("three", "v0.1.0")
	log := r.read(r.options("0.1.0"))
	assert.Empty(t, log.Since)
	assert.Equal(t, "three, two, one", summaries(log))
	assert.Equal(t, []string{"This is the first version."}, log.Notes)

	most := r.options("0.1.0")
	most.Max = 2
	log = r.read(most)
	assert.Equal(t, "three, two", summaries(log))
	assert.Contains(t, log.Notes[0], "the last 2 commits")
}

func TestReadLeavesOutMergesAndOtherPaths(t *testing.T) {
	r := newRepository(t)
	r.commit("one", "v1.0.0")
	r.git("checkout", "-q", "-b", "side")
	require.NoError(t, os.MkdirAll(filepath.Join(r.dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "sub", "file"), []byte("x"), 0o644))
	r.git("add", ".")
	r.commit("fix: on the side")
	r.git("checkout", "-q", "main")
	r.commit("feat: on main")
	r.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side")
	assert.ElementsMatch(t, []string{"on main", "on the side"}, strings.Split(summaries(r.read(r.options("1.1.0"))), ", "))

	sub := r.options("1.1.0")
	sub.Paths = []string{"sub"}
	assert.Equal(t, "on the side", summaries(r.read(sub)))

	main := r.git("rev-parse", "HEAD^1")
	r.git("tag", "v2.0.0", main)
	assert.Equal(t, "v1.0.0", r.read(r.options("1.0.1")).Since, "a higher version is not where this one comes from")
}

func TestReadShallow(t *testing.T) {
	r := newRepository(t)
	for _, message := range []string{"one", "two", "three"} {
		r.commit(message)
	}
	shallow := repository{t, t.TempDir()}
	shallow.git("clone", "-q", "--depth=2", "file://"+r.dir, ".")
	log := shallow.read(shallow.options("1.0.0"))
	assert.Equal(t, "three, two", summaries(log))
	require.Len(t, log.Notes, 1)
	assert.Contains(t, log.Notes[0], "git fetch --unshallow --tags")
}

func TestReadFails(t *testing.T) {
	r := newRepository(t)
	_, err := Read(t.Context(), r.options("1.0.0"))
	require.ErrorContains(t, err, "read changes of 1.0.0: git rev-parse")
	r.commit("one")
	odd := r.options("1.0.0")
	odd.Commit = "--output=/tmp/x"
	_, err = Read(t.Context(), odd)
	require.Error(t, err, "a name is never an option")

	nowhere := r.options("1.0.0")
	nowhere.Getenv = func(string) string { return "" }
	_, err = Read(t.Context(), nowhere)
	require.ErrorIs(t, err, git.ErrNone)

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrDeadlineExceeded)
	_, err = Read(ctx, r.options("1.0.0"))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func FuzzSplit(f *testing.F) {
	f.Add(hash(1) + "\nfeat: x\x00" + hash(2) + "\n\x00")
	f.Add("")
	f.Add("\x00")
	f.Add("fatal: x")
	f.Fuzz(func(t *testing.T, out string) {
		list, err := split(out)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, c := range list {
			assert.GreaterOrEqual(t, len(c.Hash), 40)
			again.WriteString(c.Hash + c.Message)
		}
		assert.Equal(t, strings.NewReplacer("\x00", "", "\n", "").Replace(out), strings.ReplaceAll(again.String(), "\n", ""))
	})
}
