package workflowtest_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest/keyless/keylesstest"
	"github.com/slipway-ci/slipway/ci/release/forge/forgetest"
)

// small is this repository's slipway.yaml without its longest part: the tests of Slipway itself.
const small = `version: 1
verify: {modules: [examples/greeter], race: false}
apps:
  - name: greeter
    dir: examples/greeter
    main: .
    targets: [linux/amd64]
    vars: {main.version: "{{.Version}}", main.commit: "{{.Commit}}", main.date: "{{.Date}}"}
    service: {port: 8080, health: /health}
`

// ci.yml as it is, on this tree, on a machine where nothing ever ran: it runs to its end, and what it makes is what a laptop makes
// with another engine. What it keeps is all that the next new machine needs.
func TestCIMakesWhatALaptopMakes(t *testing.T) {
	r := newRunner(t)
	r.newMachine(t)
	source := copyOfThis(t, map[string]string{"slipway.yaml": small})
	mine := t.TempDir()
	git(t, source, "clone", "-q", source, mine)
	git(t, mine, "remote", "set-url", "origin", origin) // images name it
	began := time.Now()
	log := r.run(t, source, "ci.yml", "push", `{"ref": "refs/heads/main"}`)
	first := time.Since(began)
	require.Equal(t, map[string]string{"ship": "success"}, log.results(), "%s", log.printed())
	assert.Contains(t, log.printed(), "nothing to restore")
	kept := regexp.MustCompile(`kept (slipway-\S+)`).FindStringSubmatch(log.printed())
	require.NotNil(t, kept, "%s", log.printed())

	r.laptop(t, mine, "ship")
	made := []string{"checksums.txt", "image/greeter/index.json"}
	for _, file := range made {
		assert.Equal(t, read(t, filepath.Join(mine, "dist", file)), read(t, filepath.Join(r.uploads, "dist", file)), "%s", file)
	}

	r.forget(t)
	require.NoError(t, os.RemoveAll(filepath.Join(r.uploads, "dist")))
	git(t, source, "clean", "-dfxq")
	began = time.Now()
	again := r.run(t, source, "ci.yml", "push", `{"ref": "refs/heads/main"}`)
	second := time.Since(began)
	require.Equal(t, map[string]string{"ship": "success"}, again.results(), "%s", again.printed())
	assert.Contains(t, again.printed(), "restored "+kept[1])
	assert.NotContains(t, again.printed(), "kept slipway-", "this week's caches are there")
	for _, file := range made {
		assert.Equal(t, read(t, filepath.Join(mine, "dist", file)), read(t, filepath.Join(r.uploads, "dist", file)), "%s", file)
	}
	t.Logf("on a new machine %s, on the next one %s", first.Round(time.Second), second.Round(time.Second))
	assert.Less(t, second, first)

	digest := log.output("digest")
	assert.Regexp(t, `^sha256:[0-9a-f]{64}$`, digest)
	assert.Equal(t, imageOf(t, filepath.Join(mine, "dist", "artifacts.json")), digest)
	assert.Equal(t, "0", log.output("exit-code"))
	assert.Regexp(t, `^0\.0\.0-`, log.output("version"))
	assert.Len(t, log.output("commit"), 40)
	assert.Empty(t, log.output("image"), "nothing was published")
	assert.Equal(t, "dist", filepath.Base(log.output("dist")))

	page := log.summary()
	for _, want := range []string{"## ✓ slipway ship · slipway", "| ✓ smoke |", "### Tests", "### Artifacts", digest, "`linux_amd64/greeter`"} {
		assert.Contains(t, page, want)
	}
	assert.NotEmpty(t, log.of("group"), "what the commands print is folded")
	assert.Empty(t, log.of("error"))
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}

func imageOf(t *testing.T, file string) string {
	t.Helper()
	var list []struct{ Kind, Digest string }
	require.NoError(t, json.Unmarshal([]byte(read(t, file)), &list))
	for _, a := range list {
		if a.Kind == "image" {
			return a.Digest
		}
	}
	return ""
}

