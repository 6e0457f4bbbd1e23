package rollouttest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// ErrInjected is the error of a fault.
var ErrInjected = errors.New("injected fault")

// Fault is what goes wrong at a call.
type Fault string

// The faults. A crashed deployer does nothing any more: no heartbeat, no undo.
const (
	Before      Fault = "error before" // an error, and no effect
	Late        Fault = "error after"  // an error, though it took effect
	Hang        Fault = "hang"         // no answer and no effect
	HangLate    Fault = "hang after"   // no answer, though it took effect
	CrashBefore Fault = "crash before" // the deployer dies before the call
	CrashLate   Fault = "crash after"  // the deployer dies after it
)

// Faults are all of them.
func Faults() []Fault { return []Fault{Before, Late, Hang, HangLate, CrashBefore, CrashLate} }

// Driver is a rollout.Driver to a fleet. Its calls are counted from 0, without
// Renew and Probe: how many there are of those depends on time.
type Driver struct {
	fleet  *Fleet
	mu     sync.Mutex
	calls  int
	faults map[int]Fault
	dead   bool
	lost   map[string]bool
	hook   func(call int)
}

var _ rollout.Driver = (*Driver)(nil)

// Inject makes a call fail.
func (d *Driver) Inject(call int, fault Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults == nil {
		d.faults = map[int]Fault{}
	}
	d.faults[call] = fault
}

// Hook is run before each call that is counted, for a test that wants something
// to happen just then.
func (d *Driver) Hook(hook func(call int)) { d.hook = hook }

// Cut is the network that fails: from now on each call is an error without effect.
func (d *Driver) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

// Lose cuts one target off.
func (d *Driver) Lose(target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = map[string]bool{target: true}
}

func (d *Driver) loses(target string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost[target]
}

func (d *Driver) reaches(target string) bool { return !d.Dead() && !d.loses(target) }

// Calls is how many calls were counted.
func (d *Driver) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Dead says whether the deployer crashed, or is cut off.
func (d *Driver) Dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// Observe is the verb.
func (d *Driver) Observe(ctx context.Context, targets []string) (observed rollout.Observed, err error) {
	err = d.through(ctx, func() (err error) { observed, err = d.fleet.observe(ctx, targets); return err })
	for i, target := range observed.Targets {
		if d.loses(target.Name) {
			observed.Targets[i] = rollout.Target{Name: target.Name, Unseen: ErrInjected.Error()}
		}
	}
	return observed, err
}

// Start is the verb.
func (d *Driver) Start(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, rollout.Start, fence, step)
}

// Shift is the verb.
func (d *Driver) Shift(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, rollout.Shift, fence, step)
}

// Stop is the verb.
func (d *Driver) Stop(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, rollout.Stop, fence, step)
}

// Prune is the verb.
func (d *Driver) Prune(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, rollout.Prune, fence, step)
}

// Acquire takes a lease.
func (d *Driver) Acquire(ctx context.Context, target, owner string, ttl time.Duration) (lease rollout.Lease, err error) {
	err = d.through(ctx, func() (err error) { lease, err = d.fleet.acquire(target, owner, ttl); return err })
	return lease, err
}

// Renew is the heartbeat.
func (d *Driver) Renew(_ context.Context, target string, fence uint64, ttl time.Duration) error {
	if !d.reaches(target) {
		return ErrInjected
	}
	return d.fleet.keep(target, fence, ttl)
}

// Return gives a lease back.
func (d *Driver) Return(ctx context.Context, target string, fence uint64) error {
	return d.through(ctx, func() error {
		err := d.reach(target, func() error { return d.fleet.keep(target, fence, 0) })
		if errors.Is(err, rollout.ErrFenced) {
			return nil
		}
		return err
	})
}

// Probe looks at an instance.
func (d *Driver) Probe(ctx context.Context, place rollout.Place) (rollout.Sample, error) {
	if d.fleet.mute(place.Release) {
		<-ctx.Done()
		return rollout.Sample{}, ctx.Err()
	}
	if !d.reaches(place.Target) {
		return rollout.Sample{}, ErrInjected
	}
	return d.fleet.probe(place)
}

func (d *Driver) write(ctx context.Context, verb rollout.Verb, fence uint64, step rollout.Step) error {
	step.Verb = verb
	return d.through(ctx, func() error { return d.reach(step.Target, func() error { return d.fleet.change(fence, step) }) })
}

func (d *Driver) reach(target string, effect func() error) error {
	if d.loses(target) {
		return ErrInjected
	}
	return effect()
}

// through is a call, with its fault.
func (d *Driver) through(ctx context.Context, effect func() error) error {
	fault, dead := d.next()
	if dead || fault == Before {
		return ErrInjected
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if fault == Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	err := effect()
	switch fault {
	case Late, CrashLate:
		return ErrInjected
	case HangLate:
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// next counts a call. The one that a crash comes after still has its effect.
func (d *Driver) next() (Fault, bool) {
	d.mu.Lock()
	call := d.calls
	d.calls++
	fault, dead := d.faults[call], d.dead
	d.dead = dead || fault == CrashBefore || fault == CrashLate
	d.mu.Unlock()
	if d.hook != nil && !dead {
		d.hook(call)
	}
	return fault, dead || fault == CrashBefore
}
