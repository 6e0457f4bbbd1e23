// Package deploytest rolls greeter out to real machines with the real command, as a process of its own. It has tests alone.
package deploytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

func TestMain(m *testing.M) { os.Exit(machinetest.Main(m)) }

const configuration = `version: 1
verify: {race: false, short: true}
apps:
  - name: greeter
    targets: [linux/amd64, linux/arm64]
    service: {port: 8080, health: /health}
environments:
  prod:
    hosts: [ssh://machine1, ssh://machine2, ssh://machine3]
    strategy: STRATEGY
    bake: 4s
    interval: 2s
    gates: {deadline: 20s, synthetic: {path: "/hello?name=Ada", rate: 5}, p99: 10s}
    proxy: {listen: ":80"}
    env: {GREETER_GREETING: Hello}
    secrets: {TOKEN: env://GREETER_TOKEN}
`

// skipped are checks that have nothing to do with rolling out.
const skipped = "test,staticcheck,vulnerabilities,vet,gofmt,mod tidy,mod verify"

// fleet is greeter's repository, three machines, and the command.
type fleet struct {
	*testing.T
	dir, home, slipway string
	machines           []*machinetest.Machine
}

// start makes them, with the greeter changed first.
func start(t *testing.T, strategy string, change ...func(*fleet)) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs machines: run without -short")
	}
	f := &fleet{T: t, home: t.TempDir(), dir: filepath.Join(t.TempDir(), "greeter")}
	f.slipway = filepath.Join(f.home, "slipway")
	build := exec.Command("go", "build", "-o", f.slipway, "./cmd/slipway")
	build.Dir = "../.."
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	require.NoError(t, os.CopyFS(f.dir, os.DirFS("../../examples/greeter")))
	f.write("slipway.yaml", strings.Replace(configuration, "STRATEGY", strategy, 1))
	f.write(".gitignore", "dist/\n")
	for _, c := range change {
		c(f)
	}
	f.git("init", "-q")
	f.release("v1.0.0")
	f.run(0, "ship", "--skip", skipped) // before the machines are there: they need not wait for it
	f.machines = machinetest.Start(t, 3, 80)
	f.trust()
	return f
}

// trust is what a user has: a key, and the machines' keys.
func (f *fleet) trust() {
	var config, known strings.Builder
	files := map[string]string{}
	for _, m := range f.machines {
		host, port, err := net.SplitHostPort(m.SSH)
		require.NoError(f, err)
		fmt.Fprintf(&config, "Host %[1]s\n  HostName %[2]s\n  Port %[3]s\n  User deploy\n  IdentityFile %[4]s/.ssh/%[1]s\n", m.Name, host, port, f.home)
		fmt.Fprintf(&known, "[%s]:%s %s\n", host, port, m.HostKey)
		files[m.Name] = string(m.Key)
	}
	files["config"], files["known_hosts"] = config.String(), known.String()
	require.NoError(f, os.Mkdir(filepath.Join(f.home, ".ssh"), 0o700))
	for name, text := range files {
		require.NoError(f, os.WriteFile(filepath.Join(f.home, ".ssh", name), []byte(text), 0o600))
	}
}

func (f *fleet) write(name, text string) {
	require.NoError(f, os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644))
}

func (f *fleet) replace(name, old, now string) {
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	require.NoError(f, err)
	require.Contains(f, string(text), old)
	f.write(name, strings.Replace(string(text), old, now, 1))
}

func (f *fleet) git(args ...string) {
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.org"}, args...)...)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z") // the same commits each time, so that builds are cached
	output, err := cmd.CombinedOutput()
	require.NoError(f, err, string(output))
}

func (f *fleet) release(tag string) {
	f.git("add", "-A")
	f.git("commit", "-q", "--allow-empty", "-m", tag)
	f.git("tag", tag)
}

func (f *fleet) command(args ...string) *exec.Cmd {
	f.Helper()
	cache, err := ship.CacheDir(os.Getenv)
	require.NoError(f, err)
	gopath, err := exec.Command("go", "env", "GOPATH").Output()
	require.NoError(f, err)
	cmd := exec.Command(f.slipway, append(args, "-C", f.dir)...)
	cmd.Env = append(os.Environ(), "HOME="+f.home, "SLIPWAY_CACHE="+cache, "GOPATH="+strings.TrimSpace(string(gopath)), "GREETER_TOKEN=a-secret-token", "CI=true", "SSH_AUTH_SOCK=")
	return cmd
}

