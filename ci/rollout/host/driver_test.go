package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
	"github.com/slipway-ci/slipway/ci/rollout/host/sshtest"
	"github.com/slipway-ci/slipway/ci/rollout/rollouttest"
)

var before, after = rollout.Release{Artifact: "one"}, rollout.Release{Artifact: "two"}

func TestDriver_Conformance(t *testing.T) {
	rollouttest.Conformance(t, func(t *testing.T) rollouttest.Subject {
		h := newHosts(t, before.Digest(), "web1")
		return rollouttest.Subject{Driver: h.driver(t), Targets: h.names, First: before.Digest(), Second: after.Digest(), TTL: time.Second}
	})
}

// prepared is a release whose files are there.
func prepared(t *testing.T, change ...func(*Spec)) Rendered {
	t.Helper()
	s := greeter()
	for _, apply := range change {
		apply(&s)
	}
	dir := t.TempDir()
	program := func(name, content string) Program {
		blob := contentBlob([]byte(content))
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(content), 0o755))
		return Program{Path: file, SHA256: blob.SHA256, Size: blob.Size}
	}
	s.Programs = map[string]Program{"amd64": program("greeter", strings.Repeat("greeter", 100_000))}
	s.Proxy.Programs = map[string]Program{"amd64": program("proxy", "proxy")}
	return render(t, s)
}

func TestDriver_OnlyWhatIsMissingTravels(t *testing.T) {
	h := newHosts(t, "", "web1", "web2")
	d, release := h.driver(t), prepared(t)
	facts, err := d.Preflight(t.Context(), release)
	require.NoError(t, err)
	assert.Equal(t, []string{"web1", "web2"}, []string{facts[0].Host, facts[1].Host})
	h.blobs["web2"][release.Hosts["amd64"].Files[0].SHA256] = true
	last := map[string]Progress{}
	upload := func() {
		require.NoError(t, d.Upload(t.Context(), release, func(p Progress) {
			assert.GreaterOrEqual(t, p.Sent, last[p.Host].Sent)
			last[p.Host] = p
		}))
	}
	upload()
	for name, p := range last {
		assert.Equal(t, p.Total, p.Sent, name)
	}
	assert.Greater(t, last["web1"].Total, int64(700_000))
	assert.Less(t, last["web2"].Total, int64(10_000), "the program was there")
	last = map[string]Progress{}
	upload()
	assert.Equal(t, map[string]Progress{"web1": {Host: "web1"}, "web2": {Host: "web2"}}, last)
	require.NoError(t, d.Stage(t.Context(), release))
	assert.Equal(t, release.Release.Digest(), h.staged["web2"][0].Digest)
	assert.Len(t, slices.DeleteFunc(h.called(), func(c string) bool { return !strings.HasPrefix(c, "install") }), 2, "the helper is installed once")
}

// What is cut off on its way is sent again, and a host never has a part of something.
func TestDriver_UploadSurvivesEveryFault(t *testing.T) {
	release := prepared(t)
	upload := func(t *testing.T, d *Driver) error {
		_, err := d.Preflight(t.Context(), release)
		return errors.Join(err, d.Upload(t.Context(), release, nil), d.Stage(t.Context(), release))
	}
	clean := newHosts(t, "", "web1")
	require.NoError(t, upload(t, clean.driver(t)))
	calls, injected := clean.called(), 0
	slots := make(chan struct{}, 12)
	var all sync.WaitGroup
	require.Greater(t, len(calls), 10)
	for i, call := range calls {
		for _, fault := range sshtest.Faults() {
			if injected++; testing.Short() && i%4 != 0 {
				continue
			}
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				t.Run(string(fault)+" "+call, func(t *testing.T) {
					h := newHosts(t, "", "web1")
					h.fault = once(call, string(fault), nil, nil)
					require.NoError(t, upload(t, h.driver(t)))
					require.Equal(t, clean.blobs, h.blobs)
					require.Equal(t, release.Release.Digest(), h.staged["web1"][0].Digest)
				})
			})
		}
	}
	all.Wait()
	t.Logf("injected faults: %d", injected)
}

