//go:build linux

package command_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

// handler is what somebody writes first.
const handler = `// Command hello says hello.
package main

import (
	"fmt"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello, %s\n", r.URL.Path)
}
`

// newcomer is somebody's first project: a directory, with slipway on PATH and a git of their own.
type newcomer struct {
	t   *testing.T
	dir string
	env []string
}

// runs does what somebody types, and gives what it printed.
func (n newcomer) runs(program string, args ...string) string {
	n.t.Helper()
	out, err := n.tries(program, args...)
	require.NoError(n.t, err, "%s %v\n%s", program, args, out)
	return out
}

func (n newcomer) tries(program string, args ...string) (string, error) {
	cmd := exec.CommandContext(n.t.Context(), program, args...)
	cmd.Dir, cmd.Env = n.dir, n.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// From nothing to a workflow, a Makefile, a hook and a shipped program, with one command and no editing; and a push that breaks it is
// stopped.
func TestNewcomer(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	top, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	n := newcomer{t, filepath.Join(top, "hello"), append(os.Environ(), "SLIPWAY_ENGINE="+testEngine(), "GOVULNDB=http://127.0.0.1:1", "CI=true",
		"HOME="+top, "GIT_CONFIG_NOSYSTEM=1", "SLIPWAY_CACHE="+usersCache(t), "GOFLAGS=", "GOWORK=off",
		"MAKEFLAGS=", "ARGS=")} // those of a make that runs this test are none of theirs
	require.NoError(t, os.Mkdir(n.dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(top, ".gitconfig"), []byte("[user]\n\tname = a\n\temail = a@example.com\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, "main.go"), []byte(handler), 0o644))
	n.runs("git", "init", "-q", "-b", "main")
	n.runs("go", "mod", "init", "example.com/hello")

	n.runs("slipway", "init", "--ci", "github", "--makefile", "--hook")
	for _, name := range []string{"slipway.yaml", ".gitignore", ".github/workflows/slipway.yml", ".github/dependabot.yml", "Makefile", ".git/hooks/pre-push"} {
		assert.FileExists(t, filepath.Join(n.dir, filepath.FromSlash(name)))
	}
	n.runs("make", "ship")
	data, err := os.ReadFile(filepath.Join(n.dir, "dist", "reports", "run.json"))
	require.NoError(t, err)
	var run report.Run
	require.NoError(t, json.Unmarshal(data, &run))
	assert.Equal(t, "ship", run.Verb)
	assert.Zero(t, run.ExitCode)
	assert.FileExists(t, filepath.Join(n.dir, "dist", "linux_amd64", "hello"))
	assert.FileExists(t, filepath.Join(n.dir, "dist", "image", "hello", "index.json"))

	n.runs("git", "add", "-A")
	n.runs("git", "commit", "-q", "-m", "hello")
	assert.NotContains(t, n.runs("git", "ls-files"), "dist/", "it is ignored")
	n.runs("git", "init", "-q", "--bare", top+"/remote.git")
	n.runs("git", "remote", "add", "origin", top+"/remote.git")
	out := n.runs("git", "push", "origin", "main")
	assert.Contains(t, out, "slipway: ok")

	unformatted := strings.Replace(handler, "\tlog.Fatal", "    log.Fatal", 1)
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, "main.go"), []byte(unformatted), 0o644))
	n.runs("git", "commit", "-q", "-a", "-m", "unformatted")
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, "main.go"), []byte(handler), 0o644)) // mended, and not committed
	out, err = n.tries("git", "push", "origin", "main")
	require.Error(t, err, out)
	assert.Contains(t, out, "✗ verify: gofmt  files are not gofmt-ed")
	assert.Contains(t, out, "main.go")
	assert.Contains(t, out, "(exit 1)")
	assert.NotEqual(t, n.runs("git", "rev-parse", "main"), n.runs("git", "--git-dir", top+"/remote.git", "rev-parse", "main"), "the push was stopped")
	n.runs("git", "commit", "-q", "-a", "-m", "mended")
	n.runs("git", "push", "origin", "main")

	assert.Contains(t, n.runs("slipway", "init", "--ci", "github", "--makefile", "--hook"), "Makefile  same")
	n.runs("slipway", "hook", "uninstall")
	assert.NoFileExists(t, filepath.Join(n.dir, ".git", "hooks", "pre-push"))
}

func testEngine() string {
	if engine := os.Getenv("SLIPWAY_TEST_ENGINE"); engine != "" {
		return engine
	}
	return "embedded"
}

// usersCache is Slipway's cache of whoever runs the tests: the newcomer has a home of their own, and should not build an engine.
func usersCache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("SLIPWAY_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(dir, "slipway")
}
