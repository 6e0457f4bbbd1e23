package forge_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/forge"
	"github.com/slipway-ci/slipway/ci/report"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestDetect(t *testing.T) {
	for want, pairs := range map[forge.Kind]map[string]string{
		forge.OnGitHub:   {"GITHUB_ACTIONS": "true", "CI": "true"},
		forge.OnGitLab:   {"GITLAB_CI": "true", "CI": "true"},
		forge.OnJenkins:  {"JENKINS_URL": "https://ci.example.org/", "BUILD_NUMBER": "7"},
		forge.OnTerminal: {"CI": "true", "GITHUB_OUTPUT": "x"},
	} {
		assert.Equal(t, want, forge.Detect(env(pairs)))
	}
}

// place makes a project with an output directory that has reports, and the options for it.
func place(t *testing.T, pairs map[string]string) (forge.Options, *bytes.Buffer, string) {
	t.Helper()
	dir := t.TempDir()
	dist := filepath.Join(dir, "dist")
	require.NoError(t, os.MkdirAll(filepath.Join(dist, "reports"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), nil, 0o644))
	pairs["CI_PROJECT_DIR"] = dir
	var log bytes.Buffer
	return forge.Options{Getenv: env(pairs), Log: &log, Dirs: func() (string, string) { return dir, dist }}, &log, filepath.Join(dist, "reports")
}