func TestDriver_PreflightTellsEverythingOfEveryHost(t *testing.T) {
	h := newHosts(t, "", "web1", "web2", "web3")
	h.machine.Problems = []protocol.Problem{{What: "port 80 is nginx's", Next: "stop nginx, or use switch: command"},
		{What: "a firewall may block port 80", Next: "let it through", Perhaps: true}, {What: "the disk is full", Next: "free some space"}}
	d := h.driver(t, func(o *Options) { o.Hosts[2].Address = "ssh://deploy@127.0.0.1:1" })
	facts, err := d.Preflight(t.Context(), prepared(t))
	require.ErrorIs(t, err, remote.ErrUnreachable)
	for _, part := range []string{"web1: port 80 is nginx's: stop nginx", "web2: port 80", "web1: the disk is full: free", "web3: ssh://deploy@127.0.0.1:1: it cannot be reached"} {
		assert.ErrorContains(t, err, part)
	}
	assert.NotContains(t, err.Error(), "firewall may")
	assert.Equal(t, "let it through", facts[0].Problems[0].Next)
}

func TestDriver_UnfitMachinesAreRefusedBeforeAnythingIsChanged(t *testing.T) {
	for hello, parts := range map[string][]string{
		"slipway Linux x86_64 sh deploy":       {"process 1 is sh, not systemd", "not a plain container"},
		"slipway Linux aarch64 systemd deploy": {"a machine of aarch64", "add linux/arm64 to the targets"},
		"slipway Darwin arm64 launchd me":      {"it runs Darwin", "not systemd", "linux/arm64"},
		"This account is not available":        {"give the account a shell"},
	} {
		h := newHosts(t, "", "web1")
		h.hello = hello
		_, err := h.driver(t).Preflight(t.Context(), prepared(t))
		var refused *remote.RefusedError
		require.ErrorAs(t, err, &refused, hello)
		for _, part := range parts {
			assert.ErrorContains(t, err, part)
		}
		assert.Equal(t, []string{"hello web1 1"}, h.called())
	}
}

