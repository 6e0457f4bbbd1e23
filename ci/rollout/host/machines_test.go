//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

func TestMain(m *testing.M) { os.Exit(machinetest.Main(m)) }

const (
	otherPort = 8022            // of an sshd that a test starts
	patience  = 3 * time.Minute // with machines that share two processors with other tests
)

// site is real machines, with sshd and systemd.
type site struct {
	machines []*machinetest.Machine
	helper   Program
	program  Program
	services int
}

func newSite(t *testing.T, count int) *site {
	t.Helper()
	s := &site{machines: machinetest.Start(t, count, otherPort)}
	s.helper, s.program = compiled(t, "helper"), compiled(t, "systemdtest/service")
	return s
}

func compiled(t *testing.T, name string) Program {
	t.Helper()
	file := filepath.Join(t.TempDir(), filepath.Base(name))
	cmd := exec.Command("go", "build", "-trimpath", "-o", file, "./"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+machinetest.Arch(), "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return Program{Path: file, SHA256: contentBlob(content).SHA256, Size: int64(len(content))}
}

// home knows the machines, and has the key to them.
func (s *site) home(t *testing.T) sshtest.Home {
	t.Helper()
	home := sshtest.NewHome(t)
	var known, config strings.Builder
	for i, m := range s.machines {
		host, port, _ := strings.Cut(m.SSH, ":")
		fmt.Fprintf(&known, "[%s]:%s %s\n", host, port, m.HostKey)
		fmt.Fprintf(&config, "Host %s\n  HostName %s\n  Port %s\n  User deploy\n  IdentityFile ~/.ssh/key%d\n  IdentitiesOnly yes\n", m.Name, host, port, i)
		home.Write(t, fmt.Sprintf("key%d", i), string(m.Key))
	}
	home.Write(t, "known_hosts", known.String())
	home.Write(t, "config", config.String())
	return home
}

func (s *site) open(t *testing.T, service string, home sshtest.Home, change ...func(*Options)) *Driver {
	t.Helper()
	o := Options{Service: service, Helpers: map[string]Program{machinetest.Arch(): s.helper}, Remote: remote.Options{Home: home.Dir, User: "me", System: t.TempDir()}}
	for _, m := range s.machines {
		o.Hosts = append(o.Hosts, Host{Name: m.Name, Address: "ssh://" + m.Name})
	}
	for _, apply := range change {
		apply(&o)
	}
	d, err := New(o)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// service is a new one, with ports of its own.
func (s *site) service() Spec {
	s.services++
	return Spec{Service: fmt.Sprintf("small-%d", s.services), Binary: "service", Health: "/health", Switch: []string{"/bin/true"},
		Ports: Ports{Blue: 20000 + 2*s.services, Green: 20001 + 2*s.services}, Programs: map[string]Program{machinetest.Arch(): s.program}}
}

func version(t *testing.T, s Spec, version string) Rendered {
	t.Helper()
	s.Version, s.Environment = version, append(s.Environment, systemd.Variable{Name: "VERSION", Value: version})
	return render(t, s)
}

func prepare(t *testing.T, d *Driver, r Rendered) {
	t.Helper()
	_, err := d.Preflight(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, d.Upload(t.Context(), r, nil))
	require.NoError(t, d.Stage(t.Context(), r))
}

func deployed(t *testing.T, d *Driver, strategy rollout.Strategy, r Rendered) {
	t.Helper()
	prepare(t, d, r)
	result := rollsOut(t, d, strategy, r)
	require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
}

// unhurried is a rollout whose gates are for machines that have much else to do.
func unhurried(strategy rollout.Strategy, d *Driver, r Rendered) rollout.Spec {
	spec := quick(strategy, d.Targets())
	spec.Release, spec.Gates.NoTraffic = r.Release, rollout.PassOnHealth
	spec.Gates.Every, spec.Gates.Deadline = rollout.Duration(time.Second), rollout.Duration(2*time.Minute)
	return spec
}

// rollsOut rolls out what is prepared.
func rollsOut(t *testing.T, d *Driver, strategy rollout.Strategy, r Rendered, change ...func(*rollout.Spec)) rollout.Result {
	t.Helper()
	spec := unhurried(strategy, d, r)
	for _, c := range change {
		c(&spec)
	}
	return rollout.Runner{Driver: d, Owner: "me", TTL: time.Minute, StepDeadline: patience}.Run(t.Context(), spec)
}

func TestMachines(t *testing.T) {
	s := newSite(t, 3)
	t.Run("refused", func(t *testing.T) { s.refused(t) })
	t.Run("deploy", func(t *testing.T) { s.deploys(t) })
	t.Run("back", func(t *testing.T) {
		s.exits(t)
		assert.Less(t, s.goesBack(t), 10*time.Second, "a second, on machines that do nothing else")
	})
	t.Run("disk full", func(t *testing.T) { s.fills(t) })
	t.Run("killed", func(t *testing.T) { s.survives(t) })
	t.Run("conformance", func(t *testing.T) { s.conforms(t) })
}

// A fleet of ten goes back as one.
func TestTenMachinesGoBack(t *testing.T) {
	if os.Getenv("SLIPWAY_SOAK") == "" {
		t.Skip("it starts ten machines: make soak runs it")
	}
	took := newSite(t, 10).goesBack(t)
	assert.Less(t, took, 30*time.Second)
}

// exits rolls out a release that ends at once: it gets no traffic, and the old one keeps all of it.
func (s *site) exits(t *testing.T) {
	spec := s.service()
	d := s.open(t, spec.Service, s.home(t))
	first := version(t, spec, "1")
	deployed(t, d, rollout.BlueGreen, first)
	spec.Environment = append(spec.Environment, systemd.Variable{Name: "EXITS", Value: "1"})
	second := version(t, spec, "2")
	prepare(t, d, second)
	result := rollsOut(t, d, rollout.BlueGreen, second, func(s *rollout.Spec) { s.Gates.Deadline = rollout.Duration(5 * time.Second) })
	require.Equal(t, rollout.RolledBack, result.Outcome, "%v", result.Cause)
	t.Log(result.Cause)
	s.serve(t, d, first)
}

// goesBack rolls out a release that turns unhealthy on one machine when it has all traffic, and tells how long after the gate
// that sees it all machines send their traffic to the old release again.
func (s *site) goesBack(t *testing.T) time.Duration {
	spec := s.service()
	d := s.open(t, spec.Service, s.home(t))
	first := version(t, spec, "1")
	deployed(t, d, rollout.BlueGreen, first)
	unwell := "/etc/unwell-" + spec.Service
	spec.Environment = append(spec.Environment, systemd.Variable{Name: "UNHEALTHY_WITH", Value: unwell})
	second := version(t, spec, "2")
	prepare(t, d, second)
	wanted := unhurried(rollout.BlueGreen, d, second)
	wanted.Bake, wanted.Gates.Every = rollout.Duration(2*time.Minute), rollout.Duration(200*time.Millisecond)
	var ill sync.Once
	var failed, back time.Time
	result := rollout.Runner{Driver: d, Owner: "me", TTL: time.Minute, StepDeadline: patience, Notify: func(e rollout.Event) {
		switch {
		case e.Phase == rollout.Ended && e.Step.Verb == rollout.Shift:
			ill.Do(func() {
				_, err := s.machines[0].Try("touch "+unwell, "")
				assert.NoError(t, err)
			})
		case e.Phase == rollout.Ended && e.Step.Verb == rollout.Gate && e.Err != nil:
			failed = time.Now()
		case e.Phase == rollout.Undone && e.Step.Verb == rollout.Shift:
			back = time.Now()
		}
	}}.Run(t.Context(), wanted)
	require.Equal(t, rollout.RolledBack, result.Outcome, "%v", result.Cause)
	require.False(t, failed.IsZero() || back.Before(failed), "%v: failed %s, back %s", result.Cause, failed, back)
	s.serve(t, d, first)
	t.Logf("%d machines: all traffic is back %s after the gate failed: %v", len(s.machines), back.Sub(failed).Round(time.Millisecond), result.Cause)
	return back.Sub(failed)
}

// serve asserts that all machines serve a release, and nothing else.
func (s *site) serve(t *testing.T, d *Driver, r Rendered) {
	t.Helper()
	observed, err := d.Observe(t.Context(), d.Targets())
	require.NoError(t, err)
	for _, target := range observed.Targets {
		assert.True(t, target.Live(r.Release.Digest()), "%+v", target)
	}
}

func (s *site) conforms(t *testing.T) {
	subjects := map[*testing.T]rollouttest.Subject{} // the suite asks twice
	one := &site{machines: s.machines[:1], helper: s.helper, program: s.program}
	rollouttest.Conformance(t, func(t *testing.T) rollouttest.Subject {
		if made, ok := subjects[t]; ok {
			return made
		}
		one.services = s.services + len(subjects)
		spec := one.service()
		d := one.open(t, spec.Service, one.home(t))
		first, second := version(t, spec, "1"), version(t, spec, "2")
		deployed(t, d, rollout.BlueGreen, first)
		prepare(t, d, second)
		subjects[t] = rollouttest.Subject{Driver: d, Targets: d.Targets(), First: first.Release.Digest(), Second: second.Release.Digest(), TTL: 15 * time.Second}
		return subjects[t]
	})
}

// deploys rolls out to all machines, twice and back, with secrets and another environment.
func (s *site) deploys(t *testing.T) {
	spec := s.service()
	spec.Secrets = []Secret{{Name: "token", Value: secretValue}, {Name: "DATABASE_URL", Value: secretValue, Environment: true}}
	spec.Environment = []systemd.Variable{{Name: "ODD", Value: "a'b\"c $HOME %h\n[Service]"}}
	d := s.open(t, spec.Service, s.home(t))
	first, second := version(t, spec, "1"), version(t, spec, "2")
	deployed(t, d, rollout.Rolling, first)
	for range 2 {
		deployed(t, d, rollout.Canary, second)
	}
	for _, m := range s.machines {
		for path, expected := range map[string]string{"": "2", "secret/token": secretValue, "variable/DATABASE_URL": secretValue, "variable/ODD": spec.Environment[0].Value} {
			got := m.Run(t, fmt.Sprintf("for p in %d %d; do curl -fsS http://127.0.0.1:$p/%s && break; done 2>/dev/null", spec.Ports.Blue, spec.Ports.Green, path))
			assert.Equal(t, expected, got, "%s/%s", m.Name, path)
		}
		shown := m.Run(t, fmt.Sprintf("systemctl show %[1]s-blue %[1]s-green; cat /etc/systemd/system/%[1]s-*; ps axww -o args", spec.Service))
		assert.NotContains(t, shown, "3kr1t", "no secret is in a unit, in what systemctl shows, or in an argument")
		security := m.Run(t, "systemd-analyze security --no-pager "+spec.Service+"-blue.service | tail -1; id "+spec.Service)
		t.Log(m.Name, strings.TrimSpace(security))
	}
	deployed(t, d, rollout.BlueGreen, first)
	for _, seen := range d.States(t.Context()) {
		require.NoError(t, seen.Err)
		assert.True(t, seen.State.Target.Live(first.Release.Digest()))
		assert.Empty(t, seen.State.Drift)
	}
	s.follows(t, spec)
}

// follows reads the logs of all machines as they come. When nobody reads them any more, no process is left.
func (s *site) follows(t *testing.T, spec Spec) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hosts := map[string]bool{}
	d := s.open(t, spec.Service, s.home(t), func(o *Options) {
		o.Lines = func(host, line string) {
			assert.NotContains(t, line, "sudo:")
			if hosts[host] = true; len(hosts) == len(s.machines) {
				cancel()
			}
		}
	})
	require.NoError(t, d.Logs(ctx, 5, true))
	assert.Len(t, hosts, len(s.machines))
	for _, m := range s.machines {
		m.Run(t, "timeout 30 sh -c 'while pgrep -f [j]ournalctl.*"+spec.Service+"; do sleep 0.2; done'")
	}
}

// fills has the disk of a machine run full: before anything is sent, while it is sent, while a release is written, and while it
// is switched. The release that runs goes on, and with room again the same command leads to the new one.
func (s *site) fills(t *testing.T) {
	m := s.machines[0]
	one := &site{machines: s.machines[:1], helper: s.helper, program: s.program}
	m.Run(t, "mkdir -p /var/lib/slipway && mount -t tmpfs -o size=64m,mode=755 none /var/lib/slipway")
	spec := s.service()
	defer m.Run(t, "systemctl stop '"+spec.Service+"-*'; umount -l /var/lib/slipway")
	fill := func() { // to the last page: the small ones take what the large one leaves
		m.Run(t, "cd /var/lib/slipway; cat /dev/zero >filler 2>/dev/null; n=0; while echo x 2>/dev/null >filler.$n; do n=$((n+1)); done; true")
	}
	empty := func() { m.Run(t, "rm -f /var/lib/slipway/filler*") }
	d := one.open(t, spec.Service, one.home(t))
	first := version(t, spec, "1")
	deployed(t, d, rollout.BlueGreen, first)
	for at, fails := range map[string]func(next Rendered) error{
		"before anything": func(next Rendered) error {
			fill()
			_, err := d.Preflight(t.Context(), next)
			return err
		},
		"the upload": func(next Rendered) error {
			_, err := d.Preflight(t.Context(), next)
			require.NoError(t, err)
			fill()
			return errors.Join(d.Upload(t.Context(), next, nil), d.Stage(t.Context(), next))
		},
		"the release": func(next Rendered) error {
			_, err := d.Preflight(t.Context(), next)
			require.NoError(t, err)
			require.NoError(t, d.Upload(t.Context(), next, nil))
			fill()
			return d.Stage(t.Context(), next)
		},
	} {
		t.Run(at, func(t *testing.T) {
			err := fails(version(t, spec, "while "+strings.ReplaceAll(at, " ", "-")))
			require.Error(t, err)
			t.Log(err)
			assert.Regexp(t, "(?i)free|full|no space", err.Error())
			served := m.Run(t, fmt.Sprintf("for p in %d %d; do curl -fsS http://127.0.0.1:$p/ && break; done 2>/dev/null", spec.Ports.Blue, spec.Ports.Green))
			assert.Equal(t, "1", served)
			empty()
			observed, err := d.Observe(t.Context(), d.Targets())
			require.NoError(t, err)
			assert.True(t, observed.Targets[0].Serves(first.Release.Digest()), "%+v", observed.Targets[0])
		})
	}
	t.Run("the switch", func(t *testing.T) { // which writes a few bytes: it may find room for them, or goes back
		second := version(t, spec, "2")
		prepare(t, d, second)
		fill()
		result := rollsOut(t, d, rollout.BlueGreen, second)
		t.Log(result.Outcome, result.Cause)
		empty()
		one.serve(t, d, map[bool]Rendered{true: second, false: first}[result.Outcome == rollout.Done])
	})
	third := version(t, spec, "3")
	deployed(t, d, rollout.BlueGreen, third)
	one.serve(t, d, third)
}

// survives kills the deployer at every step of a rollout: its connections end, and it does nothing any more. The machine goes
// back by itself, and the same command again leads to the release.
func (s *site) survives(t *testing.T) {
	killed, slots := 0, make(chan struct{}, 4) // most of the time they wait for a lease to end
	var all sync.WaitGroup
	for strategy, machines := range map[rollout.Strategy]int{rollout.BlueGreen: 1, rollout.Canary: 1, rollout.Rolling: 2} { // with one machine, rolling is blue-green
		before, after := rollout.Release{Artifact: "one"}, rollout.Release{Artifact: "two"}
		spec, seen := rollout.Spec{Environment: "prod", Release: after, Strategy: strategy, Batch: 1}, rollout.Observed{}
		for _, name := range []string{"a", "b"}[:machines] {
			spec.Targets = append(spec.Targets, name)
			seen.Targets = append(seen.Targets, rollout.Target{Name: name, Committed: before.Digest(), Slots: []rollout.Slot{{Name: rollout.Blue, Release: before.Digest(), Health: rollout.Healthy, Weight: 100}}})
		}
		steps, err := rollout.Plan(spec, seen)
		require.NoError(t, err)
		for i, step := range steps {
			one := &site{machines: slices.Concat(s.machines, s.machines)[killed%len(s.machines):][:machines], helper: s.helper, program: s.program}
			spec := s.service()
			killed++
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				t.Run(fmt.Sprintf("%s %d %s", strategy, i+1, step.Verb), func(t *testing.T) { one.killedAt(t, spec, strategy, i) })
			})
		}
	}
	all.Wait()
	t.Logf("the deployer is killed at %d steps", killed)
}

