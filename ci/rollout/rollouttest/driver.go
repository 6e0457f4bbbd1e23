package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// Driver is a rollout.Driver to a fleet. Each call has a name, such as
// "shift web1 2" for the second one of that kind. Renew and Probe have none: how
// many there are of those depends on time.
type Driver struct {
	fleet  *Fleet
	mu     sync.Mutex
	calls  map[string]int // by kind
	names  []string
	faults map[string]Fault
	dead   bool
	lost   map[string]bool
	hook   func(call string)
}

var (
	_ rollout.Driver = (*Driver)(nil)
	_ rollout.Hooker = (*Driver)(nil)
	_ rollout.Asker  = (*Driver)(nil)
)

// Inject makes a call fail.
func (d *Driver) Inject(call string, fault Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults == nil {
		d.faults = map[string]Fault{}
	}
	d.faults[call] = fault
}

// OnCall is run before each call that has a name, for a test that wants something
// to happen just then.
func (d *Driver) OnCall(hook func(call string)) { d.hook = hook }

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

// Calls are the names of the calls so far.
func (d *Driver) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.names)
}

// Dead says whether the deployer crashed, or is cut off.
func (d *Driver) Dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// Observe is the verb.
func (d *Driver) Observe(ctx context.Context, targets []string) (observed rollout.Observed, err error) {
	err = d.through(ctx, "observe", func() (err error) { observed, err = d.fleet.observe(ctx, targets); return err })
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
	err = d.through(ctx, "acquire "+target, func() (err error) { lease, err = d.fleet.acquire(target, owner, ttl); return err })
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
	return d.through(ctx, "return "+target, func() error {
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

// Hook runs a hook.
func (d *Driver) Hook(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.through(ctx, fmt.Sprintf("hook %s %s", step.Hook.When, step.Target), func() error {
		return d.reach(step.Target, func() error { return d.fleet.hook(fence, step) })
	})
}

// Ask sends requests of ours.
func (d *Driver) Ask(_ context.Context, place rollout.Place, _ string, times int) (rollout.Answers, error) {
	if !d.reaches(place.Target) {
		return rollout.Answers{}, ErrInjected
	}
	return d.fleet.ask(place, times)
}

func (d *Driver) write(ctx context.Context, verb rollout.Verb, fence uint64, step rollout.Step) error {
	if step.Verb != rollout.Restart { // a kind of start
		step.Verb = verb
	}
	return d.through(ctx, string(step.Verb)+" "+step.Target, func() error { return d.reach(step.Target, func() error { return d.fleet.change(fence, step) }) })
}

func (d *Driver) reach(target string, effect func() error) error {
	if d.loses(target) {
		return ErrInjected
	}
	return effect()
}

// through is a call, with its fault.
func (d *Driver) through(ctx context.Context, kind string, effect func() error) error {
	fault, dead := d.next(kind)
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

// next names a call. The one that a crash comes after still has its effect.
func (d *Driver) next(kind string) (Fault, bool) {
	d.mu.Lock()
	if d.calls == nil {
		d.calls = map[string]int{}
	}
	d.calls[kind]++
	call := fmt.Sprintf("%s %d", kind, d.calls[kind])
	d.names = append(d.names, call)
	fault, dead := d.faults[call], d.dead
	d.dead = dead || fault == CrashBefore || fault == CrashLate
	d.mu.Unlock()
	if d.hook != nil && !dead {
		d.hook(call)
	}
	return fault, dead || fault == CrashBefore
}