// A login that is not root needs sudo for the helper alone. These are the real lines of shell, with a sudo that refuses.
func TestDriver_Sudo(t *testing.T) {
	for name, try := range map[string]struct {
		sudo  string
		parts []string
	}{
		"wants a password": {"echo 'sudo: unable to resolve host web1: Name or service not known' >&2; echo 'sudo: a password is required' >&2; exit 1", []string{"may not install the helper: sudo: a password is required", "install -D -m 755", "ALL=(root) NOPASSWD: /opt/slipway/helper/*/slipway-host call"}},
		"helper alone":     {`case "$*" in *slipway-host*call) ;; *) echo 'sudo: a password is required' >&2; exit 1;; esac; shift; exec "$@"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHosts(t, before.Digest(), "web1")
			root, bin := t.TempDir(), t.TempDir()
			write := func(file, text string) {
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
			}
			write(filepath.Join(bin, "sudo"), try.sudo)
			write(filepath.Join(bin, "id"), `[ "$1" = -u ] && echo 1000 || echo deploy`)
			if try.parts == nil {
				write(filepath.Join(root, "helper", h.helper.SHA256, "slipway-host"), `echo '{"machine":{"hostname":"web1"}}'`)
			}
			h.servers[0].Exec = func(ctx context.Context, call sshtest.Call) int {
				if !strings.Contains(call.Command, "slipway-host") {
					return h.exec(ctx, "web1", call)
				}
				call.Command = "PATH=" + bin + ":$PATH; " + strings.ReplaceAll(call.Command, protocol.HelperDir, filepath.Join(root, "helper"))
				return sshtest.Shell(ctx, call)
			}
			_, err := h.driver(t).Preflight(t.Context(), prepared(t))
			if try.parts == nil {
				require.NoError(t, err)
				return
			}
			for _, part := range try.parts {
				assert.ErrorContains(t, err, part)
			}
			assert.NoDirExists(t, filepath.Join(root, "helper"))
		})
	}
}

// What is installed is what was built, or nothing is. These are the real lines of shell.
func TestDriver_InstallsOnlyWhatArrivedCompletely(t *testing.T) {
	h := newHosts(t, before.Digest(), "web1")
	root, bin := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "id"), []byte("#!/bin/sh\necho 0\n"), 0o755)) // the login is root's, whoever tests
	h.servers[0].Exec = func(ctx context.Context, call sshtest.Call) int {
		if !strings.Contains(call.Command, "slipway-host") {
			return h.exec(ctx, "web1", call)
		}
		call.Command = "export PATH=" + bin + ":$PATH; " + strings.ReplaceAll(call.Command, protocol.HelperDir, filepath.Join(root, "helper"))
		return sshtest.Shell(ctx, call)
	}
	helper := "#!/bin/sh\necho '{\"machine\":{\"hostname\":\"web1\"}}'\n"
	require.NoError(t, os.WriteFile(h.helper.Path, []byte("#!/bin/sh\ntouch /tmp/never\n"), 0o755))
	sum := contentBlob([]byte(helper)).SHA256
	d := h.driver(t, func(o *Options) { o.Helpers = map[string]Program{"amd64": {Path: h.helper.Path, SHA256: sum}} })
	_, err := d.Preflight(t.Context(), prepared(t))
	require.ErrorContains(t, err, "did not arrive as "+sum)
	left, err := filepath.Glob(filepath.Join(root, "helper", "*", "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	hidden, err := filepath.Glob(filepath.Join(root, "helper", "*", ".*"))
	require.NoError(t, err)
	assert.Empty(t, hidden)

	require.NoError(t, os.WriteFile(h.helper.Path, []byte(helper), 0o755))
	facts, err := d.Preflight(t.Context(), prepared(t))
	require.NoError(t, err)
	assert.Equal(t, "web1", facts[0].Hostname)
	info, err := os.Stat(filepath.Join(root, "helper", sum, "slipway-host"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode().Perm())
}

// A hook and an entry of the history happen once, also when the connection breaks before the answer.
func TestDriver_OnceOnly(t *testing.T) {
	for _, fault := range sshtest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			h := newHosts(t, before.Digest(), "web1")
			d := h.driver(t)
			lease, err := d.Acquire(t.Context(), "web1", "me", time.Minute)
			require.NoError(t, err)
			h.fault = func(call string) sshtest.Fault {
				if call == "hook web1 1" || call == "record web1 1" {
					return fault
				}
				return sshtest.None
			}
			step := rollout.Step{Verb: rollout.RunHook, Place: rollout.Place{Target: "web1"}, Hook: &rollout.Hook{When: rollout.BeforeSwitch, Command: []string{"migrate", "--all"}, Timeout: rollout.Duration(time.Minute)}}
			require.NoError(t, d.Hook(t.Context(), lease.Fence, step))
			assert.Equal(t, 1, h.hookRuns())
			require.NoError(t, d.Record(t.Context(), h.names, protocol.Entry{Actor: "me", Action: "deploy"}))
			assert.Len(t, h.recorded()["web1"], 1)
			past := d.History(t.Context())
			assert.Equal(t, "deploy", past[0].Entries[0].Action)

			var failed *rollout.HookError
			require.ErrorAs(t, d.Hook(t.Context(), lease.Fence, step), &failed, "another run is another one")
			assert.Equal(t, 1, failed.ExitCode)
			assert.Equal(t, []string{"migrate --all", "within 1m0s"}, failed.Output)
		})
	}
}

func TestDriver_LogsHaveTheirHost(t *testing.T) {
	h := newHosts(t, before.Digest(), "web1", "web2")
	var lines []string
	d := h.driver(t, func(o *Options) { o.Lines = func(host, line string) { lines = append(lines, host+": "+line) } })
	require.NoError(t, d.Logs(t.Context(), 10, false))
	assert.ElementsMatch(t, []string{"web1: one", "web1: two of web1", "web2: one", "web2: two of web2"}, lines)
}

func TestDriver_AHostThatIsAwayIsUnseen(t *testing.T) {
	h := newHosts(t, before.Digest(), "web1", "web2")
	d := h.driver(t, func(o *Options) { o.Hosts[1].Address = "ssh://deploy@127.0.0.1:1" })
	observed, err := d.Observe(t.Context(), h.names)
	require.NoError(t, err)
	assert.True(t, observed.Target("web1").Live(before.Digest()))
	assert.Contains(t, observed.Target("web2").Unseen, "cannot be reached")
	_, err = d.Observe(t.Context(), []string{"web2"})
	require.ErrorIs(t, err, remote.ErrUnreachable)
}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	_, err := New(Options{Hosts: []Host{{Name: "a", Address: "local:"}, {Name: "a", Address: "web1"}, {Address: "ssh://x"}}})
	for _, part := range []string{`"a": each needs a name`, `"web1": use ssh://`, `"": each needs`} {
		assert.ErrorContains(t, err, part)
	}
}

// faults are what happens to a deployer at a call.
const (
	crashBefore = "deployer killed before"
	crashAfter  = "deployer killed after"
	interrupt   = "interrupt"
)

func everyFault() []string {
	faults := []string{crashBefore, crashAfter, interrupt}
	for _, fault := range sshtest.Faults() {
		faults = append(faults, string(fault))
	}
	return faults
}

func quick(strategy rollout.Strategy, names []string) rollout.Spec {
	ms := rollout.Duration(time.Millisecond)
	return rollout.Spec{Environment: "prod", Release: after, Targets: names, Strategy: strategy, Batch: 2, Bake: 20 * ms, Interval: 10 * ms,
		Gates: rollout.Gates{Times: 1, Every: 30 * ms, Deadline: 20_000 * ms}}
}

func roll(ctx context.Context, d *Driver, spec rollout.Spec) rollout.Result {
	return rollout.Runner{Driver: d, Owner: fmt.Sprintf("%p", d), TTL: time.Minute, StepDeadline: 10 * time.Second, UndoDeadline: 10 * time.Second, Grace: 100 * time.Millisecond}.Run(ctx, spec)
}

// SSH is cut, or falls silent, at every remote call of every strategy; the deployer is killed or interrupted there. Traffic
// always goes to a healthy instance, what was done is not done twice, and the same command again leads to the release.
func TestDriver_EveryFaultAtEveryCall(t *testing.T) {
	var mu sync.Mutex
	injected, counted := map[string]int{}, 0
	for _, strategy := range []rollout.Strategy{rollout.Rolling, rollout.BlueGreen, rollout.Canary} {
		t.Run(string(strategy), func(t *testing.T) {
			calls := callsOf(t, strategy)
			slots := make(chan struct{}, 12)
			var all sync.WaitGroup
			for _, call := range calls {
				for _, fault := range everyFault() {
					// All of them take a minute. A short run tries each 37th.
					if counted++; testing.Short() && counted%37 != 0 {
						continue
					}
					slots <- struct{}{}
					all.Go(func() {
						defer func() { <-slots }()
						t.Run(fault+" "+call, func(t *testing.T) { survives(t, strategy, call, fault) })
						mu.Lock()
						defer mu.Unlock()
						injected[fault]++
					})
				}
			}
			all.Wait()
		})
	}
	t.Logf("injected faults: %v, of %d", injected, counted)
	assert.GreaterOrEqual(t, counted, 400)
}

// callsOf are the names of all remote calls of a rollout where nothing goes wrong.
func callsOf(t *testing.T, strategy rollout.Strategy) []string {
	t.Helper()
	h := newHosts(t, before.Digest(), "web1", "web2", "web3")
	result := roll(t.Context(), h.driver(t), quick(strategy, h.names))
	require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
	return slices.Compact(slices.Sorted(slices.Values(h.called())))
}

func survives(t *testing.T, strategy rollout.Strategy, call, fault string) {
	h := newHosts(t, before.Digest(), "web1", "web2", "web3")
	first := h.State()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dead := make(chan struct{})
	h.fault = once(call, fault, func() { close(dead) }, cancel)
	d := h.driver(t, mortal(dead))
	spec := quick(strategy, h.names)
	result := roll(ctx, d, spec)
	require.Contains(t, h.called(), call, "the fault was injected")
	switch fault {
	case crashBefore, crashAfter:
		h.Expire() // the lease's time passes
		committed(t, h, first)
	case interrupt:
		if result.Outcome == rollout.Interrupted {
			require.Equal(t, traffic(first), traffic(h.State()))
		} else {
			require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
		}
	default:
		require.Equal(t, rollout.Done, result.Outcome, "a connection that breaks is opened again: %v", result.Cause)
		require.NoError(t, result.Cause)
		if strings.HasSuffix(fault, "after") {
			notTwice(t, h.Writes())
		}
	}
	again := roll(t.Context(), h.driver(t), spec)
	require.Equal(t, rollout.Done, again.Outcome, "%v", again.Cause)
	for _, target := range h.State().Targets {
		require.True(t, target.Live(after.Digest()), "%+v", target)
		require.Zero(t, target.Lease)
	}
	require.Empty(t, h.Broken(), "traffic always went to a healthy instance")
}

// once injects a fault at a call, the first time that it is made.
func once(call, fault string, kill, cancel func()) func(string) sshtest.Fault {
	var first sync.Once
	return func(name string) (kind sshtest.Fault) {
		if name != call {
			return sshtest.None
		}
		first.Do(func() {
			switch fault {
			case crashBefore:
				kill()
				kind = sshtest.CutBefore
			case crashAfter:
				kill()
				kind = sshtest.CutAfter
			case interrupt:
				cancel()
			default:
				kind = sshtest.Fault(fault)
			}
		})
		return kind
	}
}

// mortal makes a driver that does nothing any more once its deployer is dead.
func mortal(dead chan struct{}) func(*Options) {
	return func(o *Options) {
		o.Open = func(ctx context.Context, address string, ro remote.Options) (remote.Machine, error) {
			machine, err := remote.Open(ctx, address, ro)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(whenClosed(dead, machine.Lost()), func() { machine.Close() })
			return &mortalMachine{machine, dead}, nil
		}
	}
}

func whenClosed(either, or <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		select {
		case <-either:
		case <-or:
		}
	}()
	return ctx
}

