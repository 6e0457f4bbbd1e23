//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/systemdtest"
	units "github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/internal/loadtest"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

func TestMain(m *testing.M) { os.Exit(machinetest.Main(m)) }

// real is a machine with systemd as process 1.
type real struct {
	*machinetest.Machine
	helper string
}

func (r real) Call(t testing.TB, request protocol.Request, body []byte) protocol.Response {
	t.Helper()
	request.Version, request.Size = protocol.Version, int64(len(body))
	text, err := json.Marshal(request)
	require.NoError(t, err)
	result, err := r.Try(r.helper+" call", string(text)+"\n"+string(body))
	require.NoError(t, err)
	require.Zero(t, result.Code, result.Stderr)
	var response protocol.Response
	require.NoError(t, json.Unmarshal([]byte(result.Stdout), &response), result.Stdout)
	return response
}

func newReal(t *testing.T) (*deployer, real) {
	t.Helper()
	machine := machinetest.Start(t, 1, 8080)[0]
	helper, _ := systemdtest.Programs(t)
	sum := sha256.Sum256(helper)
	r := real{Machine: machine, helper: protocol.HelperDir + "/" + hex.EncodeToString(sum[:]) + "/slipway-host"}
	machine.Copy(t, r.helper, 0o755, helper)
	return &deployer{T: t, caller: r, ports: [2]int{20001, 20002}}, r
}

// hardened is a release as it is really made: under an account of its own, with a secret and the unit of ci/systemd.
func (d *deployer) hardened(version string, relax ...units.Relaxation) systemdtest.Release {
	d.Helper()
	release := d.release(version, `QUOTED="two words"`)
	release.User = app
	release.Add("credentials/TOKEN", 0o400, []byte("secret of "+version+"\n"))
	dir := protocol.ReleaseDir(app, release.Digest)
	for i, slot := range []string{rollout.Blue, rollout.Green} {
		unit, err := units.Unit(units.Service{Name: app + "-" + slot, Command: []string{dir + "/bin/service", "100%", "$HOME"}, User: app, Port: d.ports[i],
			EnvironmentFiles: []string{dir + "/environment"}, Credentials: []units.Credential{{Name: "TOKEN", File: dir + "/credentials/TOKEN"}},
			Limits: units.Limits{Memory: 64 << 20}, Relax: relax})
		require.NoError(d, err)
		release.Slots[slot] = protocol.Instance{Port: d.ports[i], Unit: unit}
	}
	return release
}

// All of it on one real machine, as starting one takes a while.
func TestOnARealMachine(t *testing.T) {
	d, machine := newReal(t)
	for _, part := range []struct {
		name string
		try  func(*deployer, real)
	}{
		{"facts", factsOnMachine},
		{"deploy", deployOnMachine},
		{"hook", hookOnMachine},
		{"guard", guardOnMachine},
		{"killed", killedOnMachine},
		{"proxy", proxyOnMachine},
		{"security", securityOnMachine},
	} {
		require.True(t, t.Run(part.name, func(t *testing.T) { part.try(&deployer{T: t, caller: machine, ports: d.ports}, machine) }))
	}
}

func factsOnMachine(d *deployer, machine real) {
	needs := &protocol.Needs{Arch: machinetest.Arch(), Ports: d.ports[:], Listen: []string{":8080"}, Bytes: 1 << 20, User: app}
	facts := d.must(protocol.Request{Verb: protocol.Facts, Needs: needs}).Machine
	assert.Empty(d, facts.Problems)
	assert.Equal(d, machinetest.Arch(), facts.Arch)
	assert.Contains(d, facts.OS, "Debian")
	assert.GreaterOrEqual(d, facts.Systemd, oldestSystemd)
	machine.Run(d.T, "test ! -e /var/lib/slipway") // nothing is changed by asking

	machine.Run(d.T, "systemd-run --quiet --unit=other --socket-property=ListenStream=8080 --socket-property=Accept=no true && systemd-run --quiet --unit=web -p DynamicUser=yes /usr/sbin/sshd -h || true")
	machine.Run(d.T, "/usr/sbin/sshd -p 20001 -o PidFile=/run/second.pid; install -m 644 /dev/stdin /etc/systemd/system/"+app+"-blue.service </dev/null")
	needs.User, needs.Arch, needs.Bytes = "deploy", "riscv64", 1<<60
	facts = d.must(protocol.Request{Verb: protocol.Facts, Needs: needs}).Machine
	text, err := json.Marshal(facts.Problems)
	require.NoError(d, err)
	for _, what := range []string{"riscv64", "MB free", "slipway did not write it", "deploy is a person's", "port 20001", "sshd (process", ":8080", "switch: command"} {
		assert.Contains(d, string(text), what)
	}
	machine.Run(d.T, "kill $(cat /run/second.pid); systemctl stop other.socket; rm /etc/systemd/system/"+app+"-blue.service; systemctl daemon-reload")
}