func (s *site) killedAt(t *testing.T, spec Spec, strategy rollout.Strategy, at int) {
	home := s.home(t)
	first, second := version(t, spec, "1"), version(t, spec, "2")
	d := s.open(t, spec.Service, home)
	deployed(t, d, rollout.BlueGreen, first)
	prepare(t, d, second)
	dead, begun := make(chan struct{}), 0
	ctx, cancel := context.WithCancel(t.Context()) // so that no gate waits for what a dead deployer would wait for
	defer cancel()
	runner := rollout.Runner{Driver: s.open(t, spec.Service, home, mortal(dead)), Owner: "killed", TTL: 20 * time.Second, StepDeadline: patience,
		Notify: func(e rollout.Event) {
			if e.Phase == rollout.Beginning {
				if begun++; begun == at+1 {
					close(dead)
					cancel()
				}
			}
		}}
	wanted := unhurried(strategy, d, second)
	wanted.Batch = 1
	result := runner.Run(ctx, wanted)
	require.GreaterOrEqual(t, begun, at+1, "it was killed there, and what begins at the same time on another machine with it: %v", result.Cause)
	require.Eventually(t, func() bool {
		observed, err := d.Observe(t.Context(), d.Targets())
		require.NoError(t, err)
		return !slices.ContainsFunc(observed.Targets, func(target rollout.Target) bool {
			return target.Lease.Owner != "" || !target.Serves(target.Committed)
		})
	}, 2*time.Minute, time.Second, "it goes back by itself")
	deployed(t, d, strategy, second)
	s.serve(t, d, second)
}