func TestGitLab(t *testing.T) {
	options, log, reports := place(t, map[string]string{})
	g := forge.NewGitLab(options)
	g.Fold().Open("✓ test")
	fmt.Fprintln(g.Log(), "hidden")
	g.Fold().Close()
	assert.Regexp(t, "^\x1b\\[0Ksection_start:\\d+:slipway_1\\[collapsed=true\\]\r\x1b\\[0K✓ test\nhidden\n\x1b\\[0Ksection_end:\\d+:slipway_1\r\x1b\\[0K$", log.String())

	log.Reset()
	coverage := 83.14
	run := failedRun()
	run.Tested = &report.Tested{Passed: 1, Coverage: &coverage}
	g.Observe(report.RunFinished{Run: run})
	found := regexp.MustCompile(`(?m)^coverage: (\d+\.\d+)% of statements$`).FindStringSubmatch(log.String())
	require.Len(t, found, 2, "%s", log.String())
	assert.Equal(t, "83.1", found[1])

	var quality []struct {
		Description string
		Fingerprint string
		Severity    string
		Location    struct {
			Path  string
			Lines struct{ Begin int }
		}
	}
	data, err := os.ReadFile(filepath.Join(reports, "codequality.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &quality))
	require.Len(t, quality, 2, "those with a place")
	assert.Equal(t, "main.go", quality[0].Location.Path)
	assert.Equal(t, 42, quality[0].Location.Lines.Begin)
	assert.Equal(t, "major", quality[0].Severity)
	assert.NotEqual(t, quality[0].Fingerprint, quality[1].Fingerprint)
	variables, err := os.ReadFile(filepath.Join(reports, "outputs.env"))
	require.NoError(t, err)
	assert.Contains(t, string(variables), "SLIPWAY_VERSION=1.2.3\nSLIPWAY_COMMIT=abc1234\nSLIPWAY_EXIT_CODE=1\n")
}

func TestVariablesHaveOneLine(t *testing.T) {
	options, _, reports := place(t, map[string]string{})
	forge.NewJenkins(options).Observe(report.RunFinished{Run: report.Run{Version: "1\nSLIPWAY_DIGEST=evil", Commit: "c"}})
	variables, err := os.ReadFile(filepath.Join(reports, "outputs.env"))
	require.NoError(t, err)
	assert.NotContains(t, string(variables), "evil")
	assert.Contains(t, string(variables), "SLIPWAY_COMMIT=c\n")
}

func TestRunWithoutReportsLeavesNone(t *testing.T) {
	options, log, reports := place(t, map[string]string{})
	require.NoError(t, os.Remove(reports))
	forge.NewGitLab(options).Observe(report.RunFinished{})
	forge.NewJenkins(options).Observe(report.RunFinished{})
	assert.NoDirExists(t, reports)
	assert.Empty(t, log.String())
}

func TestStranger(t *testing.T) {
	pull := func(head string) string { return `{"pull_request": {"head": {"repo": ` + head + `}}}` }
	own, fork := `{"full_name": "Team/Greeter"}`, `{"full_name": "evil/greeter", "fork": true}`
	for name, tt := range map[string]struct {
		event, payload string
		want           string
	}{
		"a push":                               {"push", `{}`, ""},
		"a pull request of the repository":     {"pull_request", pull(own), ""},
		"a pull request of a fork":             {"pull_request", pull(fork), `"evil/greeter", a fork`},
		"one that runs with secrets":           {"pull_request_target", pull(fork), `"evil/greeter", a fork`},
		"a review of one":                      {"pull_request_review", pull(fork), `"evil/greeter", a fork`},
		"a fork that was deleted":              {"pull_request", pull("null"), `"another repository", a fork`},
		"nothing is said":                      {"pull_request", `{}`, `"another repository", a fork`},
		"it cannot be read":                    {"pull_request", `{`, "it may be a stranger's"},
		"after a pull request of a fork":       {"workflow_run", `{"workflow_run": {"event": "pull_request", "head_repository": ` + fork + `}}`, `"evil/greeter", a fork`},
		"after a push":                         {"workflow_run", `{"workflow_run": {"event": "push", "head_repository": ` + own + `}}`, ""},
		"a comment on an issue":                {"issue_comment", `{"issue": {}}`, ""},
		"a comment on somebody's pull request": {"issue_comment", `{"issue": {"pull_request": {}}}`, `"another repository", a fork`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "event.json")
			require.NoError(t, os.WriteFile(path, []byte(tt.payload), 0o644))
			got := forge.Stranger(env(map[string]string{
				"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": tt.event, "GITHUB_EVENT_PATH": path, "GITHUB_REPOSITORY": "team/greeter",
			}))
			if tt.want == "" {
				assert.Empty(t, got)
				return
			}
			assert.Contains(t, got, tt.want)
		})
	}
	assert.Contains(t, forge.Stranger(env(map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request"})), "stranger's", "no file is named")
	assert.Empty(t, forge.Stranger(env(map[string]string{"GITLAB_CI": "true"})))
	assert.Empty(t, forge.Stranger(env(map[string]string{"GITLAB_CI": "true", "CI_MERGE_REQUEST_PROJECT_ID": "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1"})))
	assert.Contains(t, forge.Stranger(env(map[string]string{
		"GITLAB_CI": "true", "CI_MERGE_REQUEST_PROJECT_ID": "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2", "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "evil/greeter",
	})), `merge request from "evil/greeter"`)
	jenkins := map[string]string{"JENKINS_URL": "x", "BUILD_NUMBER": "1"}
	assert.Empty(t, forge.Stranger(env(jenkins)))
	jenkins["CHANGE_FORK"] = "evil"
	assert.Contains(t, forge.Stranger(env(jenkins)), `"evil", a fork`)
	assert.Empty(t, forge.Stranger(env(nil)))
}

func TestIdentityTokenOfGitHub(t *testing.T) {
	status, body := http.StatusOK, `{"value": "token for %s"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer request-token", r.Header.Get("Authorization"))
		assert.Equal(t, "1", r.URL.Query().Get("api"))
		w.WriteHeader(status)
		fmt.Fprint(w, strings.ReplaceAll(body, "%s", r.URL.Query().Get("audience")))
	}))
	defer server.Close()
	pairs := map[string]string{"GITHUB_ACTIONS": "true"}
	ask := forge.IdentityToken(env(pairs), server.Client())
	_, err := ask(context.Background(), "sigstore")
	require.ErrorContains(t, err, "permissions: {id-token: write}")
	pairs["ACTIONS_ID_TOKEN_REQUEST_URL"], pairs["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = server.URL+"?api=1", "request-token"
	token, err := ask(context.Background(), "sigstore")
	require.NoError(t, err)
	assert.Equal(t, "token for sigstore", token)
	body = `{}`
	_, err = ask(context.Background(), "sigstore")
	require.ErrorContains(t, err, "its answer has no token")
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = ask(canceled, "sigstore")
	require.ErrorIs(t, err, context.Canceled)
	assert.NotContains(t, err.Error(), "request-token")
	status = http.StatusForbidden
	_, err = ask(context.Background(), "sigstore")
	require.ErrorContains(t, err, "it answered 403")
	assert.NotContains(t, err.Error(), "token for", "what it answered may hold one")
}

func TestIdentityTokenOfGitLab(t *testing.T) {
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	ask := func(token, audience string) (string, error) {
		return forge.IdentityToken(env(map[string]string{"GITLAB_CI": "true", "SLIPWAY_ID_TOKEN": token}), http.DefaultClient)(context.Background(), audience)
	}
	for _, claims := range []string{`{"aud": "sigstore"}`, `{"aud": ["other", "sigstore"]}`} {
		token, err := ask(jwt(claims), "sigstore")
		require.NoError(t, err)
		assert.Equal(t, jwt(claims), token)
	}
	for _, token := range []string{"", "x", "a.!.c", jwt(`{`), jwt(`{"aud": "other"}`), jwt(`{"aud": 1}`)} {
		_, err := ask(token, "sigstore")
		require.ErrorContains(t, err, "id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}", "%q", token)
	}
	_, err := forge.IdentityToken(env(nil), http.DefaultClient)(context.Background(), "sigstore")
	require.ErrorContains(t, err, "GitHub Actions or GitLab CI")
}