type mortalMachine struct {
	remote.Machine
	dead chan struct{}
}

var errDead = errors.New("the deployer is dead")

func (m *mortalMachine) Run(ctx context.Context, command string, streams remote.Streams) error {
	select {
	case <-m.dead:
		return errDead
	default:
		return m.Machine.Run(ctx, command, streams)
	}
}

// committed says that each target's traffic is with what it committed.
func committed(t *testing.T, h *hosts, first rollout.Observed) {
	t.Helper()
	for _, target := range h.State().Targets {
		require.True(t, target.Serves(target.Committed), "%+v", target)
		require.Contains(t, []string{before.Digest(), after.Digest()}, target.Committed)
	}
	require.Len(t, h.State().Targets, len(first.Targets))
}

func notTwice(t *testing.T, writes []rollouttest.Write) {
	t.Helper()
	seen := map[string]bool{}
	for _, write := range writes {
		text := fmt.Sprint(write.Fence, write.Step)
		require.False(t, seen[text], "%s was done twice", write.Step)
		seen[text] = true
	}
}

func traffic(observed rollout.Observed) map[string]rollout.Split {
	splits := map[string]rollout.Split{}
	for _, target := range observed.Targets {
		splits[target.Name] = target.Split()
	}
	return splits
}

// A host that takes long to answer a heartbeat is not lost: it has half of the lease's time.
func TestDriver_ASlowHostKeepsItsLease(t *testing.T) {
	h := newHosts(t, before.Digest(), "web1")
	h.slow = 700 * time.Millisecond
	spec := quick(rollout.BlueGreen, h.names)
	spec.Bake = rollout.Duration(3 * time.Second)
	result := rollout.Runner{Driver: h.driver(t), Owner: "me", TTL: 2 * time.Second}.Run(t.Context(), spec)
	require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
}

