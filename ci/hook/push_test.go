package hook_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/hook"
)

var none = strings.Repeat("0", 40)

func (r repository) pushes(remote string, updates ...hook.Update) ([]hook.Push, []string) {
	r.t.Helper()
	pushes, nothing, err := hook.Pushes(r.t.Context(), r.git(), remote, updates)
	require.NoError(r.t, err)
	return pushes, nothing
}

// withRemote gives the repository a remote that has main.
func withRemote(t *testing.T) (r repository, first string) {
	r = newRepository(t)
	remote := filepath.Join(t.TempDir(), "remote.git")
	r.must("init", "-q", "--bare", remote)
	r.must("remote", "add", "origin", remote)
	r.must("push", "-q", "origin", "main")
	return r, r.must("rev-parse", "HEAD")
}

func branch(name, commit, was string) hook.Update {
	return hook.Update{Local: "refs/heads/" + name, Commit: commit, Remote: "refs/heads/" + name, Was: was}
}

func TestPushes(t *testing.T) {
	r, first := withRemote(t)
	second := r.commit("a/a.go", "b/ü\n.go")
	r.must("checkout", "-q", "-b", "topic", first)
	topic := r.commit("c/c.go")

	pushes, nothing := r.pushes("origin", branch("main", second, first))
	assert.Equal(t, []hook.Push{{Refs: []string{"main"}, Commit: second, Base: first, Changed: []string{"a/a.go", "b/ü\n.go"}}}, pushes)
	assert.Empty(t, nothing)

	pushes, _ = r.pushes("origin", branch("topic", topic, none))
	assert.Equal(t, []hook.Push{{Refs: []string{"topic"}, Commit: topic, Base: first, Changed: []string{"c/c.go"}}}, pushes, "a new branch is compared with where it left the remote")

	pushes, _ = r.pushes("origin", branch("main", second, none), branch("copy", second, none), branch("topic", topic, none))
	require.Len(t, pushes, 2, "a commit is looked at once")
	assert.Equal(t, []string{"main", "copy"}, pushes[0].Refs)

	pushes, _ = r.pushes("elsewhere", branch("main", second, none))
	assert.Equal(t, []hook.Push{{Refs: []string{"main"}, Commit: second}}, pushes, "nothing is known of that remote")
	pushes, _ = r.pushes("elsewhere", branch("main", second, first))
	assert.Equal(t, first, pushes[0].Base, "it has said what it has")
}

func TestNothingIsPushed(t *testing.T) {
	r, first := withRemote(t)
	r.must("tag", "-a", "v1.0.0", "-m", "one")
	tag := hook.Update{Local: "refs/tags/v1.0.0", Commit: r.must("rev-parse", "v1.0.0"), Remote: "refs/tags/v1.0.0", Was: none}
	blob := hook.Update{Local: "refs/tags/blob", Commit: r.must("rev-parse", "HEAD:README.md"), Remote: "refs/tags/blob", Was: none}
	pushes, nothing := r.pushes("origin", tag, blob,
		hook.Update{Local: "(delete)", Commit: none, Remote: "refs/heads/old", Was: first}, branch("again", first, none))
	assert.Empty(t, pushes)
	assert.Equal(t, []string{
		"v1.0.0 brings no commit that origin does not have", "blob is no commit", "old is removed", "again brings no commit that origin does not have",
	}, nothing)

	r.commit("a/a.go")
	r.must("tag", "v1.1.0")
	pushes, _ = r.pushes("origin", hook.Update{Local: "refs/tags/v1.1.0", Commit: r.must("rev-parse", "v1.1.0"), Remote: "refs/tags/v1.1.0", Was: none})
	require.Len(t, pushes, 1, "a tag can bring commits too")
	assert.Equal(t, []string{"a/a.go"}, pushes[0].Changed)
}

// A branch that was rebased differs from what the remote has of it by all that came in between; the nearest commit does not.
func TestTheNearestCommitIsComparedWith(t *testing.T) {
	r, first := withRemote(t)
	r.must("checkout", "-q", "-b", "topic")
	old := r.commit("topic.go")
	r.must("push", "-q", "origin", "topic")
	r.must("checkout", "-q", "main")
	main := r.commit("one.go", "two.go", "three.go")
	r.must("push", "-q", "origin", "main")
	r.must("checkout", "-q", "topic")
	r.must("rebase", "-q", "main")
	rebased := r.commit("topic.go")

	pushes, _ := r.pushes("origin", branch("topic", rebased, old))
	assert.Equal(t, []hook.Push{{Refs: []string{"topic"}, Commit: rebased, Base: main, Changed: []string{"topic.go"}}}, pushes)
	assert.NotEqual(t, first, main)

	unknown := strings.Repeat("a", 40)
	pushes, _ = r.pushes("origin", branch("topic", rebased, unknown))
	assert.Equal(t, main, pushes[0].Base, "what somebody else has pushed is not here")
}

func TestReadUpdates(t *testing.T) {
	a := strings.Repeat("a", 40)
	got, err := hook.ReadUpdates(strings.NewReader("refs/heads/main " + a + " refs/heads/main " + none + "\n\n(delete) " + none + " refs/heads/x " + a + "\n"))
	require.NoError(t, err)
	assert.Equal(t, []hook.Update{branch("main", a, none), {Local: "(delete)", Commit: none, Remote: "refs/heads/x", Was: a}}, got)
	for _, bad := range []string{"refs/heads/main", "a b c d", "r --output=x r " + a, "r " + a + " r " + a + " r"} {
		_, err := hook.ReadUpdates(strings.NewReader(bad))
		assert.Error(t, err, bad)
	}
}

// Whatever comes in: what is taken for an object's name is one, and no option of git's.
func FuzzReadUpdates(f *testing.F) {
	f.Add("refs/heads/main " + strings.Repeat("a", 40) + " refs/heads/main " + none)
	f.Add("x y z")
	f.Fuzz(func(t *testing.T, text string) {
		updates, err := hook.ReadUpdates(strings.NewReader(text))
		for _, u := range updates {
			assert.NoError(t, err)
			for _, object := range []string{u.Commit, u.Was} {
				assert.Contains(t, []int{40, 64}, len(object))
				assert.Empty(t, strings.Trim(object, "0123456789abcdef"))
			}
		}
	})
}
