//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/systemdtest"
)

// The helper is killed before and after each command that it runs, in each step of a rollout. What was committed serves at every
// moment, and the same step again goes on to the end.
func TestKilledAtEveryCommand(t *testing.T) {
	d := newDeployer(t)
	releases := []string{d.staged("one"), d.staged("two")}
	slots := []string{rollout.Blue, rollout.Green}
	d.deploy(slots[0], releases[0])
	kills := 0
	for round, at := 0, 1; ; round, at = round+1, at+1 {
		from, to := round%2, (round+1)%2
		d.acquire("one", 5*time.Minute)
		before, after := releases[from], releases[to]
		k := &killer{n: at}
		for _, request := range []protocol.Request{
			d.step(rollout.Start, slots[to], after, nil),
			d.step(rollout.Shift, slots[to], after, rollout.Split{slots[to]: 100}),
			d.step(rollout.Prune, "", after, nil),
			d.step(rollout.Stop, slots[from], before, nil),
		} {
			if err := k.try(d, request); err != nil {
				now := d.look()
				assert.Contains(t, releases, now.Committed)
				total := 0
				for _, s := range now.Slots {
					if s.Weight > 0 {
						assert.Equal(t, rollout.Healthy, s.Health, "%s with a kill at %d: %+v", request.Verb, at, now)
					}
					total += s.Weight
				}
				assert.Equal(t, 100, total, "%s with a kill at %d", request.Verb, at)
			}
			d.must(request)
			if request.Verb == protocol.Start {
				d.healthy(slots[to])
			}
		}
		assert.True(t, d.look().Live(after), "with a kill at %d", at)
		d.giveBack()
		d.guarded()
		assert.Empty(t, d.drift(), "with a kill at %d", at)
		if k.left() {
			break
		}
		kills++
	}
	t.Logf("%d kills", kills)
	assert.Greater(t, kills, 20)
}

// killer ends the helper at the n-th moment: before its first command, after it, before its second one and so on.
type killer struct {
	mu sync.Mutex
	n  int
}

// left says that there were fewer moments.
func (k *killer) left() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.n > 0
}

// try sends a request to a helper that may be killed.
func (k *killer) try(d *deployer, request protocol.Request) error {
	d.Watch(func(c systemdtest.Command) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.n--
		if k.n == 0 {
			_ = syscall.Kill(c.Caller, syscall.SIGKILL)
		}
	})
	defer d.Watch(nil)
	request.Service = app
	_, err := d.Try(request, nil)
	return err
}

// What others wrote is not overwritten, and what stands in the way is said before anything changes.
func TestWhatIsNotOursStays(t *testing.T) {
	d := newDeployer(t)
	first := d.staged("one")
	foreign := d.unitFile(app + "-blue.service")
	require.NoError(t, foreign("[Service]\nExecStart=/bin/false\n"))
	facts := d.must(protocol.Request{Verb: protocol.Facts, Needs: &protocol.Needs{Ports: d.ports[:]}}).Machine
	require.Len(t, facts.Problems, 1)
	assert.Contains(t, facts.Problems[0].What, "slipway did not write it")
	d.acquire("one", 5*time.Minute)
	before := d.tree()
	refused := d.ask(d.step(rollout.Start, rollout.Blue, first, nil)).Error
	require.NotNil(t, refused)
	assert.Equal(t, protocol.Refused, refused.Kind)
	assert.NotEmpty(t, refused.Next)
	assert.Equal(t, before, d.tree())
	d.giveBack()

	d.deploy(rollout.Green, first)
	require.NoError(t, d.unitFile(app+"-green.service")(mark(first, "[Service]\n")+"Nice=1\n"))
	assert.Contains(t, strings.Join(d.drift(), "\n"), "changed by hand")
}

// A hook runs once, whoever asks how often, and with its release's environment.
func TestHookRunsOnce(t *testing.T) {
	d := newDeployer(t)
	first := d.staged("one")
	d.acquire("one", 5*time.Minute)
	ask := protocol.Request{Verb: protocol.Hook, ID: "1", Fence: d.fence, Place: rollout.Place{Release: first}, Command: []string{"/bin/sh", "-c", `echo "migrates to $VERSION"; exit 4`}}
	for range 2 {
		result := d.must(ask).Hook
		assert.Equal(t, 4, result.ExitCode)
		assert.Equal(t, []string{"migrates to one"}, result.Output)
	}
	ask.ID = "2"
	for n := 1; n < 12; n++ { // killed on the way, and asked again
		k := &killer{n: n}
		err := k.try(d, ask)
		require.Equal(t, k.left(), err == nil)
	}
	assert.Equal(t, 4, d.must(ask).Hook.ExitCode)
	ran := 0
	for _, unit := range []string{"-hook-1-1.service", "-hook-1-2.service"} {
		for _, line := range d.Journal(app + unit) {
			if line == "migrates to one" {
				ran++
			}
		}
	}
	assert.Equal(t, 2, ran, "each once")
	d.giveBack()
	assert.Equal(t, protocol.Fenced, d.ask(ask).Error.Kind)
}

// A hook that hangs is ended on the machine, also when the deployer is gone, and the next one runs.
func TestAHookThatHangsIsEnded(t *testing.T) {
	d := newDeployer(t)
	first := d.staged("one")
	d.acquire("one", 5*time.Minute)
	ask := protocol.Request{Verb: protocol.Hook, ID: "1", Fence: d.fence, TTL: rollout.Duration(time.Second), Place: rollout.Place{Release: first},
		Command: []string{"/bin/sh", "-c", "echo begins; exec sleep 3600"}}
	result := d.must(ask).Hook
	assert.Equal(t, tookTooLong, result.ExitCode)
	assert.Equal(t, []string{"begins", "slipway: it was ended: it took longer than its timeout"}, result.Output)
	ask.ID, ask.Command = "2", []string{"/bin/true"}
	assert.Zero(t, d.must(ask).Hook.ExitCode)
}

