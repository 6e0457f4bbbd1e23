//go:build linux

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	"github.com/slipway-ci/slipway/ci/rollout/host/systemdtest"
	"github.com/slipway-ci/slipway/ci/rollout/rollouttest"
	"github.com/slipway-ci/slipway/ci/systemd"
)

// fleet is a machine in a directory behind an SSH server, with the real helper. Several would share the ports of this one.
type fleet struct {
	hosts         // names, and faults
	machines      []*systemdtest.Machine
	options       Options
	spec          Spec
	first, second Rendered
	ttl           time.Duration
}

// Leases, on a machine with much to do.
const (
	shortest = 8 * time.Second  // where a test waits for its end
	long     = 30 * time.Second // where none does
)

func newFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("it compiles the helper, and waits for leases to end: run without -short")
	}
	f := &fleet{hosts: hosts{names: names, calls: map[string]int{}}, ttl: long}
	f.options = Options{Service: app, Remote: remote.Options{User: "me", System: t.TempDir(), KeepAlive: 300 * time.Millisecond}}
	for _, name := range names {
		m := systemdtest.New(t)
		server := sshtest.Start(t, sshtest.Options{
			Exec:  func(ctx context.Context, call sshtest.Call) int { return onMachine(ctx, m, call) },
			Fault: func(call sshtest.Call) sshtest.Fault { return f.named(name, call) },
		})
		f.machines, f.servers = append(f.machines, m), append(f.servers, server)
		f.options.Hosts = append(f.options.Hosts, Host{Name: name, Address: server.Address()})
		f.options.Helpers = map[string]Program{goarch(t): {Path: m.Program, SHA256: filepath.Base(filepath.Dir(m.Program))}}
	}
	f.home = sshtest.NewHome(t, f.servers...)
	f.options.Remote.Home = f.home.Dir
	f.spec = f.service(t)
	f.first, f.second = f.version(t, "1"), f.version(t, "2")
	f.deploy(t, f.first)
	return f
}

// onMachine runs a command as if the machine's directory was all there is.
func onMachine(ctx context.Context, m *systemdtest.Machine, call sshtest.Call) int {
	command := strings.ReplaceAll(call.Command, protocol.HelperDir, filepath.Join(m.Root, protocol.HelperDir))
	command = strings.ReplaceAll(command, "/proc/1/comm", filepath.Join(m.Root, "proc/1/comm"))
	// What was begun goes on when the connection ends, as with sshd.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", `id() { echo 0; }; `+strings.TrimPrefix(command, "exec "))
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = m.Environ(), call.Stdin, call.Stdout, call.Stderr
	var failed *exec.ExitError
	switch err := cmd.Run(); {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		return failed.ExitCode()
	}
	return 255
}

func goarch(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("uname", "-m").Output()
	require.NoError(t, err)
	return architectures[strings.TrimSpace(string(out))]
}

