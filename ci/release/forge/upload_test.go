package forge_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/release/forge"
	"github.com/slipway-ci/slipway/ci/release/forge/forgetest"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// world is a fake GitHub and a release for it.
type world struct {
	t       *testing.T
	hub     *forgetest.GitHub
	release forge.Release
	events  []forge.Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	hub, stop := forgetest.New()
	t.Cleanup(stop)
	hub.Commits = []string{commit}
	w := &world{t: t, hub: hub, release: forge.Release{Tag: "v1.2.3", Commit: commit, Name: "1.2.3", Notes: "## What's new", Latest: true}}
	dir := t.TempDir()
	for _, name := range []string{"checksums.txt", "greeter_1.2.3_linux_amd64.deb", "greeter_1.2.3_linux_amd64.tar.gz"} {
		content := []byte(strings.Repeat(name+"\n", 5_000))
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o644))
		file, err := forge.FileAt(path)
		require.NoError(t, err)
		require.Equal(t, forge.File{Name: name, Path: path, Size: int64(len(content)), Digest: forgetest.Digest(content)}, file)
		w.release.Files = append(w.release.Files, file)
	}
	return w
}

func (w *world) content(i int) []byte {
	w.t.Helper()
	data, err := os.ReadFile(w.release.Files[i].Path)
	require.NoError(w.t, err)
	return data
}

func (w *world) names() []string {
	var names []string
	for _, f := range w.release.Files {
		names = append(names, f.Name)
	}
	return names
}

func (w *world) github() *forge.GitHub {
	w.t.Helper()
	hub, err := forge.NewGitHub(forge.GitHubOptions{Repository: "example/greeter", Token: forgetest.Token, API: w.hub.API, Idle: 5 * time.Second})
	require.NoError(w.t, err)
	return hub
}

func (w *world) upload(ctx context.Context) (forge.Result, error) {
	w.t.Helper()
	return forge.Upload(ctx, w.github(), w.release, forge.Options{Backoff: time.Millisecond, MaxBackoff: time.Millisecond, MaxRetryAfter: 20 * time.Millisecond, Deadline: 20 * time.Second,
		Observe: func(e forge.Event) { w.events = append(w.events, e) }})
}

func (w *world) uploads() forge.Result {
	w.t.Helper()
	result, err := w.upload(w.t.Context())
	require.NoError(w.t, err)
	w.complete()
	return result
}

// complete says that people see the release, with all of its files and nothing else.
func (w *world) complete() {
	w.t.Helper()
	r := w.hub.Release("v1.2.3")
	require.NotNil(w.t, r, "it is published")
	assert.Equal(w.t, commit, w.hub.Tags["v1.2.3"])
	assert.Equal(w.t, []string{"1.2.3", "## What's new", "true"}, []string{r.Name, r.Body, r.Latest})
	var names []string
	for _, a := range r.Assets {
		names = append(names, a.Name)
		assert.Equal(w.t, "uploaded", a.State)
	}
	require.ElementsMatch(w.t, w.names(), names)
	for i, f := range w.release.Files {
		for _, a := range r.Assets {
			if a.Name == f.Name {
				assert.Equal(w.t, w.content(i), a.Content)
			}
		}
	}
	assert.Len(w.t, w.hub.Releases, 1, "no second draft")
}

func TestUpload(t *testing.T) {
	w := newWorld(t)
	result := w.uploads()
	assert.Equal(t, forge.Result{URL: "https://github.example.org/example/greeter/releases/tag/v1.2.3", Created: true, Sent: w.names(), Published: true}, result)

	before := w.hub.Requests()
	result = w.uploads()
	assert.Equal(t, forge.Result{URL: "https://github.example.org/example/greeter/releases/tag/v1.2.3", There: w.names()}, result, "nothing is done twice")
	assert.Equal(t, 3, w.hub.Requests()-before, "tag, release, files")
}