// The README's five lines, in somebody's repository, with a test that fails and would like to be more than a text.
func TestFiveLinesShowWhatIsWrong(t *testing.T) {
	r := newRunner(t)
	r.asModule(t, "v0.1.0")
	r.local("slipway-ci/slipway@v0.1.0", root(t))
	five := regexp.MustCompile("(?s)```yml\n(on: .*?)```").FindStringSubmatch(read(t, filepath.Join(root(t), "README.md")))
	require.NotNil(t, five)
	log := r.run(t, repository(t, map[string]string{
		".github/workflows/ci.yml": five[1],
		"go.mod":                   "module example.com/hello\n\ngo 1.25\n",
		"slipway.yaml":             "version: 1\nverify: {race: false}\napps: [{name: hello, targets: [linux/amd64]}]\n",
		"main.go":                  "package main\n\nfunc main() { println(hello()) }\n\nfunc hello() string { return \"hello\" }\n\nfunc unused() {}\n",
		"main_test.go": `package main

import (
	"fmt"
	"testing"
)

func TestHello(t *testing.T) {
	fmt.Println("::set-output name=version::evil")
	fmt.Println("  ::error file=main.go::evil")
	fmt.Println("at ##[set-output name=digest]evil")
	t.Errorf("hello() = %q\n::error::evil\nversion<<_GitHubActionsFileCommandDelimeter_\nevil", hello())
}
`,
	}), "ci.yml", "push", `{"ref": "refs/heads/main"}`)

	assert.Equal(t, "failure", log.results()["slipway"], "%s", log.printed())
	assert.Contains(t, log.printed(), "slipway: failed: verify: 1 test failed (exit 1)")
	assert.Equal(t, "1", log.output("exit-code"))
	assert.Regexp(t, `^0\.0\.0-`, log.output("version"))
	for _, e := range log.of("set-output") {
		assert.NotContains(t, e.Arg, "evil")
	}

	errors := log.of("error")
	require.Len(t, errors, 1, "%s", log.printed())
	assert.Equal(t, "main_test.go", errors[0].KVPairs["file"])
	assert.Equal(t, "12", errors[0].KVPairs["line"])
	// Its title is lost here: act looks for the end of the properties at the last "::" of a line, GitHub at the first.
	warnings := log.of("warning")
	assert.True(t, strings.Contains(warnings.args(), "unused"), "%s", warnings.args())

	page := log.summary()
	for _, want := range []string{"## ✗ slipway ship · hello", "### ✗ verify\\: test · 1 test failed", "`main_test.go:12` TestHello", "**reproduce**"} {
		assert.Contains(t, page, want)
	}
	assert.FileExists(t, filepath.Join(r.uploads, "slipway-dist", "reports", "junit.xml"))
}

func (all entries) args() string {
	var text strings.Builder
	for _, e := range all {
		text.WriteString(e.Arg + "\n")
	}
	return text.String()
}