// A command of the user's that moves traffic is asked for once more after it was cut off or failed, and until then nobody takes
// where traffic goes for certain.
func TestSwitchByCommand(t *testing.T) {
	d := newDeployer(t)
	record := filepath.Join(t.TempDir(), "split")
	fail := record + ".fail"
	stage := func(version string) string {
		r := d.release(version)
		r.Traffic.Switch = []string{"/bin/sh", "-c", `test ! -e "$1" && echo "$SLIPWAY_SPLIT $SLIPWAY_PORTS $SLIPWAY_SERVICE" >"$0"`, record, fail}
		d.Stage(t, r)
		return r.Digest
	}
	told := func() string {
		text, err := os.ReadFile(record)
		require.NoError(t, err)
		return strings.TrimSpace(string(text))
	}
	first, second := stage("one"), stage("two")
	d.deploy(rollout.Blue, first)
	assert.Equal(t, fmt.Sprintf(`{"blue":100} {"blue":%d} %s`, d.ports[0], app), told())

	d.acquire("one", 5*time.Minute)
	d.start(rollout.Green, second)
	d.healthy(rollout.Green)
	require.NoError(t, os.WriteFile(fail, nil, 0o600))
	refused := d.ask(d.step(rollout.Shift, rollout.Green, second, rollout.Split{rollout.Green: 100})).Error
	require.NotNil(t, refused)
	assert.Equal(t, protocol.Failed, refused.Kind)
	assert.Contains(t, refused.Next, "SLIPWAY_SPLIT")
	assert.Contains(t, strings.Join(d.drift(), "\n"), "was cut off")
	assert.Equal(t, rollout.Split{rollout.Green: 100}, d.look().Split(), "so that going back moves it")
	require.NoError(t, os.Remove(fail))
	require.NoError(t, os.WriteFile(record, []byte("somewhere"), 0o600))
	d.giveBack()
	d.eventually(func() bool { return d.look().Live(first) }, "it goes back")
	d.guarded()
	assert.Contains(t, told(), `{"blue":100}`)
	assert.Empty(t, d.drift())

	// The next deployer may come before the guard: it finds certainty too.
	d.acquire("one", 5*time.Minute)
	d.start(rollout.Green, second)
	d.healthy(rollout.Green)
	k := &killer{n: 3} // show, then the command
	require.Error(t, k.try(d, d.step(rollout.Shift, rollout.Green, second, rollout.Split{rollout.Green: 100})))
	d.acquire("one", 5*time.Minute)
	assert.Equal(t, rollout.Split{rollout.Blue: 100}, d.look().Split())
	assert.Contains(t, told(), `{"blue":100}`)
	d.giveBack()
}

// A follower that nobody reads any more ends, also when the service writes nothing.
func TestFollowedLogsEndWithTheirReader(t *testing.T) {
	d := newDeployer(t)
	d.deploy(rollout.Blue, d.staged("one"))
	cmd := exec.Command(d.Program, "call")
	cmd.Env = d.Environ()
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"version":1,"service":%q,"verb":"logs","follow":true,"tail":10}`, app) + "\n")
	lines, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	text, err := bufio.NewReader(lines).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, text, "version one listens")
	require.NoError(t, lines.Close())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		require.Fail(t, "it still follows")
	}
}

// Whoever else wants the lease is told who has it, at once.
func TestTheSecondDeployerIsTold(t *testing.T) {
	d := newDeployer(t)
	d.acquire("ada@laptop 4711", 5*time.Minute)
	held := d.ask(protocol.Request{Verb: protocol.Acquire, Owner: "ci", TTL: rollout.Duration(time.Minute)}).Error
	require.NotNil(t, held)
	assert.Equal(t, protocol.Held, held.Kind)
	assert.Equal(t, "ada@laptop 4711", held.Lease.Owner)
	d.giveBack()
	d.acquire("ci", time.Minute)
	d.giveBack()
}

// What the machine's firewall keeps away is told, and refuses nothing.
func TestFactsTellOfAFirewall(t *testing.T) {
	d := newDeployer(t)
	d.Answer("iptables", "-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n")
	problems := d.must(protocol.Request{Verb: protocol.Facts, Needs: &protocol.Needs{Listen: []string{fmt.Sprintf(":%d", d.ports[0])}}}).Machine.Problems
	require.Len(t, problems, 1)
	assert.True(t, problems[0].Perhaps)
	assert.Contains(t, problems[0].Next, "--dport "+fmt.Sprint(d.ports[0]))
}

// Releases that nobody needs to go back to are deleted, and those that somebody may need are not, over many rollouts.
func TestRetention(t *testing.T) {
	d := newDeployer(t)
	slots := []string{rollout.Blue, rollout.Green}
	var digests []string
	for i := range 9 {
		r := d.release(fmt.Sprint("version ", i))
		r.Keep = 2
		d.Stage(t, r)
		digests = append(digests, r.Digest)
		d.deploy(slots[i%2], r.Digest)
		state := d.must(protocol.Request{Verb: protocol.Observe}).State
		kept := map[string]bool{}
		for _, r := range state.Releases {
			kept[r.Digest] = true
		}
		assert.True(t, kept[state.Target.Committed])
		assert.True(t, i == 0 || kept[digests[i-1]], "the one before stays")
		assert.LessOrEqual(t, len(kept), 4)
	}
	assert.Equal(t, "version 8", d.get(0, "/"))
}
