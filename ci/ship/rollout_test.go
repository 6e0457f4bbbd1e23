package ship

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host"
	"github.com/slipway-ci/slipway/ci/secret"
)

func TestHostsOf(t *testing.T) {
	e := project.Environment{Rollout: rollout.Spec{Targets: []string{"ssh://deploy@web1", "ssh://127.0.0.1:2201", "ssh://127.0.0.1:2202", "local:", "ssh://[2001:db8::1]:22"}}}
	var names []string
	for _, h := range hostsOf(e) {
		names = append(names, h.Name)
	}
	assert.Equal(t, []string{"web1", "127.0.0.1:2201", "127.0.0.1:2202", "local", "2001:db8::1"}, names)
}

// A webhook that is slow, broken or gone is a warning: nothing waits for it, and its address is shown to nobody.
func TestNotify(t *testing.T) {
	var mu sync.Mutex
	bodies := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		mu.Lock()
		defer mu.Unlock()
		bodies[r.URL.Path] = string(body)
		if r.URL.Path == "/broken-secret" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	reference := func(name string) secret.Reference {
		r, err := secret.Parse("env://" + name)
		require.NoError(t, err)
		return r
	}
	o := Options{Getenv: func(name string) string {
		return map[string]string{"SLACK": server.URL + "/slack", "HOOK": server.URL + "/hook", "BROKEN": server.URL + "/broken-secret", "GONE": "http://127.0.0.1:1/gone-secret"}[name]
	}}
	e := project.Environment{Name: "prod", Notify: []project.Notify{{Slack: true, Address: reference("SLACK")}, {Address: reference("HOOK")},
		{Address: reference("BROKEN")}, {Address: reference("GONE")}, {Address: reference("MISSING")}}}
	problems := newNotifier(t.Context(), o, e).tell(t.Context(), rolloutMessage(report.Rollout{Service: "greeter-prod", Action: "deploy", Version: "1.2.3",
		Outcome: string(rollout.RolledBack), Reason: "gate web1: fail: 3 of 7 requests failed\nmore"}))
	text := strings.Join(problems, "\n")
	assert.Len(t, problems, 3, text)
	assert.Contains(t, text, "403")
	assert.NotContains(t, text, "-secret")
	assert.JSONEq(t, `{"text":"greeter-prod: deploy of 1.2.3 failed, everything is back as it was: gate web1: fail: 3 of 7 requests failed"}`, bodies["/slack"])
	assert.Contains(t, bodies["/hook"], `"outcome":"rolled back"`)
}

func TestNotify_WaitsForNobody(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	problems := notifier{addresses: []address{{url: server.URL}}}.tell(ctx, message{})
	assert.Len(t, problems, 1)
}

func TestGateCard(t *testing.T) {
	place := rollout.Place{Target: "web2", Slot: "green"}
	card := gateCard(&rollout.Check{Kind: rollout.Starting, Deadline: rollout.Duration(time.Minute)}, rollout.Verdict{Decision: rollout.Unknown, Reason: "healthy 0 of 3 times in a row", Place: place,
		Seen: []rollout.Sample{{}}, Evidence: rollout.Sample{Health: rollout.Unhealthy, Answer: "503 no\ndatabase", Restarts: 2, Log: []string{"panic: no database"}}})
	assert.Equal(t, "web2 did not get healthy within 1m: healthy 0 of 3 times in a row", card.Title)
	assert.Equal(t, []string{"not seen", "unhealthy · 503 no database · 2 restarts", "", "the last lines of its log:", "panic: no database"}, card.Tail)
	card = gateCard(&rollout.Check{Kind: rollout.Watching}, rollout.Verdict{Decision: rollout.Unknown, Reason: "0 requests are too few to tell, 1 are needed", Place: place})
	assert.Contains(t, card.Next, "gates.synthetic")
	assert.NotEmpty(t, card.Cause)
}

