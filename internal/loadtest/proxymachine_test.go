package loadtest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout/host"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/internal/loadtest"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

const (
	machineService = "greeter-prod"
	// machineRate is less than on this machine itself, where the proxy meets the full rate: all machines together have the share
	// of processors that one process here has.
	machineRate = 100
)

// proxyHost is a machine with a proxy, whose units are those of a release.
type proxyHost struct {
	*machinetest.Machine
	t *testing.T
}

// install puts a program and its units there, as the helper does.
func (h proxyHost) install(program []byte) (sum string) {
	h.t.Helper()
	digest := sha256.Sum256(program)
	sum = hex.EncodeToString(digest[:])
	h.Copy(h.t, path.Join(protocol.ProxyDir, sum, "slipway-proxy"), 0o755, program)
	spec := host.Spec{
		Service: machineService, Version: "1", Programs: map[string]host.Program{machinetest.Arch(): {SHA256: strings.Repeat("a", 64)}}, Ports: host.Ports{Blue: 20001, Green: 20002},
		Proxy: &host.Proxy{Listen: []string{":80"}, Programs: map[string]host.Program{machinetest.Arch(): {SHA256: sum}}},
	}
	release, err := spec.Render()
	require.NoError(h.t, err)
	for name, text := range release.Hosts[machinetest.Arch()].Traffic.Proxy.Units {
		h.Copy(h.t, path.Join(protocol.UnitDir, name), 0o644, []byte(text))
	}
	h.Run(h.t, "systemctl daemon-reload")
	return sum
}

// ask asks the proxy over its socket, as root.
func (h proxyHost) ask(method, path, body string) string {
	h.t.Helper()
	return h.Run(h.t, fmt.Sprintf("curl -sS --fail-with-body --unix-socket /run/slipway/%s/proxy.sock -X %s -d '%s' http://127.0.0.1%s", machineService, method, body, path))
}

func (h proxyHost) active(slot string) string {
	h.t.Helper()
	result, err := h.Try("systemctl is-active "+machineService+"-proxy-"+slot+".service", "")
	require.NoError(h.t, err)
	return strings.TrimSpace(result.Stdout)
}

// here is what a load on the machine itself tells while it runs, and at its end.
type here struct {
	Sent, Open int
	Report     *loadtest.Report
}

// load starts a load on the machine itself: the way there from outside has limits of its own.
func (h proxyHost) load() {
	h.t.Helper()
	h.Run(h.t, fmt.Sprintf("rm -f /run/load.json; systemd-run --collect --unit=load /usr/local/bin/load 127.0.0.1:80 %d /run/load.json", machineRate))
}

func (h proxyHost) now() (now here) {
	h.t.Helper()
	result, err := h.Try("cat /run/load.json", "")
	require.NoError(h.t, err)
	if result.Code == 0 { // it has begun
		require.NoError(h.t, json.Unmarshal([]byte(result.Stdout), &now))
	}
	return now
}

func (h proxyHost) later(more int) {
	h.t.Helper()
	until := h.now().Sent + more
	require.Eventually(h.t, func() bool { return h.now().Sent >= until }, patience, tick)
}

// stop ends the load.
func (h proxyHost) stop() loadtest.Report {
	h.t.Helper()
	h.Run(h.t, "systemctl stop load")
	report := h.now().Report
	require.NotNil(h.t, report)
	return *report
}

func compiled(t *testing.T, name string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	program, err := os.ReadFile(file)
	require.NoError(t, err)
	return program
}