func deployOnMachine(d *deployer, machine real) {
	first, second := d.hardened("one"), d.hardened("two")
	systemdtest.Stage(d, machine, first)
	systemdtest.Stage(d, machine, second)
	d.deploy(rollout.Blue, first.Digest)
	assert.Equal(d, "one", machine.Run(d.T, "curl -s http://127.0.0.1:20001/"))
	assert.Equal(d, "secret of one\n", machine.Run(d.T, "curl -s http://127.0.0.1:20001/secret/TOKEN"))
	assert.Equal(d, "two words", machine.Run(d.T, "curl -s http://127.0.0.1:20001/variable/QUOTED"))
	assert.Equal(d, app+"\n", machine.Run(d.T, "ps -o user:32= -p $(systemctl show -p MainPID --value "+app+"-blue)"))
	d.deploy(rollout.Green, second.Digest)
	assert.True(d, d.look().Live(second.Digest))
	assert.Empty(d, d.drift())
	assert.Equal(d, "400 root\n", machine.Run(d.T, "stat -c '%a %U' "+protocol.ReleaseDir(app, second.Digest)+"/credentials/TOKEN"))
	assert.Equal(d, "2\n", machine.Run(d.T, "stat -c %h "+protocol.ReleaseDir(app, second.Digest)+"/environment"), "it is a link to what was uploaded")

	sample := d.must(protocol.Request{Verb: protocol.Probe, Place: rollout.Place{Slot: rollout.Green, Release: second.Digest}}).Sample
	assert.Equal(d, rollout.Healthy, sample.Health)
	assert.Greater(d, sample.Memory, 0.005)
	assert.Less(d, sample.Memory, 0.9)
	answers := d.must(protocol.Request{Verb: protocol.Ask, Place: rollout.Place{Slot: rollout.Green, Release: second.Digest}, Path: "/", Times: 3}).Answers
	assert.Len(d, answers.Took, 3)
	assert.Zero(d, answers.Errors)

	machine.Run(d.T, "echo '# by hand' >>/etc/systemd/system/"+app+"-green.service; mkdir -p /etc/systemd/system/"+app+"-green.service.d; echo '[Service]\nNice=5' >/etc/systemd/system/"+app+"-green.service.d/more.conf; systemctl daemon-reload")
	drift := strings.Join(d.drift(), "\n")
	assert.Contains(d, drift, "changed by hand")
	assert.Contains(d, drift, "more.conf")
	machine.Run(d.T, "sed -i '$d' /etc/systemd/system/"+app+"-green.service; rm -r /etc/systemd/system/"+app+"-green.service.d; systemctl daemon-reload")
	assert.Empty(d, d.drift())

	logs, err := machine.Try(machine.helper+" call", fmt.Sprintf(`{"version":1,"service":%q,"verb":"logs","tail":100}`, app)+"\n")
	require.NoError(d, err)
	assert.Contains(d, logs.Stderr, "version two listens on")
	assert.Contains(d, logs.Stderr, "version one listens on")
}

