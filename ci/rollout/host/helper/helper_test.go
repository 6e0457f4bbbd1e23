//go:build linux

package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/systemdtest"
)

const app = "greeter-prod"

// deployer is who rolls out, with requests made by hand.
type deployer struct {
	*testing.T
	*systemdtest.Machine // nil on a real machine
	caller               systemdtest.Caller
	ports                [2]int
	fence                uint64
}

func newDeployer(t *testing.T) *deployer {
	if testing.Short() {
		t.Skip("it builds the helper and starts processes: run without -short")
	}
	t.Parallel()
	machine := systemdtest.New(t)
	return &deployer{T: t, Machine: machine, caller: machine, ports: systemdtest.FreePorts(t)}
}

func (d *deployer) release(version string, environment ...string) systemdtest.Release {
	d.Helper()
	r := systemdtest.Service(d, app, d.ports, append([]string{"VERSION=" + version}, environment...)...)
	r.Version = version
	return r
}

func (d *deployer) staged(version string, environment ...string) string {
	d.Helper()
	r := d.release(version, environment...)
	systemdtest.Stage(d, d.caller, r)
	return r.Digest
}

func (d *deployer) ask(request protocol.Request) protocol.Response {
	d.Helper()
	request.Service = cmp.Or(request.Service, app)
	return d.caller.Call(d, request, nil)
}

func (d *deployer) must(request protocol.Request) protocol.Response {
	d.Helper()
	response := d.ask(request)
	require.Nil(d, response.Error, "%+v", response.Error)
	return response
}

func (d *deployer) acquire(owner string, ttl time.Duration) {
	d.Helper()
	d.fence = d.must(protocol.Request{Verb: protocol.Acquire, Owner: owner, TTL: rollout.Duration(ttl)}).Lease.Fence
}

func (d *deployer) step(verb rollout.Verb, slot, release string, to rollout.Split) protocol.Request {
	return protocol.Request{Service: app, Verb: protocol.Verb(verb), Fence: d.fence,
		Step: &rollout.Step{Verb: verb, Place: rollout.Place{Target: "web1", Slot: slot, Release: release}, To: to}}
}

func (d *deployer) start(slot, release string) {
	d.Helper()
	d.must(d.step(rollout.Start, slot, release, nil))
}
func (d *deployer) stop(slot, release string) {
	d.Helper()
	d.must(d.step(rollout.Stop, slot, release, nil))
}
func (d *deployer) prune(release string) { d.Helper(); d.must(d.step(rollout.Prune, "", release, nil)) }
func (d *deployer) shift(slot, release string) {
	d.Helper()
	d.must(d.step(rollout.Shift, slot, release, rollout.Split{slot: 100}))
}
func (d *deployer) giveBack() {
	d.Helper()
	d.must(protocol.Request{Verb: protocol.Return, Fence: d.fence})
}

// vanish is a deployer that does not come back: its lease ends soon.
func (d *deployer) vanish() {
	d.Helper()
	d.must(protocol.Request{Verb: protocol.Renew, Fence: d.fence, TTL: rollout.Duration(500 * time.Millisecond)})
}

func (d *deployer) look() rollout.Target {
	d.Helper()
	return d.must(protocol.Request{Verb: protocol.Observe}).State.Target
}

func (d *deployer) drift() []string {
	d.Helper()
	return d.must(protocol.Request{Verb: protocol.Observe}).State.Drift
}

func (d *deployer) eventually(holds func() bool, what string) {
	d.Helper()
	require.Eventually(d, holds, 3*time.Minute, 50*time.Millisecond, what)
}

func (d *deployer) healthy(slot string) {
	d.Helper()
	d.eventually(func() bool { s, _ := d.look().Slot(slot); return s.Health == rollout.Healthy }, slot+" gets healthy")
}

// deploy is a whole rollout to a slot.
func (d *deployer) deploy(slot, release string) {
	d.Helper()
	before := d.look()
	d.acquire("one", 5*time.Minute)
	d.start(slot, release)
	d.healthy(slot)
	d.shift(slot, release)
	d.prune(release)
	for _, old := range before.Slots {
		if old.Name != slot {
			d.stop(old.Name, old.Release)
		}
	}
	d.giveBack()
}

