package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

const (
	guardTick  = 200 * time.Millisecond // how soon it sees that a lease is over
	guardPause = time.Second            // after an act that did not help
	// guardPatience is how long it waits for the committed release to get well.
	guardPatience = 10 * time.Minute
	// guardReturn is the same where it took the place of an instance that was well.
	guardReturn = time.Minute
)

// guardUnit is locked into what it needs: it talks to systemd as root, writes state and units, asks this machine only, and may
// look whether a port below 1024 is free before a proxy goes back to it.
// It starts with the machine too, where it looks once whether a rollout was cut off.
const guardUnit = `[Unit]
Description=goes back to the committed release of %[1]s when a rollout ends without a commit
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=%[2]s guard %[1]s
Restart=on-failure
RestartSec=1
TimeoutStopSec=5
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE
ProtectSystem=strict
ReadWritePaths=%[3]s %[4]s -%[5]s
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
UMask=0077
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
IPAddressDeny=any
IPAddressAllow=localhost
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`

// setGuard writes the guard's unit and starts the guard. It is started anew, because one that just found nothing to do may
// be about to end; it does nothing now, as the caller has the lock of steps.
func (s *service) setGuard(ctx context.Context) error {
	unit := s.unit("guard")
	self := s.guardPath()
	text := fmt.Sprintf(guardUnit, s.name, self, protocol.StateDir, protocol.UnitDir, protocol.RunDir)
	changed, err := writeUnit(s.units, unit, "", text)
	if err != nil {
		return err
	}
	if changed {
		if err := s.systemd.reload(ctx); err != nil {
			return err
		}
	}
	units, err := s.systemd.show(ctx, unit)
	if err != nil {
		return err
	}
	if !units[unit].enabled() {
		if err := s.systemd.enable(ctx, unit); err != nil {
			return err
		}
	}
	if err := s.systemd.do(ctx, "restart", "--no-block", "--", unit); err != nil {
		return fmt.Errorf("start the guard: %w", err)
	}
	return nil
}

// guardPath is the helper as units of this machine name it.
func (s *service) guardPath() string {
	return "/" + strings.TrimPrefix(filepath.Clean(s.self), filepath.Clean(s.root)+"/")
}

// keepGuard starts the guard when it is not there.
func (s *service) keepGuard(ctx context.Context) error {
	unit := s.unit("guard")
	units, err := s.systemd.show(ctx, unit)
	if err != nil || units[unit].runs() || units[unit]["LoadState"] != "loaded" {
		return err
	}
	return s.systemd.start(ctx, unit)
}

// guard waits until the lease is over, and then does one thing after the other until all is as it was committed. It looks
// anew before each: somebody may have got the lease, and then it waits again.
func (m *machine) guard(ctx context.Context, name string, log io.Writer) error {
	s, err := m.service(name)
	if err != nil {
		return err
	}
	defer s.close()
	g := &watch{service: s, log: log}
	for {
		pause, err := g.turn(ctx)
		if err != nil {
			fmt.Fprintln(log, err)
			pause = guardPause
		}
		if pause == 0 {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// watch is what a guard knows of its own doing. All else it reads anew.
type watch struct {
	*service
	log       io.Writer
	since     time.Time // when it began to wait for the committed release to get well
	displaced string    // the release that it took the place of, where there is one instance
}

// turn does one thing, and says how long to wait for the next. 0 means that there is none.
func (g *watch) turn(ctx context.Context) (time.Duration, error) {
	leased, err := g.leased(ctx)
	if err != nil {
		return 0, err
	}
	if leased {
		g.since, g.displaced = time.Time{}, ""
		return guardTick, nil
	}
	unlock, err := g.lock(ctx, stepLock, patience)
	if err != nil {
		return 0, err
	}
	defer unlock()
	v, err := g.look(ctx)
	if err != nil {
		return 0, err
	}
	r, err := g.release(v.Committed)
	if err != nil && v.Committed != "" {
		return 0, err
	}
	d := next(v, single(r.Release))
	if d.act != wait && d.act != done {
		fmt.Fprintln(g.log, "the lease is over:", d.act, d.slot)
	}
	return g.act(ctx, v, r, d)
}

func (g *watch) leased(ctx context.Context) (bool, error) {
	st, err := g.load(ctx)
	if err != nil {
		return false, err
	}
	now, err := g.now()
	return st.Lease.remaining(now) > 0, err
}

func (g *watch) act(ctx context.Context, v view, r manifest, d decision) (time.Duration, error) {
	switch d.act {
	case wait:
		return g.patient(ctx, v, d)
	case restore:
		if in := v.slot(d.slot); in.unit.runs() && in.health == rollout.Healthy {
			g.displaced = in.release
		}
		return guardPause, g.restore(ctx, v, r, d.slot)
	case shiftBack:
		return guardTick, g.route(ctx, v, rollout.Split{d.slot: 100})
	case stopOther:
		return guardTick, g.end(ctx, v, d.slot)
	case boots:
		if err := g.remember(ctx, d.slot, v.Committed, single(r.Release)); err != nil {
			return 0, err
		}
		return guardTick, g.bootsWith(ctx, v, d.slot)
	}
	return 0, nil
}

// restore runs the committed release in a slot, ending what has it.
func (g *watch) restore(ctx context.Context, v view, r manifest, name string) error {
	if err := g.account(ctx, r.User); err != nil {
		return err
	}
	return g.bringUp(ctx, v, r, name)
}

// end stops what runs in a slot that should be empty.
func (g *watch) end(ctx context.Context, v view, name string) error {
	r, err := g.release(v.slot(name).release)
	if err != nil {
		r = manifest{} // it was deleted: nothing is known of how to drain it
	}
	return g.takeDown(ctx, v, r, name)
}

// patient waits for the committed release. Where that does not get well, what was well before it comes back: the only healthy
// instance is not taken away, even if it is of the wrong release.
func (g *watch) patient(ctx context.Context, v view, d decision) (time.Duration, error) {
	if v.leased() {
		return guardTick, nil
	}
	if g.since.IsZero() {
		g.since = time.Now()
	}
	waited := time.Since(g.since)
	if g.displaced != "" && waited > guardReturn {
		fmt.Fprintln(g.log, "the committed release does not get well: the one that was there is started again")
		r, err := g.release(g.displaced)
		if err != nil {
			return 0, err
		}
		return 0, g.bringUp(ctx, v, r, d.slot)
	}
	if waited > guardPatience {
		fmt.Fprintln(g.log, "the committed release does not get well: all stays as it is, deploy again")
		return 0, nil
	}
	return guardTick, nil
}