// refused tries what is wrong with a machine. Each is told before anything is changed, with what to do.
func (s *site) refused(t *testing.T) {
	spec := s.service()
	release := version(t, spec, "1")
	m := s.machines[1]
	try := func(t *testing.T, d *Driver, parts ...string) error {
		t.Helper()
		before := s.seen(t, m)
		_, err := d.Preflight(t.Context(), release)
		require.Error(t, err)
		for _, part := range append(parts, m.Name) {
			assert.ErrorContains(t, err, part)
		}
		assert.NotContains(t, err.Error(), s.machines[0].Name+":")
		assert.Equal(t, before, s.seen(t, m), "something was changed")
		t.Log(err)
		return err
	}
	t.Run("wrong host key", func(t *testing.T) {
		home := s.home(t)
		home.Write(t, "known_hosts", strings.Replace(home.Read(t, "known_hosts"), m.HostKey, s.machines[0].HostKey, 1))
		try(t, s.open(t, spec.Service, home), "not the one that is known", "SHA256:", "ssh-keygen -R")
	})
	t.Run("missing key", func(t *testing.T) {
		home := s.home(t)
		home.Write(t, "key1", string(s.machines[0].Key))
		try(t, s.open(t, spec.Service, home), "no key is accepted", "key1: ssh-ed25519 SHA256:", "authorized_keys")
	})
	t.Run("wrong architecture", func(t *testing.T) {
		d := s.open(t, spec.Service, s.home(t), func(o *Options) { o.Hosts, o.Helpers = o.Hosts[1:2], map[string]Program{"s390x": s.helper} })
		try(t, d, "for which nothing was built", "add linux/"+machinetest.Arch())
	})
	t.Run("not systemd", func(t *testing.T) {
		m.Run(t, fmt.Sprintf("systemd-run --unit=other unshare --pid --fork --mount-proc --kill-child /usr/sbin/sshd -D -p %d -o PidFile=none", otherPort))
		defer m.Run(t, "systemctl stop other")
		m.Run(t, fmt.Sprintf("timeout 30 sh -c 'until ss -ltn | grep -q :%d; do sleep 0.1; done'", otherPort))
		home := s.home(t)
		host, port, _ := strings.Cut(m.Address(otherPort), ":")
		home.Write(t, "known_hosts", fmt.Sprintf("[%s]:%s %s\n", host, port, m.HostKey))
		d := s.open(t, spec.Service, home, func(o *Options) {
			o.Hosts = []Host{{Name: m.Name, Address: fmt.Sprintf("ssh://%s:%s", m.Name, port)}}
		})
		try(t, d, "process 1 is sshd, not systemd")
	})
	t.Run("no sudo", func(t *testing.T) {
		rules := m.Run(t, "cat /etc/sudoers.d/deploy")
		m.Run(t, "rm /etc/sudoers.d/deploy")
		defer m.Copy(t, "/etc/sudoers.d/deploy", 0o440, []byte(rules))
		d := s.open(t, spec.Service, s.home(t))
		_, err := d.Preflight(t.Context(), release) // the other machines get their helper now
		require.ErrorContains(t, err, "may not install the helper: sudo: a password is required")
		err = try(t, d, "deploy ALL=(root) NOPASSWD: ALL", "install -D -m 755 slipway-host "+protocol.HelperDir+"/"+s.helper.SHA256)
		// With the helper there, and the line that the error shows, it goes on.
		content, readErr := os.ReadFile(s.helper.Path)
		require.NoError(t, readErr)
		m.Copy(t, protocol.HelperDir+"/"+s.helper.SHA256+"/slipway-host", 0o755, content)
		try(t, d, "may not run the helper as root")
		_, line, found := strings.Cut(err.Error(), "From then on this is enough: ")
		require.True(t, found)
		m.Copy(t, "/etc/sudoers.d/slipway", 0o440, []byte(line+"\n"))
		defer m.Run(t, "rm /etc/sudoers.d/slipway")
		_, err = d.Preflight(t.Context(), release)
		require.NoError(t, err)
		require.NoError(t, d.Upload(t.Context(), release, nil))
	})
	t.Run("port taken", func(t *testing.T) {
		m.Run(t, fmt.Sprintf("systemd-run --unit=squatter /usr/sbin/sshd -D -p %d -o PidFile=none", spec.Ports.Green))
		defer m.Run(t, "systemctl stop squatter")
		m.Run(t, fmt.Sprintf("timeout 30 sh -c 'until ss -ltn | grep -q :%d; do sleep 0.1; done'", spec.Ports.Green))
		try(t, s.open(t, spec.Service, s.home(t)), fmt.Sprint(spec.Ports.Green))
	})
	t.Run("unit edited by hand", func(t *testing.T) {
		d := s.open(t, spec.Service, s.home(t))
		deployed(t, d, rollout.BlueGreen, release)
		unit := protocol.UnitDir + "/" + spec.Service + "-blue.service"
		m.Run(t, "echo '# mine' >> "+unit)
		seen := d.States(t.Context())
		require.NoError(t, seen[1].Err)
		require.Len(t, seen[1].State.Drift, 1)
		assert.Contains(t, seen[1].State.Drift[0], spec.Service+"-blue.service")
		try(t, d, spec.Service+"-blue.service")
	})
}

// seen is what is on the machines. One that nothing is wrong with may get the helper meanwhile.
func (s *site) seen(t *testing.T, wrong *machinetest.Machine) string {
	t.Helper()
	var all strings.Builder
	for _, m := range s.machines {
		dirs := "/var/lib/slipway /etc/systemd/system"
		if m == wrong {
			dirs += " /opt/slipway/helper"
		}
		all.WriteString(m.Run(t, "find "+dirs+" -printf '%p %T@ %s\\n' 2>/dev/null | sort; getent passwd; true"))
	}
	return all.String()
}