// get is what an instance answers, and why it does not.
func (d *deployer) get(slot int, path string) string {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", d.ports[slot], path))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// guarded waits until the guard has nothing to do any more.
func (d *deployer) guarded() {
	d.Helper()
	d.eventually(func() bool { return d.State(app+"-guard.service") == "inactive" }, "the guard has nothing to do any more")
}

func TestDeployTwoReleases(t *testing.T) {
	d := newDeployer(t)
	assert.Empty(t, d.look().Slots, "nothing is there at first")
	first, second := d.staged("one"), d.staged("two")
	d.deploy(rollout.Blue, first)
	assert.Equal(t, "one", d.get(0, "/"))
	assert.True(t, d.look().Live(first))
	d.deploy(rollout.Green, second)
	assert.Equal(t, "two", d.get(1, "/"))
	assert.True(t, d.look().Live(second))
	assert.Empty(t, d.drift())
	state := d.must(protocol.Request{Verb: protocol.Observe}).State
	assert.Equal(t, first, state.Previous)
	require.Len(t, state.Releases, 2)
	assert.Equal(t, "two", state.Releases[1].Version, "the newest is the last")
	assert.Empty(t, state.Releases[1].Slots[rollout.Blue].Unit, "units are not told")
	assert.Equal(t, d.ports[0], state.Releases[1].Slots[rollout.Blue].Port)
	d.deploy(rollout.Blue, first)
	assert.True(t, d.look().Live(first), "and back")
}

// What is done twice changes nothing the second time.
func TestStepsAreIdempotent(t *testing.T) {
	d := newDeployer(t)
	first, second := d.staged("one"), d.staged("two")
	d.deploy(rollout.Blue, first)
	d.acquire("one", 5*time.Minute)
	for _, request := range []protocol.Request{
		d.step(rollout.Start, rollout.Green, second, nil),
		d.step(rollout.Shift, rollout.Green, second, rollout.Split{rollout.Green: 100}),
		d.step(rollout.Prune, "", second, nil),
		d.step(rollout.Stop, rollout.Blue, first, nil),
	} {
		d.must(request)
		d.healthy(rollout.Green)
		once, files := d.look().Slots, d.tree()
		d.must(request)
		assert.Equal(t, once, d.look().Slots, "%s", request.Verb)
		assert.Equal(t, files, d.tree(), "%s", request.Verb)
	}
	d.Stage(t, d.release("two"))
	assert.True(t, d.look().Live(second))
}

// tree is what lies on the machine's disk.
func (d *deployer) tree() map[string]string {
	files := map[string]string{}
	for _, dir := range []string{protocol.StateDir, protocol.UnitDir} {
		err := filepath.WalkDir(filepath.Join(d.Root, dir), func(name string, entry os.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				content, readErr := os.ReadFile(name)
				files[strings.TrimPrefix(name, d.Root)], err = fmt.Sprintf("%.8x", sha256.Sum256(content)), readErr
			}
			return err
		})
		require.NoError(d, err)
	}
	return files
}

func TestTheGuardGoesBack(t *testing.T) {
	for name, end := range map[string]func(*deployer){
		"when the lease ends":       (*deployer).vanish,
		"when the lease is given":   (*deployer).giveBack,
		"when the machine reboots":  func(d *deployer) { d.Reboot() },
		"also when it was killed":   func(d *deployer) { d.vanish(); d.Kill(app + "-guard.service") },
		"also from a dead instance": func(d *deployer) { d.Kill(app + "-blue.service"); d.vanish() },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployer(t)
			first, second := d.staged("one"), d.staged("two")
			d.deploy(rollout.Blue, first)
			d.acquire("one", 5*time.Minute)
			d.start(rollout.Green, second)
			d.eventually(func() bool { return d.get(1, "/") == "two" }, "it starts")
			d.shift(rollout.Green, second)
			end(d)
			d.eventually(func() bool { return d.look().Live(first) }, "the committed release is back")
			assert.Equal(t, protocol.Fenced, d.ask(d.step(rollout.Prune, "", second, nil)).Error.Kind)
			d.guarded()
			assert.Empty(t, d.drift())
			assert.NotEmpty(t, d.must(protocol.Request{Verb: protocol.Observe}).State.Releases)
		})
	}
}

func TestAFirstReleaseThatIsNotCommittedStays(t *testing.T) {
	d := newDeployer(t)
	first := d.staged("one")
	d.acquire("one", 5*time.Minute)
	d.start(rollout.Blue, first)
	d.healthy(rollout.Blue)
	d.shift(rollout.Blue, first)
	d.giveBack()
	d.guarded()
	assert.True(t, d.look().Serves(first))
	assert.Empty(t, d.look().Committed)
}

// A machine that is turned off at any moment comes back with what is committed.
func TestReboot(t *testing.T) {
	d := newDeployer(t)
	first, second := d.staged("one"), d.staged("two")
	d.deploy(rollout.Blue, first)
	d.Reboot()
	d.eventually(func() bool { return d.look().Live(first) }, "it is back")
	d.deploy(rollout.Green, second)
	d.Reboot()
	d.eventually(func() bool { return d.look().Live(second) }, "the new one is back")
	assert.Empty(t, d.drift())
}

// alone stages a release of a service with one instance.
func (d *deployer) alone(version string, environment ...string) string {
	d.Helper()
	r := d.release(version, environment...)
	delete(r.Slots, rollout.Green)
	r.Traffic = protocol.Traffic{}
	d.Stage(d, r)
	return r.Digest
}