// The guard puts the committed release back when a lease ends, also when the machine's units are gone as after a reboot.
func guardOnMachine(d *deployer, machine real) {
	committed := d.look().Committed
	third := d.hardened("three")
	systemdtest.Stage(d, machine, third)
	d.acquire("one", 5*time.Minute)
	d.start(rollout.Blue, third.Digest)
	d.healthy(rollout.Blue)
	d.shift(rollout.Blue, third.Digest)
	d.vanish()
	d.eventually(func() bool { return d.look().Live(committed) }, "the guard goes back")
	machine.Run(d.T, "timeout 30 sh -c 'while systemctl is-active -q "+app+"-guard; do sleep 0.2; done'")
	assert.Empty(d, d.drift())

	// A reboot in the middle: everything is gone but what is enabled, and the lease is not of this boot any more.
	d.acquire("one", time.Hour)
	d.start(rollout.Blue, third.Digest)
	d.healthy(rollout.Blue)
	d.shift(rollout.Blue, third.Digest)
	machine.Run(d.T, "systemctl kill -s KILL "+app+"-guard "+app+"-blue "+app+"-green; systemctl stop "+app+"-guard "+app+"-blue "+app+"-green")
	machine.Run(d.T, `sed -i 's/"boot": "[^"]*"/"boot": "before"/' /var/lib/slipway/`+app+`/state.json`)
	machine.Run(d.T, "systemctl start --no-block $(cd /etc/systemd/system/multi-user.target.wants && ls -d "+app+"-*)")
	d.eventually(func() bool { return d.look().Live(committed) }, "the machine comes back with the committed release")
	machine.Run(d.T, "timeout 30 sh -c 'while systemctl is-active -q "+app+"-guard; do sleep 0.2; done'")
	assert.Empty(d, d.drift())
}

// A helper that is killed in the middle of a step leaves what the next one goes on from.
func killedOnMachine(d *deployer, machine real) {
	committed := d.look().Committed
	next := d.hardened("four")
	systemdtest.Stage(d, machine, next)
	d.acquire("one", 5*time.Minute)
	request := d.step(rollout.Start, rollout.Blue, next.Digest, nil)
	request.Version = protocol.Version
	text, err := json.Marshal(request)
	require.NoError(d, err)
	killed := 0
	for i := range 15 {
		result, err := machine.Try(fmt.Sprintf("timeout -s KILL %d.%03d %s call", 0, 10*i, machine.helper), string(text)+"\n")
		require.NoError(d, err)
		if result.Code != 0 {
			killed++
		}
		assert.Equal(d, committed, d.look().Committed)
		assert.Equal(d, rollout.Split{rollout.Green: 100}, d.look().Split())
	}
	assert.Positive(d, killed)
	d.T.Logf("killed %d times", killed)
	d.must(request)
	d.healthy(rollout.Blue)
	d.giveBack()
	d.eventually(func() bool { return d.look().Live(committed) }, "it goes back")
}

func hookOnMachine(d *deployer, machine real) {
	release := d.look().Committed
	d.acquire("one", 5*time.Minute)
	marker := "/run/hook-ran"
	ask := protocol.Request{Verb: protocol.Hook, ID: "migrate-1", Fence: d.fence, Place: rollout.Place{Release: release},
		Command: []string{"/bin/sh", "-c", `printf '%s|' "$VERSION $QUOTED 100% $(id -un) $(cat $CREDENTIALS_DIRECTORY/TOKEN)" "$0" "$1"; exit 3`, "it's", `a "word" \n`}}
	result := d.must(ask).Hook
	assert.Equal(d, 3, result.ExitCode)
	require.Len(d, result.Output, 1)
	assert.Equal(d, `two two words 100% `+app+` secret of two|it's|a "word" \n|`, result.Output[0])
	assert.Equal(d, result, d.must(ask).Hook, "it is not run twice")

	// The connection is cut: the hook goes on, and who asks again gets its result.
	ask.ID, ask.Command = "migrate-2", []string{"/bin/sh", "-c", "sleep 2; echo once; exit 0"}
	ask.Service, ask.Version = app, protocol.Version
	text, err := json.Marshal(ask)
	require.NoError(d, err)
	cut, err := machine.Try("timeout -s KILL 1 "+machine.helper+" call", string(text)+"\n")
	require.NoError(d, err)
	assert.NotZero(d, cut.Code)
	result = d.must(ask).Hook
	assert.Equal(d, []string{"once"}, result.Output)
	assert.Zero(d, result.ExitCode)
	machine.Run(d.T, "test ! -e "+marker)
	assert.NotContains(d, machine.Run(d.T, "systemctl list-units --all --plain --no-legend"), "-hook-", "nothing is left")
	d.giveBack()
}