// run runs the command, and wants an exit code.
func (f *fleet) run(code int, args ...string) (stdout, stderr string) {
	f.Helper()
	cmd := f.command(args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(f, err)
	}
	f.Logf("slipway %s: exit %d after %s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), time.Since(begin).Round(time.Second))
	require.Equal(f, code, cmd.ProcessState.ExitCode(), "%s\n%s", out.String(), errs.String())
	assert.NotContains(f, out.String()+errs.String(), "a-secret-token")
	return out.String(), errs.String()
}

func (f *fleet) deploy(code int, args ...string) string {
	f.Helper()
	_, stderr := f.run(code, append([]string{"deploy", "prod", "--skip", skipped}, args...)...)
	return stderr
}

// serves asks all machines, through their proxies, who answers and with what.
func (f *fleet) serves(version, greeting string) {
	f.Helper()
	for _, m := range f.machines {
		assert.Contains(f, f.get(m, "/health"), version, m.Name)
		assert.Contains(f, f.get(m, "/hello?name=Ada"), greeting, m.Name)
	}
}

func (f *fleet) get(m *machinetest.Machine, path string) string {
	f.Helper()
	response, err := http.Get("http://" + m.Address(80) + path)
	require.NoError(f, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(f, err)
	assert.Equal(f, http.StatusOK, response.StatusCode, "%s%s: %s", m.Name, path, body)
	return string(body)
}

// twice does something that changes nothing the second time.
func (f *fleet) twice(args ...string) {
	f.Helper()
	f.run(0, append(args, "-q")...)
	before, _ := f.run(0, "history", "prod")
	again, _ := f.run(0, append(args, "--json")...)
	var run report.Run
	require.NoError(f, json.Unmarshal([]byte(again), &run))
	require.Len(f, run.Rollouts, 1)
	assert.False(f, run.Rollouts[0].Changed)
	after, _ := f.run(0, "history", "prod")
	assert.Equal(f, before, after)
}

func TestGreeter(t *testing.T) {
	f := start(t, "blue-green")
	plan, _ := f.run(0, "plan", "prod")
	assert.Contains(t, plan, "prune machine3: commit")
	f.deploy(0)
	f.serves("1.0.0", "Hello")
	f.replace("internal/server/handler.go", "package server", "package server // changed")
	f.release("v1.1.0")
	f.twice("deploy", "prod", "--skip", skipped)
	f.serves("1.1.0", "Hello")
	f.twice("deploy", "prod", "--skip", skipped, "-e", "GREETER_GREETING=Ahoy, you")
	f.serves("1.1.0", "Ahoy, you")
	f.twice("rollback", "prod")
	f.serves("1.1.0", "Hello")
	f.twice("rollback", "prod", "--to", "1.0.0")
	f.serves("1.0.0", "Hello")

	status, _ := f.run(0, "status", "prod")
	assert.Equal(t, 3, strings.Count(status, "ok  1.0.0"), status)
	history, _ := f.run(0, "history", "prod")
	assert.Equal(t, 6, strings.Count(history, "\n"), history)
	logs, _ := f.run(0, "logs", "prod", "--tail", "5")
	assert.Contains(t, logs, "machine2 | ")

	// An older commit needs a word; what is broken goes back, and says why.
	f.deploy(0)
	f.git("checkout", "-q", "v1.0.0")
	assert.Contains(t, f.deploy(1), "which is newer than 1.0.0")
	f.git("checkout", "-q", "v1.1.0")
	f.broken(t)
}

func (f *fleet) broken(t *testing.T) {
	assert.Contains(t, f.deploy(4, "-e", "GREETER_UPSTREAM=http://127.0.0.1:1"), "did not get healthy within 20s")
	f.serves("1.1.0", "Hello")
	assert.Contains(t, f.deploy(4, "-e", "GREETER_LOG_LEVEL=loud"), "the configuration is not valid")
	f.serves("1.1.0", "Hello")
	f.replace("internal/server/handler.go", "func (a App) hello(w http.ResponseWriter, r *http.Request) {", "func (a App) hello(w http.ResponseWriter, r *http.Request) {\n\tw.WriteHeader(http.StatusInternalServerError)\n}\n\nfunc (a App) unused(w http.ResponseWriter, r *http.Request) {")
	f.release("v1.2.0")
	assert.Contains(t, f.deploy(4), "requests failed")
	f.serves("1.1.0", "Hello")
	f.run(0, "status", "prod")
	f.machines[1].Run(t, "echo '# by hand' >>/etc/systemd/system/greeter-prod-$(systemctl is-active -q greeter-prod-blue && echo blue || echo green).service")
	drifted, _ := f.run(1, "status", "prod")
	assert.Contains(t, drifted, "machine2: ")
}