// Many deployers at once: one at a time writes, the others are told who it is.
func TestDriver_RacersDoNotInterleave(t *testing.T) {
	h := newHosts(t, before.Digest(), "web1", "web2", "web3")
	results := make(chan rollout.Result)
	const racers = 10
	for range racers {
		d := h.driver(t)
		go func() { results <- roll(t.Context(), d, quick(rollout.Rolling, h.names)) }()
	}
	outcomes := map[rollout.Outcome]int{}
	for range racers {
		result := <-results
		outcomes[result.Outcome]++
		if result.Outcome == rollout.Refused {
			var held *rollout.HeldError
			require.ErrorAs(t, result.Cause, &held)
			assert.NotEmpty(t, held.Lease.Owner)
		}
	}
	assert.GreaterOrEqual(t, outcomes[rollout.Done], 1)
	assert.Equal(t, racers, outcomes[rollout.Done]+outcomes[rollout.Refused], "%v", outcomes)
	fences := map[string]uint64{}
	for _, write := range h.Writes() {
		require.GreaterOrEqual(t, write.Fence, fences[write.Step.Target], "%s by %s", write.Step, write.Owner)
		fences[write.Step.Target] = write.Fence
	}
	assert.Empty(t, h.Broken())
}

// A lock holder sleeps past its lease, at each call, while somebody else rolls out. When it wakes, nothing is written any more.
func TestDriver_SleeperIsFenced(t *testing.T) {
	calls := callsOf(t, rollout.BlueGreen)
	for i, call := range calls {
		if testing.Short() && i%9 != 0 {
			continue
		}
		h := newHosts(t, before.Digest(), "web1", "web2", "web3")
		var once sync.Once
		sleeper, other := h.driver(t), h.driver(t)
		fault := func(name string) sshtest.Fault {
			if name == call {
				once.Do(func() {
					h.Expire()
					result := roll(t.Context(), other, quick(rollout.BlueGreen, h.names))
					assert.Contains(t, []rollout.Outcome{rollout.Done, rollout.Refused}, result.Outcome, "%s: %v", call, result.Cause)
				})
			}
			return sshtest.None
		}
		h.mu.Lock()
		h.fault = fault
		h.mu.Unlock()
		roll(t.Context(), sleeper, quick(rollout.BlueGreen, h.names))
		result := roll(t.Context(), h.driver(t), quick(rollout.BlueGreen, h.names))
		require.Equal(t, rollout.Done, result.Outcome, "%s: %v", call, result.Cause)
		fences := map[string]uint64{}
		for _, write := range h.Writes() {
			require.GreaterOrEqual(t, write.Fence, fences[write.Step.Target], "%s by %s", write.Step, write.Owner)
			fences[write.Step.Target] = write.Fence
		}
		require.Empty(t, h.Broken(), call)
	}
}

// Whatever a host answers, it is an answer or an error.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"", "{}", "hello\n{\"error\":{\"kind\":\"held\"}}\n", `{"error":{"kind":"fenced","lease":{}}}`, `{"state":{"target":{"slots":[{}]}}}`, "null", "[1]"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m := newMachine(Host{Name: "web1", Address: "local:"}, Options{})
		if _, err := m.read(text); err != nil {
			assert.ErrorContains(t, err, "web1")
		}
	})
}
