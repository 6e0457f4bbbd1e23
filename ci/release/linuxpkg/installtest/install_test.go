// Package installtest installs what linuxpkg makes on a real Debian with systemd. It holds tests alone, apart from linuxpkg's
// own, because they start an engine.
package installtest

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/release/linuxpkg"
	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/ci/target"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

func TestMain(m *testing.M) { os.Exit(machinetest.Main(m)) }

// made packages examples/greeter as a version.
func made(t *testing.T, format linuxpkg.Format, version string, environment ...systemd.Variable) []byte {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "greeter")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", binary, ".")
	build.Dir = filepath.FromSlash("../../../../examples/greeter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	packages, err := linuxpkg.Write(t.Context(), dir, linuxpkg.App{
		Name: "greeter", Version: version, Date: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Description: "Greets people", Homepage: "https://example.org/greeter",
		License: "Apache-2.0", Maintainer: "Ada Lovelace <ada@example.org>",
		Service: &linuxpkg.Service{Port: 8080, Grace: 10 * time.Second, Environment: environment},
	}, []linuxpkg.Binary{{Target: target.Target{OS: "linux", Arch: machinetest.Arch()}, Path: binary}}, format)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, packages.Made[0].File))
	require.NoError(t, err)
	return data
}

// host is a machine on which greeter is installed.
type host struct {
	*testing.T
	*machinetest.Machine
}

func (h host) run(command string) string { return strings.TrimSpace(h.Machine.Run(h.T, command)) }

func (h host) install(version string, environment ...systemd.Variable) {
	h.Helper()
	h.Copy(h.T, "/tmp/greeter.deb", 0o644, made(h.T, linuxpkg.Deb, version, environment...))
	h.run("DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /tmp/greeter.deb")
}

// answers asks the service from inside of the machine. It may take a moment from its start to its first answer.
func (h host) answers(path string) string {
	h.Helper()
	return h.run("curl -sS --fail --retry 50 --retry-connrefused --retry-delay 1 --retry-max-time 30 'http://127.0.0.1:8080" + path + "'")
}

func (h host) state() string {
	result, err := h.Try("systemctl is-enabled greeter; systemctl is-active greeter", "")
	require.NoError(h, err)
	return strings.Join(strings.Fields(result.Stdout), " ")
}

func (h host) pid() string { return h.run("systemctl show -p MainPID --value greeter") }

// The deb is installed on a Debian with systemd, and its unit serves.
func TestDebServes(t *testing.T) {
	h := host{t, machinetest.Start(t, 1, 8080)[0]}
	h.install("1.2.3-rc.1")
	assert.Equal(t, "enabled active", h.state(), "as Debian's own packages")
	h.run("systemctl start greeter")
	assert.Contains(t, h.answers("/health"), `"version":"1.2.3-rc.1"`)
	answer, err := http.Get("http://" + h.Address(8080) + "/health")
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusOK, answer.StatusCode, string(body))

	t.Run("hardened", func(t *testing.T) { hardened(host{t, h.Machine}) })
	t.Run("restarted", func(t *testing.T) { restarted(host{t, h.Machine}) })
	t.Run("low port", func(t *testing.T) { lowPort(host{t, h.Machine}) })
	t.Run("configured", func(t *testing.T) { configured(host{t, h.Machine}) })
	t.Run("upgraded", func(t *testing.T) { upgraded(host{t, h.Machine}) })
	t.Run("disabled", func(t *testing.T) { disabled(host{t, h.Machine}) })
	t.Run("removed", func(t *testing.T) { removed(host{t, h.Machine}) })
}

func hardened(h host) {
	assert.Equal(h, "greeter", h.run("stat -c %U /proc/"+h.pid()))
	assert.Equal(h, "greeter 700", h.run("stat -c '%U %a' /var/lib/greeter"))
	assert.Equal(h, "root 600", h.run("stat -c '%U %a' /etc/greeter/greeter.env"), "there may be secrets in it")
	text := h.run("systemd-analyze security --no-pager greeter")
	_, rest, found := strings.Cut(text, "Overall exposure level for greeter.service: ")
	require.True(h, found, text)
	figure, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(h, err)
	assert.LessOrEqual(h, figure, 2.0, text)
	h.Logf("systemd-analyze security: %.1f", figure)
	assert.Equal(h, h.run("cat /proc/sys/net/core/somaxconn"), h.run("ss -Hltn 'sport = :8080' | awk '{print $3}'"), "as many connections may wait as the machine allows")
	assert.Equal(h, "0000000000000000", h.run("awk '/^CapEff/ {print $2}' /proc/"+h.pid()+"/status"))
}

