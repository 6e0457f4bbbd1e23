package workflowtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// ci.yml as it is, on this tree: it runs to its end, and what it makes is what a laptop makes.
func TestCIMakesWhatALaptopMakes(t *testing.T) {
	r := newRunner(t)
	source := copyOfThis(t, small)
	mine := t.TempDir()
	git(t, source, "clone", "-q", source, mine)
	git(t, mine, "remote", "set-url", "origin", origin) // images name it
	log := r.run(t, source, "ci.yml", "push", `{"ref": "refs/heads/main"}`)
	require.Equal(t, map[string]string{"ship": "success"}, log.results(), "%s", log.printed())

	laptop(t, mine, "ship")
	for _, file := range []string{"checksums.txt", "image/greeter/index.json"} {
		assert.Equal(t, read(t, filepath.Join(mine, "dist", file)), read(t, filepath.Join(r.uploads, "dist", file)), "%s", file)
	}

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

// release.yml as it is, on this tree with a registry that can be reached: the outputs name what the registry has.
func TestReleasePublishes(t *testing.T) {
	r := newRunner(t)
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	config := strings.Replace(small, "    service:", "    image: {repository: "+host+"/team/greeter}\n    service:", 1) +
		"publish: {registries: {\"" + host + "\": {http: true}}}\n"
	source := copyOfThis(t, config)
	git(t, source, "tag", "v1.2.3")

	log := r.run(t, source, "release.yml", "push", `{"ref": "refs/tags/v1.2.3"}`)
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
}