// A forge that fails half-way through the upload: the second run completes it and sends only what is missing.
func TestSecondRunCompletes(t *testing.T) {
	w := newWorld(t)
	dead := false
	w.hub.Fault = func(_ int, r *http.Request) *forgetest.Fault {
		switch {
		case dead:
			return &forgetest.Fault{Status: http.StatusForbidden, Body: `{"message":"the account is suspended"}`}
		case strings.HasSuffix(r.URL.Query().Get("name"), ".deb"):
			dead = true
			return &forgetest.Fault{Cut: true}
		}
		return nil
	}
	_, err := w.upload(t.Context())
	require.ErrorContains(t, err, "the account is suspended")
	assert.Nil(t, w.hub.Release("v1.2.3"), "nobody sees a half release")
	require.Len(t, w.hub.Releases, 1)
	assert.Equal(t, "starter", w.hub.Releases[0].Assets[1].State)

	w.hub.Fault = nil
	result := w.uploads()
	assert.Equal(t, w.names()[:1], result.There)
	assert.Equal(t, w.names()[1:], result.Sent)
	assert.Equal(t, w.names()[1:2], result.Replaced)
	for _, name := range w.names() {
		assert.Equal(t, 1, w.hub.Received(name), name)
	}
}

// Whichever request is the last one, before or after it is carried out: the next run completes the release, and sends no file
// again that is there.
func TestKilledAnywhere(t *testing.T) {
	plain := newWorld(t)
	plain.uploads()
	all := plain.hub.Requests()
	for _, fault := range []forgetest.Fault{{}, {Lost: true}, {Cut: true}} {
		for at := 1; at <= all; at++ {
			t.Run(fmt.Sprintf("request %d lost=%t cut=%t", at, fault.Lost, fault.Cut), func(t *testing.T) {
				w := newWorld(t)
				ctx, kill := context.WithCancelCause(t.Context())
				fault.Then = func() { kill(errors.New("killed")) }
				w.hub.Fault = func(n int, _ *http.Request) *forgetest.Fault {
					if n < at {
						return nil
					}
					return &fault
				}
				_, err := w.upload(ctx)
				require.ErrorContains(t, err, "killed")
				w.hub.Fault = nil
				w.uploads()
				for _, name := range w.names() {
					assert.Equal(t, 1, w.hub.Received(name), name)
				}
			})
		}
	}
}

// Every request fails once. It is tried again, and the answer that was lost is looked up and not repeated.
func TestFaultsAreTriedAgain(t *testing.T) {
	faults := map[string]forgetest.Fault{
		"500": {Status: 500}, "502": {Status: 502}, "503": {Status: 503, Header: http.Header{"Retry-After": {"0"}}}, "429": {Status: 429, Header: http.Header{"Retry-After": {"1000000"}}},
		"rate": {Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1"}}}, "abuse": {Status: 403, Header: http.Header{"Retry-After": {"1"}}},
		"abuse, by its page": {Status: 403, Body: `{"message":"You have exceeded a secondary rate limit","documentation_url":"https://docs.github.com/rest/overview/rate-limits#secondary-rate-limits"}`},
		"reset":              {}, "lost answer": {Lost: true}, "cut": {Cut: true}, "nonsense": {Status: 500, Body: "<html>"},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			seen := map[string]bool{}
			w.hub.Fault = func(_ int, r *http.Request) *forgetest.Fault {
				request := r.Method + " " + r.URL.String()
				if seen[request] {
					return nil
				}
				seen[request] = true
				return &fault
			}
			w.uploads()
			for _, name := range w.names() {
				assert.Equal(t, 1, w.hub.Received(name), name)
			}
			assert.Greater(t, len(w.events), len(w.names()))
		})
	}
}

// Three in ten requests fail, in any way: each upload succeeds, and every file is received once.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("it uploads many times: run without -short")
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t)
		w.hub.Fault = func(int, *http.Request) *forgetest.Fault {
			faults := []forgetest.Fault{{}, {Lost: true}, {Cut: true}, {Status: 429}, {Status: 500}, {Status: 502}}
			if random.IntN(10) >= 3 {
				return nil
			}
			return &faults[random.IntN(len(faults))]
		}
		w.uploads()
		for _, name := range w.names() {
			assert.Equal(t, 1, w.hub.Received(name), "seed %d, %s", seed, name)
		}
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	w.hub.Fault = func(int, *http.Request) *forgetest.Fault { return &forgetest.Fault{Status: 503, Body: "busy"} }
	_, err := forge.Upload(t.Context(), w.github(), w.release, forge.Options{Backoff: time.Millisecond, Deadline: 50 * time.Millisecond})
	var deadline *forge.DeadlineError
	require.ErrorAs(t, err, &deadline)
	assert.Greater(t, deadline.Tries, 1)
	assert.ErrorContains(t, err, "check tag v1.2.3")
	assert.ErrorContains(t, err, "503")
}