func restarted(h host) {
	before := h.pid()
	h.run("kill -9 " + before)
	require.EventuallyWithT(h, func(c *assert.CollectT) {
		assert.NotContains(c, []string{before, "0"}, h.pid())
	}, 10*time.Second, 100*time.Millisecond)
	h.answers("/health")
	assert.Equal(h, "1", h.run("systemctl show -p NRestarts --value greeter"))
}

// A port below 1024 needs the relaxation, and gets nothing else from it.
func lowPort(h host) {
	unit, err := systemd.Unit(systemd.Service{Name: "low", Command: []string{"/usr/bin/greeter"}, User: "greeter", Port: 80, Relax: []systemd.Relaxation{systemd.LowPorts}})
	require.NoError(h, err)
	h.Copy(h.T, "/run/systemd/system/low.service", 0o644, []byte(unit))
	h.Copy(h.T, "/run/systemd/system/high.service", 0o644, []byte(strings.NewReplacer("PORT=80", "PORT=81", "CAP_NET_BIND_SERVICE", "").Replace(unit)))
	h.run("systemctl daemon-reload && systemctl start low && curl -sS --fail --retry 50 --retry-connrefused --retry-delay 1 http://127.0.0.1/health")
	assert.Equal(h, "0000000000000400", h.run("awk '/^CapEff/ {print $2}' /proc/$(systemctl show -p MainPID --value low)/status"))
	result, err := h.Try("systemctl start --wait high; journalctl -u high -o cat --no-pager", "")
	require.NoError(h, err)
	assert.Contains(h, result.Stdout, "permission denied")
	h.run("systemctl stop low high")
}

func configured(h host) {
	h.run(`echo 'GREETER_GREETING="Moin"' >>/etc/greeter/greeter.env && systemctl restart greeter`)
	assert.Equal(h, "Moin, Ada!", h.answers("/hello?name=Ada"))
}

// The new package's own configuration differs too: the administrator's is kept.
func upgraded(h host) {
	before := h.pid()
	h.install("1.2.3", systemd.Variable{Name: "GREETER_GREETING", Value: "Salut"})
	assert.Equal(h, "enabled active", h.state())
	assert.Contains(h, h.answers("/health"), `"version":"1.2.3"`, "1.2.3 is newer than 1.2.3-rc.1, and runs")
	assert.NotEqual(h, before, h.pid())
	assert.Equal(h, "Moin, Ada!", h.answers("/hello?name=Ada"))
	assert.Equal(h, "1.2.3", h.run("dpkg-query -W -f '${Version}' greeter"))
}

// What an administrator disabled stays so, also after an upgrade.
func disabled(h host) {
	h.run("systemctl disable --now greeter")
	assert.Equal(h, "success 0", strings.Join(strings.Fields(h.run("systemctl show -p Result -p ExecMainStatus --value greeter")), " "), "it ended in order")
	h.install("1.2.4-3-gabc1234")
	assert.Equal(h, "disabled inactive", h.state())
	h.run("systemctl enable --now greeter")
	assert.Contains(h, h.answers("/health"), `"version":"1.2.4-3-gabc1234"`)
}

func removed(h host) {
	pid := h.pid()
	h.run("dpkg -r greeter")
	result, err := h.Try("test -e /proc/"+pid+" || systemctl cat greeter", "")
	require.NoError(h, err)
	assert.NotZero(h, result.Code, "it stopped, and there is no unit")
	assert.Equal(h, "greeter", h.run("id -un greeter"), "the account stays")
	h.run("test -s /etc/greeter/greeter.env && test -d /var/lib/greeter")
	h.run("dpkg -P greeter")
	h.run("test ! -e /etc/greeter/greeter.env && test -d /var/lib/greeter && ! find /etc/systemd /var/lib/systemd/deb-systemd-helper-enabled -name 'greeter*' | grep .")

	h.install("1.2.5")
	assert.Equal(h, "enabled active", h.state(), "a new beginning")
	assert.Equal(h, "Hello, Ada!", h.answers("/hello?name=Ada"))
}
