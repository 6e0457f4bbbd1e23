package deploytest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/loadtest"
)

// load asks all machines through their proxies, as clients do that try nothing twice. Each is asked from where it is: the way there
// from outside has limits of its own.
func (f *fleet) load(rate int) *load {
	f.Helper()
	file := filepath.Join(f.TempDir(), "load")
	cmd := exec.Command("go", "build", "-o", file, "../loadtest/testdata/load")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := cmd.CombinedOutput()
	require.NoError(f, err, string(output))
	program, err := os.ReadFile(file)
	require.NoError(f, err)
	for _, m := range f.machines {
		m.Copy(f.T, "/usr/local/bin/load", 0o755, program)
		m.Run(f.T, fmt.Sprintf("rm -f /run/load.json; systemd-run --collect --unit=load /usr/local/bin/load 127.0.0.1:80 %d /run/load.json '/hello?name=Ada' ', Ada!'", rate/len(f.machines)))
	}
	return &load{f}
}

// load is one that runs.
type load struct{ fleet *fleet }

// posts has the greeter take what it is sent, too.
func posts(f *fleet) { f.replace("internal/server/handler.go", `"GET /hello"`, `"/hello"`) }

// stop ends the load, says what came of it, and counts.
func (l *load) stop(t *testing.T) (requests, failed int) {
	t.Helper()
	for _, m := range l.fleet.machines {
		m.Run(t, "systemctl stop load")
		var end struct{ Report *loadtest.Report }
		require.NoError(t, json.Unmarshal([]byte(m.Run(t, "cat /run/load.json")), &end))
		require.NotNil(t, end.Report, m.Name)
		t.Logf("%s\n%s", m.Name, end.Report)
		requests, failed = requests+end.Report.Requests(), failed+end.Report.Failed()
	}
	return requests, failed
}

// soak is how often make soak wants each strategy to switch. In make test there is no time for it.
func soak(t *testing.T) int {
	t.Helper()
	often := os.Getenv("SLIPWAY_SOAK_SWITCHES")
	if often == "" {
		t.Skip("it takes long: make soak runs it")
	}
	switches, err := strconv.Atoi(often)
	require.NoError(t, err)
	return switches
}

// Every strategy changes what runs on three machines under 500 requests a second, and none of them is lost.
func TestSwitchesUnderLoad(t *testing.T) {
	switches, rows, now := soak(t), "", "rolling"
	f := start(t, now, posts)
	f.deploy(0)
	for _, strategy := range []string{"rolling", "blue-green", "canary"} {
		f.replace("slipway.yaml", "strategy: "+now, "strategy: "+strategy)
		now = strategy
		l := f.load(500)
		for i := range switches {
			f.deploy(0, "-e", fmt.Sprintf("GREETER_GREETING=%s %d", strategy, i))
		}
		requests, failed := l.stop(t)
		assert.Zero(t, failed, strategy)
		assert.Greater(t, requests, 1000, strategy)
		f.serves("1.0.0", fmt.Sprintf("%s %d", strategy, switches-1))
		rows += fmt.Sprintf("| %s | %d | %d | %d |\n", strategy, switches, requests, failed)
	}
	if dir := os.Getenv("SLIPWAY_SOAK_TABLES"); dir != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "switches.md"), []byte(rows), 0o644))
	}
}

// What goes wrong only once a release has the traffic ends with the old one on all machines, exit code 4 and the reason, and
// without a request that failed.
func TestReleasesThatTurnBad(t *testing.T) {
	soak(t)
	f := start(t, "blue-green", posts)
	f.replace("slipway.yaml", "bake: 4s", "bake: 40s\n    limits: {memory: 64MiB}")
	f.replace("slipway.yaml", "p99: 10s", "p99: 500ms")
	f.deploy(0)
	const handler, hello = "internal/server/handler.go", "func (a App) hello(w http.ResponseWriter, r *http.Request) {"
	good, err := os.ReadFile(filepath.Join(f.dir, handler))
	require.NoError(t, err)
	for i, bad := range []struct{ name, old, now, imports, says string }{
		{"unhealthy after ten seconds", `mux.Handle("GET /health", app.Health)`, `begun := time.Now()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		if time.Since(begun) > 10*time.Second {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		app.Health.ServeHTTP(w, r)
	})`, "\"time\"\n", "500"},
		{"slow", hello, hello + "\n\ttime.Sleep(700 * time.Millisecond)", "\"time\"\n", "p99"},
		{"leaks memory", hello, "var leak [][]byte\n\nvar leaking sync.Mutex\n\n" + hello + "\n\tleaking.Lock()\n\tleak = append(leak, bytes.Repeat([]byte(\"x\"), 32<<10))\n\tleaking.Unlock()", "\"bytes\"\n\t\"sync\"\n", "memory"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			f.replace(handler, bad.old, bad.now)
			f.replace(handler, "\"strings\"\n", "\"strings\"\n\t"+bad.imports)
			f.release(fmt.Sprintf("v2.%d.0", i))
			l := f.load(300)
			said := f.deploy(4)
			requests, failed := l.stop(t)
			assert.Zero(t, failed)
			assert.Greater(t, requests, 1000)
			assert.Contains(t, strings.ToLower(said), bad.says)
			t.Log(said)
			f.serves("1.0.0", "Hello")
			f.write(handler, string(good))
		})
	}
}