// Where the committed release does not get well, the one that took its place comes back: the only healthy instance is not taken
// away, even if it is of the wrong release.
func TestTheOnlyHealthyInstanceStays(t *testing.T) {
	d := newDeployer(t)
	ill := filepath.Join(t.TempDir(), "ill")
	first, second := d.alone("one", "UNHEALTHY_WITH="+ill), d.alone("two")
	d.acquire("one", 5*time.Minute)
	d.start(rollout.Blue, first)
	d.healthy(rollout.Blue)
	d.prune(first)
	d.start(rollout.Blue, second)
	d.healthy(rollout.Blue)
	require.NoError(t, os.WriteFile(ill, nil, 0o600))
	d.giveBack()
	d.eventually(func() bool { s, _ := d.look().Slot(rollout.Blue); return s.Release == first }, "the guard goes back")
	d.eventually(func() bool { return d.look().Serves(second) }, "and then takes what is well")
	d.guarded()
	assert.Equal(t, first, d.look().Committed)
	assert.Equal(t, "two", d.get(0, "/"))
}

// A service with one instance has no proxy, and what is started takes the place of what was there.
func TestRestart(t *testing.T) {
	d := newDeployer(t)
	first, second, broken := d.alone("one"), d.alone("two"), d.alone("three", "NEVER_HEALTHY=1")
	d.acquire("one", 5*time.Minute)
	d.start(rollout.Blue, first)
	d.healthy(rollout.Blue)
	assert.True(t, d.look().Serves(first), "the only instance has all traffic")
	d.prune(first)
	d.start(rollout.Blue, second)
	d.healthy(rollout.Blue)
	assert.Equal(t, "two", d.get(0, "/"))
	refused := d.ask(d.step(rollout.Stop, rollout.Blue, first, nil))
	assert.Nil(t, refused.Error, "what runs is another release")
	d.prune(second)
	assert.True(t, d.look().Live(second))
	assert.Equal(t, protocol.Refused, d.ask(d.step(rollout.Stop, rollout.Blue, second, nil)).Error.Kind, "the committed one is not taken away")
	d.start(rollout.Blue, broken)
	d.eventually(func() bool { s, ok := d.look().Slot(rollout.Blue); return ok && s.Release == broken }, "it runs")
	d.giveBack()
	d.eventually(func() bool { return d.look().Live(second) }, "the guard puts the committed one back")
	d.guarded()
	assert.Empty(t, d.drift())
}

// narrow is a machine whose logins have a umask that keeps everybody else out.
type narrow struct{ *systemdtest.Machine }

func (n narrow) Call(t testing.TB, request protocol.Request, body []byte) protocol.Response {
	t.Helper()
	request.Version, request.Size = protocol.Version, int64(len(body))
	text, err := json.Marshal(request)
	require.NoError(t, err)
	cmd := exec.Command("/bin/sh", "-c", `umask 077; exec "$0" call`, n.Program)
	cmd.Env, cmd.Stdin = n.Environ(), strings.NewReader(string(text)+"\n"+string(body))
	out, err := cmd.Output()
	require.NoError(t, err)
	var response protocol.Response
	require.NoError(t, json.Unmarshal(out, &response))
	return response
}

// The account of a service gets to its program, whatever the umask of who deploys, and to nobody's secrets.
func TestANarrowUmask(t *testing.T) {
	d := newDeployer(t)
	d.caller = narrow{d.Machine}
	r := d.release("one")
	r.Add("credentials/TOKEN", 0o400, []byte("secret"))
	systemdtest.Stage(d, d.caller, r)
	release := filepath.Join(d.Root, protocol.ReleaseDir(app, r.Digest))
	open := []string{filepath.Join(d.Root, protocol.StateDir), filepath.Join(d.Root, protocol.StateDir, app), filepath.Dir(release), release, filepath.Join(release, "bin")}
	mode := func(name string) os.FileMode {
		info, err := os.Stat(name)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	for _, dir := range open {
		assert.Equal(t, os.FileMode(0o755), mode(dir), dir)
		require.NoError(t, os.Chmod(dir, 0o700), "an earlier helper left it so")
	}
	systemdtest.Stage(d, d.caller, r)
	for _, dir := range open {
		assert.Equal(t, os.FileMode(0o755), mode(dir), dir)
	}
	assert.Equal(t, os.FileMode(0o700), mode(filepath.Join(release, "credentials")))
	assert.Equal(t, os.FileMode(0o400), mode(filepath.Join(release, "credentials/TOKEN")))
}

// unitFile writes a unit as somebody else would.
func (d *deployer) unitFile(name string) func(string) error {
	return func(text string) error {
		return os.WriteFile(filepath.Join(d.Root, protocol.UnitDir, name), []byte(text), 0o644)
	}
}