// service is the small service of systemdtest, rendered by us.
func (f *fleet) service(t *testing.T) Spec {
	t.Helper()
	ports := systemdtest.FreePorts(t)
	for i, m := range f.machines {
		require.NoError(t, os.MkdirAll(filepath.Join(m.Root, "proc/1"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(m.Root, "proc/1/comm"), []byte("systemd\n"), 0o644), f.names[i])
	}
	release := systemdtest.Service(t, app, ports)
	file := filepath.Join(t.TempDir(), "service")
	content := release.Blobs[release.Files[0].SHA256]
	require.NoError(t, os.WriteFile(file, content, 0o755))
	return Spec{Service: app, Binary: "service", Ports: Ports{Blue: ports[0], Green: ports[1]}, Health: "/health", Switch: []string{"/bin/true"},
		Programs: map[string]Program{goarch(t): {Path: file, SHA256: contentBlob(content).SHA256, Size: int64(len(content))}}}
}

func (f *fleet) version(t *testing.T, version string) Rendered {
	t.Helper()
	s := f.spec
	s.Version, s.Environment = version, []systemd.Variable{{Name: "VERSION", Value: version}}
	return render(t, s)
}

func (f *fleet) open(t *testing.T, change ...func(*Options)) *Driver {
	t.Helper()
	o := f.options
	for _, apply := range change {
		apply(&o)
	}
	d, err := New(o)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

func (f *fleet) stage(t *testing.T, d *Driver, r Rendered) {
	t.Helper()
	_, err := d.Preflight(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, d.Upload(t.Context(), r, nil))
	require.NoError(t, d.Stage(t.Context(), r))
}

func (f *fleet) wanted(strategy rollout.Strategy, r Rendered) rollout.Spec {
	spec := quick(strategy, f.names)
	spec.Release = r.Release
	// Nobody asks the service anything.
	spec.Gates.NoTraffic, spec.Gates.Deadline, spec.Gates.Every = rollout.PassOnHealth, rollout.Duration(time.Minute), rollout.Duration(300*time.Millisecond)
	return spec
}

func (f *fleet) roll(ctx context.Context, d *Driver, strategy rollout.Strategy, r Rendered) rollout.Result {
	return rollout.Runner{Driver: d, Owner: fmt.Sprintf("%p", d), TTL: f.ttl}.Run(ctx, f.wanted(strategy, r))
}

func (f *fleet) deploy(t *testing.T, r Rendered) {
	t.Helper()
	d := f.open(t)
	f.stage(t, d, r)
	result := f.roll(t.Context(), d, rollout.BlueGreen, r)
	require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
}

func TestHelper_Conformance(t *testing.T) {
	subjects := map[*testing.T]rollouttest.Subject{} // the suite asks twice
	rollouttest.Conformance(t, func(t *testing.T) rollouttest.Subject {
		if made, ok := subjects[t]; ok {
			return made
		}
		f := newFleet(t, "web1")
		d := f.open(t)
		f.stage(t, d, f.second)
		subjects[t] = rollouttest.Subject{Driver: d, Targets: f.names, First: f.first.Release.Digest(), Second: f.second.Release.Digest(), TTL: shortest}
		return subjects[t]
	})
}

// All the verbs of a user, each twice.
func TestHelper_DeployRollbackHistoryLogs(t *testing.T) {
	f := newFleet(t, "web1")
	d := f.open(t)
	f.stage(t, d, f.second)
	for range 2 {
		result := f.roll(t.Context(), d, rollout.Canary, f.second)
		require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
	}
	sent := map[string]int64{}
	require.NoError(t, d.Upload(t.Context(), f.version(t, "3"), func(p Progress) { sent[p.Host] = p.Total }))
	for name, total := range sent {
		assert.Less(t, total, int64(1000), "%s: a changed environment alone travels", name)
	}
	for _, seen := range d.States(t.Context()) {
		require.NoError(t, seen.Err)
		assert.Equal(t, f.first.Release.Digest(), seen.State.Previous, "rollback knows where to")
		assert.Empty(t, seen.State.Drift)
	}
	for range 2 {
		result := f.roll(t.Context(), d, rollout.Rolling, f.first)
		require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
	}
	entry := protocol.Entry{Actor: "me", Action: "rollback", Release: f.first.Release.Digest(), Outcome: rollout.Done}
	require.NoError(t, d.Record(t.Context(), f.names, entry))
	for _, past := range d.History(t.Context()) {
		require.NoError(t, past.Err)
		assert.Empty(t, past.Broken)
		assert.Equal(t, "rollback", past.Entries[len(past.Entries)-1].Action)
	}
	var mu sync.Mutex
	hosts := map[string]int{}
	logs := f.open(t, func(o *Options) {
		o.Lines = func(host, _ string) { mu.Lock(); defer mu.Unlock(); hosts[host]++ }
	})
	require.NoError(t, logs.Logs(t.Context(), 5, false))
	assert.Len(t, hosts, 1, "%v", hosts)
}

// Filebeat reads what belongs to the committed release, also after a rollback, which has no preflight.
func TestHelper_FilebeatFollowsTheRelease(t *testing.T) {
	f := newFleet(t, "web1")
	f.spec.Filebeat = &Filebeat{Dir: "/etc/filebeat/inputs.d", Environment: "prod"}
	release := f.version(t, "2")
	d := f.open(t)
	_, err := d.Preflight(t.Context(), release)
	require.ErrorContains(t, err, "is not there: install Filebeat")
	dir := filepath.Join(f.machines[0].Root, f.spec.Filebeat.Dir)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	f.deploy(t, release)
	text, err := os.ReadFile(filepath.Join(dir, app+".yml"))
	require.NoError(t, err)
	assert.Equal(t, release.Hosts[goarch(t)].Filebeat.Input, string(text))

	require.Equal(t, rollout.Done, f.roll(t.Context(), d, rollout.BlueGreen, f.first).Outcome)
	assert.NoFileExists(t, filepath.Join(dir, app+".yml"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, app+".yml"), []byte("- type: log\n"), 0o644))
	result := f.roll(t.Context(), d, rollout.BlueGreen, release)
	require.ErrorContains(t, result.Cause, "slipway did not write it")
	assert.Equal(t, rollout.RolledBack, result.Outcome)
	require.NoError(t, os.Remove(filepath.Join(dir, app+".yml")))
	require.Equal(t, rollout.Done, f.roll(t.Context(), d, rollout.BlueGreen, release).Outcome)
	assert.FileExists(t, filepath.Join(dir, app+".yml"))
}

// The real helper, cut off or with a deployer that is killed, at every call of every strategy, each with another fault: the machine
// goes back by itself when the lease ends, and the same command again leads to the release.
func TestHelper_EveryFaultAtEveryCall(t *testing.T) {
	injected, faults, at := map[string]int{}, everyFault(), 0
	for _, strategy := range []rollout.Strategy{rollout.Rolling, rollout.BlueGreen, rollout.Canary} {
		f := newFleet(t, "web1")
		f.stage(t, f.open(t), f.second)
		begun := len(f.called())
		require.Equal(t, rollout.Done, f.roll(t.Context(), f.open(t), strategy, f.second).Outcome)
		for _, call := range f.called()[begun:] {
			fault := faults[at%len(faults)]
			injected[fault]++
			at++
			t.Run(fmt.Sprintf("%s %s %s", strategy, fault, call), func(t *testing.T) {
				t.Parallel()
				recovers(t, strategy, call, fault)
			})
		}
	}
	t.Logf("injected faults: %v", injected)
}

func recovers(t *testing.T, strategy rollout.Strategy, call, fault string) {
	f := newFleet(t, "web1")
	f.stage(t, f.open(t), f.second)
	f.mu.Lock()
	dead := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.fault = once(call, fault, func() { close(dead) }, cancel)
	f.mu.Unlock()
	f.ttl = shortest
	result := f.roll(ctx, f.open(t, mortal(dead)), strategy, f.second)
	f.ttl = long
	if !strings.HasPrefix(fault, "deployer") && fault != interrupt {
		require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
	}
	require.Contains(t, f.called(), call, "the fault was injected")
	d := f.open(t)
	require.Eventually(t, func() bool {
		observed, err := d.Observe(t.Context(), f.names)
		require.NoError(t, err)
		for _, target := range observed.Targets {
			if !target.Serves(target.Committed) {
				return false
			}
		}
		return true
	}, time.Minute, 100*time.Millisecond, "traffic is with what is committed")
	require.Eventually(t, func() bool {
		result = f.roll(t.Context(), d, strategy, f.second)
		var held *rollout.HeldError
		return !errors.As(result.Cause, &held)
	}, time.Minute, 100*time.Millisecond, "the lease ends by itself")
	require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
	observed, err := d.Observe(t.Context(), f.names)
	require.NoError(t, err)
	for _, target := range observed.Targets {
		require.True(t, target.Live(f.second.Release.Digest()), "%+v", target)
	}
}

// The machine itself, without SSH.
func TestHelper_Local(t *testing.T) {
	f := newFleet(t, "web1")
	m := f.machines[0]
	d := f.open(t, func(o *Options) {
		o.Hosts = []Host{{Name: "web1", Address: "local:"}}
		o.Open = func(ctx context.Context, address string, ro remote.Options) (remote.Machine, error) {
			local, err := remote.Open(ctx, address, ro)
			return inDirectory{local, m}, err
		}
	})
	f.stage(t, d, f.second)
	result := f.roll(t.Context(), d, rollout.BlueGreen, f.second)
	require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
}

// inDirectory is a local machine whose root is elsewhere.
type inDirectory struct {
	remote.Machine
	m *systemdtest.Machine
}

func (l inDirectory) Run(ctx context.Context, command string, s remote.Streams) error {
	command = strings.ReplaceAll(command, protocol.HelperDir, filepath.Join(l.m.Root, protocol.HelperDir))
	command = strings.ReplaceAll(command, "/proc/1/comm", filepath.Join(l.m.Root, "proc/1/comm"))
	var path string
	for _, variable := range l.m.Environ() {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	return l.Machine.Run(ctx, "id() { echo 0; }; export PATH="+remote.Quote(path)+"; "+command, s)
}

// A secret of a release is in no answer, no unit, and no argument of a process.
func TestHelper_SecretsStayInTheirFiles(t *testing.T) {
	f := newFleet(t, "web1")
	f.spec.Secrets = []Secret{{Name: "token", Value: secretValue}, {Name: "DATABASE_URL", Value: secretValue, Environment: true}}
	release := f.version(t, "2")
	var said bytes.Buffer
	exec := f.servers[0].Exec
	var mu sync.Mutex
	f.servers[0].Exec = func(ctx context.Context, call sshtest.Call) int {
		mu.Lock()
		fmt.Fprintf(&said, "%s %s\n", call.Command, call.Line)
		mu.Unlock()
		call.Stdout = io.MultiWriter(call.Stdout, &locked{&mu, &said})
		return exec(ctx, call)
	}
	d := f.open(t)
	f.stage(t, d, release)
	require.Equal(t, rollout.Done, f.roll(t.Context(), d, rollout.BlueGreen, release).Outcome)
	mu.Lock()
	defer mu.Unlock()
	assert.Contains(t, said.String(), "stage")
	assert.NotContains(t, said.String(), "3kr1t")
	require.NoError(t, filepath.WalkDir(f.machines[0].Root, func(name string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // a socket or a file that is gone holds no secret
		}
		info, err := entry.Info()
		require.NoError(t, err)
		if content, err := os.ReadFile(name); err == nil && bytes.Contains(content, []byte("3kr1t")) {
			assert.Zero(t, info.Mode().Perm()&0o077, "%s can be read by others", name)
		}
		return nil
	}))
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.w.Write(p) }