func TestOlder(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.org"}, args...)...)
		cmd.Dir = dir
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
		return strings.TrimSpace(string(output))
	}
	git("init", "-q")
	var commits []string
	for _, name := range []string{"one", "two"} {
		git("commit", "-q", "--allow-empty", "-m", name)
		commits = append(commits, git("rev-parse", "HEAD"))
	}
	git("checkout", "-q", "-b", "side", commits[0])
	git("commit", "-q", "--allow-empty", "-m", "beside")
	beside := git("rev-parse", "HEAD")
	o := Options{Source: dir, Getenv: os.Getenv}
	for _, c := range []struct {
		wanted, there rollout.Kept
		older         bool
	}{
		{rollout.Kept{Commit: commits[0]}, rollout.Kept{Commit: commits[1]}, true},
		{rollout.Kept{Commit: commits[1]}, rollout.Kept{Commit: commits[0]}, false},
		{rollout.Kept{Commit: commits[0]}, rollout.Kept{Commit: commits[0]}, false},
		{rollout.Kept{Commit: beside}, rollout.Kept{Commit: commits[1]}, false},
		{rollout.Kept{Commit: commits[0], Version: "1.0.0"}, rollout.Kept{Commit: strings.Repeat("a", 40), Version: "1.1.0"}, true},
		{rollout.Kept{Version: "1.1.0"}, rollout.Kept{Version: "1.0.0"}, false},
		{rollout.Kept{Version: "main"}, rollout.Kept{Version: "1.0.0"}, false},
	} {
		assert.Equal(t, c.older, older(t.Context(), o, c.wanted, c.there), "%+v", c)
	}
}

func TestKeepers(t *testing.T) {
	one, two := release{Kept: rollout.Kept{Digest: "1"}}, release{Kept: rollout.Kept{Digest: "2"}}
	assert.Equal(t, []release{two}, keepers([]Standing{{Kept: []release{one, two}}, {Kept: []release{two}}}))
}

// Filebeat tells environments apart by the name that slipway.yaml has for them.
func TestFilebeatIsToldOfTheEnvironment(t *testing.T) {
	e := project.Environment{Name: "prod", Service: "tool-prod", Filebeat: "/etc/filebeat/inputs.d"}
	assert.Equal(t, &host.Filebeat{Dir: "/etc/filebeat/inputs.d", Environment: "prod"}, content{}.hostSpec(e, nil, nil).Filebeat)
	e.Filebeat = ""
	assert.Nil(t, content{}.hostSpec(e, nil, nil).Filebeat)
}

// The release of commands of the user's is whole or not there, the same each time, and readable by its owner alone.
func TestUnfold(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(program, []byte("program"), 0o755))
	c := content{version: "1.0.0", binary: "tool", programs: map[string]host.Program{"amd64": {Path: program, SHA256: "abc"}}, variables: map[string]string{"A": "b\nc"},
		secrets: map[string]string{"TOKEN": "hunter2"}, files: map[string][]byte{"etc/a.yaml": []byte("a: 1\n")}}
	e := project.Environment{Service: "tool-prod"}
	parts, place, err := c.unfold(e, filepath.Join(dir, "releases"))
	require.NoError(t, err)
	for name, text := range map[string]string{"bin/amd64/tool": "program", "credentials/TOKEN": "hunter2", "etc/a.yaml": "a: 1\n"} {
		content, err := os.ReadFile(filepath.Join(place, name))
		require.NoError(t, err)
		assert.Equal(t, text, string(content))
	}
	info, err := os.Stat(place)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	again, same, err := c.unfold(e, filepath.Join(dir, "releases"))
	require.NoError(t, err)
	assert.Equal(t, []any{parts, place}, []any{again, same})
	c.secrets["TOKEN"] = "other"
	other := c.parts(e)
	assert.NotEqual(t, parts.Environment, other.Environment)
	assert.Equal(t, parts.Artifact, other.Artifact)
	entries, err := os.ReadDir(filepath.Join(dir, "releases"))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
	c.programs["amd64"] = host.Program{Path: "/nowhere", SHA256: "def"}
	_, _, err = c.unfold(e, filepath.Join(dir, "releases"))
	require.Error(t, err)
	assert.True(t, errors.Is(err, os.ErrNotExist))
	entries, err = os.ReadDir(filepath.Join(dir, "releases"))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing half-made is left")
}