// On a real machine with real units: the first connection starts the proxy, an upgrade loses nothing, what is killed comes back
// by itself while nobody is refused, and after a stop the next connection finds everything as it was.
func TestProxyOnAMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a machine: run without -short")
	}
	h := proxyHost{machinetest.Start(t, 1, 80)[0], t}
	file, err := plain()
	require.NoError(t, err)
	program, err := os.ReadFile(file)
	require.NoError(t, err)
	first := h.install(program)
	h.Copy(t, "/usr/local/bin/echo-service", 0o755, compiled(t, "echo"))
	h.Copy(t, "/usr/local/bin/load", 0o755, compiled(t, "load"))
	for slot, port := range map[string]int{"blue": 20001, "green": 20002} {
		h.Run(t, fmt.Sprintf("systemd-run --unit=echo-%s /usr/local/bin/echo-service %s %d", slot, slot, port))
	}
	h.hardened()

	h.Run(t, "systemctl enable --now "+machineService+"-proxy.socket")
	assert.Equal(t, "inactive", h.active("a"))
	response, err := http.Get("http://" + h.Address(80))
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "the first connection starts it; it has no instances yet")
	assert.Equal(t, "active", h.active("a"))
	status := h.ask("PUT", "/slipway/v1", `{"upstreams":[{"name":"blue","address":"127.0.0.1:20001","weight":90},{"name":"green","address":"127.0.0.1:20002","weight":10}]}`)
	assert.Contains(t, status, first)
	h.guarded()

	h.load()
	h.later(300)
	second := h.install(append(program, 0)) // another program, as far as anybody can tell
	h.Run(t, "systemctl start "+machineService+"-proxy-b.service")
	h.later(100)
	assert.Contains(t, h.ask("GET", "/slipway/v1", ""), second, "the newest answers")
	h.Run(t, "systemctl stop "+machineService+"-proxy-a.service")
	h.later(300)
	report := h.stop()
	t.Log("an upgrade: ", report)
	assert.Zero(t, report.Failed(), report)
	assert.Equal(t, "inactive", h.active("a"))

	h.killed()
	h.Run(t, "systemctl stop "+machineService+"-proxy-b.service")
	response, err = http.Get("http://" + h.Address(80))
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	response.Body.Close()
	assert.Regexp(t, "^(blue|green) GET 0$", string(body), "the socket starts it again, and it knows where requests go")
	assert.Equal(t, "active", h.active("a"))
}

// hardened: the units are what systemd calls safe, and a privileged port needs no privilege.
func (h proxyHost) hardened() {
	h.t.Helper()
	unit := machineService + "-proxy-a.service"
	out := h.Run(h.t, "systemd-analyze security --no-pager "+unit)
	_, rest, found := strings.Cut(out, "Overall exposure level for "+unit+": ")
	require.True(h.t, found, out)
	figure, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(h.t, err)
	assert.LessOrEqual(h.t, figure, 2.0)
}

// guarded: the process has no privilege, and its socket is for root.
func (h proxyHost) guarded() {
	h.t.Helper()
	pid := strings.TrimSpace(h.Run(h.t, "systemctl show -p MainPID --value "+machineService+"-proxy-a.service"))
	status := h.Run(h.t, "cat /proc/"+pid+"/status")
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		assert.Contains(h.t, status, set+":\t0000000000000000")
	}
	assert.NotContains(h.t, status, "\nUid:\t0\t")
	assert.Equal(h.t, "600\n", h.Run(h.t, "stat -L -c %a /run/slipway/"+machineService+"/proxy.sock"))
	result, err := h.Try("sudo -u deploy curl -sS --unix-socket /run/slipway/"+machineService+"/proxy.sock http://127.0.0.1/slipway/v1", "")
	require.NoError(h.t, err)
	assert.NotZero(h.t, result.Code, "another user gets no answer: %s", result.Stdout)
	assert.Equal(h.t, "600\n", h.Run(h.t, "stat -c %a /var/lib/slipway/"+machineService+"/proxy/state.json"))
}

// killed: systemd starts it again, new connections wait in the sockets, and only what it had in its hands is lost.
func (h proxyHost) killed() {
	h.t.Helper()
	h.load()
	h.later(300)
	before := h.now()
	pid := h.Run(h.t, "systemctl show -p MainPID --value "+machineService+"-proxy-b.service")
	h.Run(h.t, "kill -9 "+pid)
	had := before.Open + h.now().Sent - before.Sent
	require.Eventually(h.t, func() bool {
		return h.active("b") == "active" && h.Run(h.t, "systemctl show -p MainPID --value "+machineService+"-proxy-b.service") != pid
	}, patience, tick)
	h.later(300)
	report := h.stop()
	h.t.Logf("killed: at most %d connections were with it: %s", had, report)
	assert.LessOrEqual(h.t, report.Failed(), had, report)
	for class := range report.Failures() {
		assert.Contains(h.t, []string{loadtest.EOF, loadtest.Reset, loadtest.Short}, class, report)
	}
	assert.Equal(h.t, "inactive", h.active("a"), "the socket started no second one")
}