// A request that stands still is given up, and tried again.
func TestStalledUpload(t *testing.T) {
	w := newWorld(t)
	stalled := false
	w.hub.Fault = func(_ int, r *http.Request) *forgetest.Fault {
		if r.URL.Query().Get("name") == "" || stalled {
			return nil
		}
		stalled = true
		return &forgetest.Fault{Stall: true}
	}
	hub, err := forge.NewGitHub(forge.GitHubOptions{Repository: "example/greeter", Token: forgetest.Token, API: w.hub.API, Idle: 100 * time.Millisecond})
	require.NoError(t, err)
	var told []string
	_, err = forge.Upload(t.Context(), hub, w.release, forge.Options{Backoff: time.Millisecond, Observe: func(e forge.Event) { told = append(told, e.Text) }})
	require.NoError(t, err)
	assert.Contains(t, strings.Join(told, "\n"), "nothing moved for a while")
	w.complete()
}

func TestDraftsAreTakenOver(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.hub.Add(forgetest.Release{Tag: fmt.Sprintf("v0.%d.0", i), Draft: i%2 == 0})
	}
	w.hub.PageSize = 2
	old := []byte("another content")
	draft := w.hub.Add(forgetest.Release{Tag: "v1.2.3", Draft: true, Name: "my words", Assets: []*forgetest.Asset{
		{Name: w.names()[0], State: "uploaded", Content: w.content(0)}, {Name: w.names()[1], State: "uploaded", Content: old}, {Name: w.names()[2], State: "starter"},
		{Name: "by-hand.pdf", State: "uploaded", Content: old},
	}})
	result, err := w.upload(t.Context())
	require.NoError(t, err)
	assert.Equal(t, w.names()[:1], result.There)
	assert.Equal(t, w.names()[1:], result.Replaced)
	assert.False(t, result.Created)
	assert.False(t, draft.Draft)
	assert.Len(t, draft.Assets, 4)
	assert.Equal(t, []string{"by-hand.pdf"}, result.Others)
}

// Nobody who downloaded a file shall find another one there.
func TestPublishedFilesStay(t *testing.T) {
	w := newWorld(t)
	w.uploads()
	published := w.hub.Release("v1.2.3")
	changed := []byte("changed " + strings.Repeat("x", 100))
	require.NoError(t, os.WriteFile(w.release.Files[1].Path, changed, 0o644))
	w.release.Files[1].Size, w.release.Files[1].Digest = int64(len(changed)), forgetest.Digest(changed)
	_, err := w.upload(t.Context())
	var conflict *forge.ConflictError
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, w.names()[1], conflict.File)
	assert.ErrorContains(t, err, "publish a new version")

	published.Assets = published.Assets[:1] // somebody removed the others: they are put back
	result, err := w.upload(t.Context())
	require.NoError(t, err)
	assert.Equal(t, w.names()[1:], result.Sent)
	assert.False(t, result.Published)
}

// Servers that do not tell digests: the content is read, from the storage, without the token.
func TestDigestsOfOlderServers(t *testing.T) {
	w := newWorld(t)
	w.hub.HideDigests = true
	w.uploads()
	result := w.uploads()
	assert.Equal(t, w.names(), result.There)
	assert.False(t, w.hub.Leaked())
	w.hub.Release("v1.2.3").Assets[0].Content[0]++
	_, err := w.upload(t.Context())
	var conflict *forge.ConflictError
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, w.names()[0], conflict.File)
}

func TestTagOfAnotherCommit(t *testing.T) {
	w := newWorld(t)
	w.hub.Tags["v1.2.3"] = strings.Repeat("f", 40)
	_, err := w.upload(t.Context())
	var tag *forge.TagError
	require.ErrorAs(t, err, &tag)
	assert.Empty(t, w.hub.Releases, "nothing was made")
	w.hub.Tags["v1.2.3"] = commit
	w.uploads()
}

func TestCommitThatWasNotPushed(t *testing.T) {
	w := newWorld(t)
	w.hub.Commits = nil
	_, err := w.upload(t.Context())
	require.ErrorContains(t, err, "publish release v1.2.3")
	require.ErrorContains(t, err, "target_commitish")
	assert.Nil(t, w.hub.Release("v1.2.3"))
}

func TestFileThatChanged(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, os.WriteFile(w.release.Files[2].Path, []byte(strings.Repeat("x", int(w.release.Files[2].Size))), 0o644))
	_, err := w.upload(t.Context())
	require.ErrorContains(t, err, "has changed since its digest was taken")
	assert.Nil(t, w.hub.Release("v1.2.3"))
}