// release.yml as it is, on this tree and with its slipway.yaml, but for the addresses in it: registry, forge and Sigstore are here.
// The outputs name what they have, and what the job signed is proved.
func TestReleasePublishes(t *testing.T) {
	r := newRunner(t)
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	hub, stop := forgetest.New()
	defer stop()
	sigstore := keylesstest.New(t)
	config := read(t, filepath.Join(root(t), "slipway.yaml"))
	for _, change := range [][2]string{
		{`modules: \[.*\]`, "modules: [examples/greeter]"}, // Slipway's own tests are at it
		{`repository: \S+/slipway-ci/greeter`, "repository: " + host + "/team/greeter"},
		{`keyless: {}`, `keyless: {fulcio: "` + sigstore.URL() + `", rekor: "` + sigstore.URL() + `", timestamps: "` + sigstore.Timestamps() + `", root: sigstore.json}`},
		{`github: {repository: slipway-ci/slipway}`, "github: {repository: example/greeter, api: \"" + hub.API + "\"}\n  registries: {\"" + host + "\": {http: true}}"},
	} {
		was := regexp.MustCompile(change[0])
		require.Regexp(t, was, config)
		config = was.ReplaceAllLiteralString(config, change[1])
	}
	source := copyOfThis(t, map[string]string{"slipway.yaml": config, "sigstore.json": string(sigstore.RootJSON())})
	git(t, source, "tag", "v1.2.3")
	hub.Commits = []string{strings.TrimSpace(git(t, source, "rev-parse", "HEAD"))}
	for name, value := range keylesstest.GitHubJob(t) {
		r.setenv(name, value)
	}
	r.setenv("GOVULNDB", "file://"+noVulnerabilities(t))

	log := r.run(t, source, "release.yml", "push", `{"ref": "refs/tags/v1.2.3"}`, "--secret", "GITHUB_TOKEN="+forgetest.Token)
	require.Equal(t, map[string]string{"publish": "success"}, log.results(), "%s", log.printed())
	assert.Equal(t, "1.2.3", log.output("version"))
	assert.True(t, strings.HasPrefix(log.output("tags"), "1.2.3,1.2,"), "%s", log.output("tags"))
	there, err := http.Head(server.URL + "/v2/team/greeter/manifests/1.2.3")
	require.NoError(t, err)
	defer there.Body.Close()
	digest := there.Header.Get("Docker-Content-Digest")
	require.NotEmpty(t, digest)
	assert.Equal(t, host+"/team/greeter@"+digest, log.output("image"))
	assert.Equal(t, digest, log.output("digest"))
	assert.Contains(t, log.summary(), "### Published")
	release := hub.Release("v1.2.3")
	require.NotNil(t, release)
	assert.NotEmpty(t, log.output("release"))
	var files []string
	for _, asset := range release.Assets {
		files = append(files, asset.Name)
	}
	assert.Subset(t, files, []string{"checksums.txt", "greeter_1.2.3_linux_amd64.tar.gz", "greeter_1.2.3_windows_arm64.zip"})
	r.laptop(t, source, "verify-release", host+"/team/greeter:1.2.3", "--issuer", keylesstest.Issuer, "--identity", keylesstest.Identity)
}

// noVulnerabilities is a directory with a vulnerability database that knows none.
func noVulnerabilities(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"index/db.json": `{"modified": "2026-01-02T03:04:05Z"}`, "index/modules.json": "[]", "index/vulns.json": "[]"})
	return dir
}

// The job that tests every night, with the tests that need no engine, and on this machine in the place of its container. What it
// runs is what runs this test: only "make soak" has it, because it compiles everything once more.
func TestNightlyTests(t *testing.T) {
	if os.Getenv("SLIPWAY_SOAK") == "" {
		t.Skip("it compiles all tests once more: make soak runs it")
	}
	r := newRunner(t)
	workflow := read(t, filepath.Join(root(t), ".github", "workflows", "ci.yml"))
	container := regexp.MustCompile(`\n    container: .*`)
	require.Regexp(t, container, workflow)
	source := copyOfThis(t, map[string]string{".github/workflows/ci.yml": container.ReplaceAllLiteralString(workflow, "")})
	r.setenv("ARGS", "-short")
	r.setenv("GIT_CONFIG_GLOBAL", filepath.Join(t.TempDir(), "gitconfig"))
	log := r.run(t, source, "ci.yml", "schedule", `{}`, "--job", "test")
	require.Equal(t, map[string]string{"test": "success"}, log.results(), "%s", log.printed())
	for _, want := range []string{"github.com/slipway-ci/slipway/ci/ship\t", "github.com/slipway-ci/slipway/proxy/traffic\t", "github.com/slipway-ci/slipway/examples/greeter\t"} {
		assert.Contains(t, log.printed(), "ok  \t"+want)
	}
}