// rendered is a release as the program makes it, with our proxy.
func (d *deployer) rendered(version string, proxy []byte) systemdtest.Release {
	d.Helper()
	_, service := systemdtest.Programs(d)
	program := func(name string, content []byte) map[string]host.Program {
		file := filepath.Join(d.TempDir(), name)
		require.NoError(d, os.WriteFile(file, content, 0o755))
		return map[string]host.Program{machinetest.Arch(): {Path: file, SHA256: sumOf(string(content)), Size: int64(len(content))}}
	}
	made, err := host.Spec{Service: app, Binary: "service", Version: version, Programs: program("service", service), Health: "/health",
		Ports: host.Ports{Blue: d.ports[0], Green: d.ports[1]}, Environment: []units.Variable{{Name: "VERSION", Value: version}},
		Drain: 5 * time.Second, Proxy: &host.Proxy{Programs: program("proxy", proxy), Listen: []string{":8080"}}}.Render()
	require.NoError(d, err)
	release := systemdtest.Release{Release: made.Hosts[machinetest.Arch()], Blobs: map[string][]byte{}}
	for digest, blob := range made.Blobs {
		content, err := blob.Open()
		require.NoError(d, err)
		release.Blobs[digest], err = io.ReadAll(content)
		require.NoError(d, err)
		content.Close()
	}
	return release
}

func buildProxy(t *testing.T) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "slipway-proxy")
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Dir, cmd.Env = "../../../../proxy", append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return content
}

// The first release with a proxy, switches, and a proxy of another build: no request is lost.
func proxyOnMachine(d *deployer, machine real) {
	program := buildProxy(d.T)
	first, second := d.rendered("five", program), d.rendered("six", program)
	upgraded := d.rendered("seven", append(slices.Clone(program), "another build"...))
	for _, r := range []systemdtest.Release{first, second, upgraded} {
		systemdtest.Stage(d, machine, r)
	}
	d.deploy(rollout.Blue, first.Digest)
	assert.True(d, d.look().Live(first.Digest))
	require.Empty(d, d.drift())
	assert.Equal(d, "five", machine.Run(d.T, "curl -s http://127.0.0.1:8080/"))

	load := loadtest.Start(d.Context(), loadtest.Plan{Address: machine.Address(8080), Rate: 20, Kinds: []loadtest.Kind{{Method: "GET", KeepAlive: true}, {Method: "GET"}}})
	d.deploy(rollout.Green, second.Digest)
	d.deploy(rollout.Blue, first.Digest)
	before := machine.Run(d.T, "systemctl is-active "+app+"-proxy-a; systemctl show -p MainPID --value "+app+"-proxy-a")
	d.deploy(rollout.Green, upgraded.Digest)
	after := machine.Run(d.T, "systemctl is-active "+app+"-proxy-b; systemctl is-active "+app+"-proxy-a || true")
	report := load.Stop()
	assert.Zero(d, report.Failed(), report)
	d.T.Logf("%s", report)
	assert.True(d, strings.HasPrefix(before, "active\n"), before)
	assert.Equal(d, "active\ninactive\n", after)
	assert.Equal(d, "seven", machine.Run(d.T, "curl -s http://127.0.0.1:8080/"))
	assert.Empty(d, d.drift())
	sample := d.must(protocol.Request{Verb: protocol.Probe, Place: rollout.Place{Slot: rollout.Green, Release: upgraded.Digest}}).Sample
	assert.Positive(d, sample.Requests)
	assert.Zero(d, sample.Errors)
}

// The units are locked in: what they can do to the machine is little.
func securityOnMachine(d *deployer, machine real) {
	for unit, limit := range map[string]float64{app + "-green.service": 2.0, app + "-guard.service": 2.0, app + "-proxy-b.service": 2.0} {
		out := machine.Run(d.T, "systemd-analyze security --no-pager "+unit+" | tail -1")
		found := regexp.MustCompile(`(\d+\.\d)`).FindString(out)
		exposure, err := strconv.ParseFloat(found, 64)
		require.NoError(d, err, out)
		d.T.Logf("%s: %.1f", unit, exposure)
		assert.LessOrEqual(d, exposure, limit, out)
	}
}