// Whatever goes wrong, the token is in no error and no event.
func TestTokenIsNeverTold(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 409, 422, 429, 500} {
		w := newWorld(t)
		w.hub.Fault = func(n int, r *http.Request) *forgetest.Fault {
			if n%4 == 3 {
				return &forgetest.Fault{Status: code, Body: fmt.Sprintf(`{"message":"you sent %s"}`, r.Header.Get("Authorization"))}
			}
			return nil
		}
		_, err := w.upload(t.Context())
		if code < 429 {
			require.ErrorContains(t, err, "you sent Bearer (token)")
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)), forgetest.Token)
		}
		assert.NotContains(t, fmt.Sprintf("%+v", w.events), forgetest.Token)
	}
}

func TestAdvice(t *testing.T) {
	w := newWorld(t)
	hub, err := forge.NewGitHub(forge.GitHubOptions{Repository: "example/greeter", Token: "expired", API: w.hub.API})
	require.NoError(t, err)
	_, err = forge.Upload(t.Context(), hub, w.release, forge.Options{})
	require.ErrorContains(t, err, "does not take the token")
	hub, err = forge.NewGitHub(forge.GitHubOptions{Repository: "example/other", Token: forgetest.Token, API: w.hub.API})
	require.NoError(t, err)
	_, err = forge.Upload(t.Context(), hub, w.release, forge.Options{})
	require.ErrorContains(t, err, "GitHub has no example/other")
}

func TestUploadRefuses(t *testing.T) {
	for want, change := range map[string]func(*forge.Release){
		`tag "a b"`:             func(r *forge.Release) { r.Tag = "a b" },
		`tag ""`:                func(r *forge.Release) { r.Tag = "" },
		`commit "0123"`:         func(r *forge.Release) { r.Commit = "0123" },
		`file "a b": forges`:    func(r *forge.Release) { r.Files[0].Name = "a b" },
		`file "../x": forges`:   func(r *forge.Release) { r.Files[0].Name = "../x" },
		"is there twice":        func(r *forge.Release) { r.Files[1].Name = r.Files[0].Name },
		"is empty":              func(r *forge.Release) { r.Files[0].Size = 0 },
		`has digest "sha256:1"`: func(r *forge.Release) { r.Files[0].Digest = "sha256:1" },
	} {
		w := newWorld(t)
		change(&w.release)
		_, err := w.upload(t.Context())
		require.ErrorContains(t, err, want)
		assert.Zero(t, w.hub.Requests())
	}
}

func TestNewGitHub(t *testing.T) {
	for want, o := range map[string]forge.GitHubOptions{
		`repository "greeter"`:           {Repository: "greeter", Token: "x"},
		`repository "a/b/c"`:             {Repository: "a/b/c", Token: "x"},
		"needs a token":                  {Repository: "a/b"},
		"in one word":                    {Repository: "a/b", Token: "x\n"},
		"over https only":                {Repository: "a/b", Token: "x", API: "http://github.example.org/api/v3"},
		`GitHub API "ftp`:                {Repository: "a/b", Token: "x", API: "ftp://github.example.org"},
		`GitHub API "https://u:p@x"`:     {Repository: "a/b", Token: "x", API: "https://u:p@x"},
		`GitHub API "github.example.org`: {Repository: "a/b", Token: "x", API: "github.example.org"},
	} {
		_, err := forge.NewGitHub(o)
		assert.ErrorContains(t, err, want)
	}
}

// A list, too, may stand still, on any of its pages.
func TestStalledList(t *testing.T) {
	w := newWorld(t)
	w.hub.PageSize = 1
	for i := range 3 {
		w.hub.Add(forgetest.Release{Tag: fmt.Sprintf("v0.%d.0", i)})
	}
	stalled := false
	w.hub.Fault = func(_ int, r *http.Request) *forgetest.Fault {
		if r.URL.Query().Get("page") != "2" || stalled {
			return nil
		}
		stalled = true
		return &forgetest.Fault{Stall: true}
	}
	hub, err := forge.NewGitHub(forge.GitHubOptions{Repository: "example/greeter", Token: forgetest.Token, API: w.hub.API, Idle: 100 * time.Millisecond})
	require.NoError(t, err)
	_, err = forge.Upload(t.Context(), hub, w.release, forge.Options{Backoff: time.Millisecond})
	require.NoError(t, err)
	assert.True(t, stalled)
	assert.NotNil(t, w.hub.Release("v1.2.3"))
}
