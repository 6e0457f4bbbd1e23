// Package rollouttest is for tests: targets in memory that can be made to fail at
// every call, and the suite that each driver has to pass.
package rollouttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// Manner is how the instances of a release do. The zero value does well.
type Manner struct {
	NeverHealthy bool
	Errors       float64 // share of the requests under traffic
	P99          time.Duration
	Memory       float64 // share of its limit
	Loops        bool    // it ends and is started again, each time it is looked at
	Quiet        bool    // nobody asks it anything
	Mute         bool    // a probe of it hangs
	Hooks        bool    // its hooks fail
}

// Write is a change that a target took.
type Write struct {
	Owner string
	Fence uint64
	Step  rollout.Step
}

// Fleet is targets in memory. They look at the clock whenever they are used, so
// that in a synctest bubble their leases end like real ones.
type Fleet struct {
	mu       sync.Mutex
	targets  map[string]*target
	manners  map[string]Manner
	writes   []Write
	broken   []string
	requests map[rollout.Place]int
	looks    int // at what is restarted each time
}

type target struct {
	rollout.Target
	fence uint64
	held  bool
	alone bool // restarted in place
}

// New makes targets on which a release serves, in blue. With an empty release nothing runs.
func New(release string, names ...string) *Fleet {
	f := &Fleet{targets: map[string]*target{}, manners: map[string]Manner{}, requests: map[rollout.Place]int{}}
	for _, name := range names {
		f.targets[name] = &target{Target: rollout.Target{Name: name}}
		if release != "" {
			f.targets[name].Committed = release
			f.targets[name].Slots = []rollout.Slot{{Name: rollout.Blue, Release: release, Health: rollout.Healthy, Weight: 100}}
		}
	}
	return f
}

// Set says how a release does from now on.
func (f *Fleet) Set(release string, manner Manner) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manners[release] = manner
	for _, t := range f.targets {
		for i := range t.Slots {
			if t.Slots[i].Release == release {
				t.Slots[i].Health = manner.health()
			}
		}
	}
}

// State is what all targets look like, after leases that are over took effect.
func (f *Fleet) State() rollout.Observed {
	f.mu.Lock()
	defer f.mu.Unlock()
	var observed rollout.Observed
	for _, name := range slices.Sorted(maps.Keys(f.targets)) {
		observed.Targets = append(observed.Targets, f.look(name))
	}
	return observed
}

// Writes are all changes that the targets took, the first one first.
func (f *Fleet) Writes() []Write {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.writes)
}

// Broken says when a target that had served lost traffic, and what was written then.
func (f *Fleet) Broken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.broken)
}

// Driver is the way of one deployer to the fleet.
func (f *Fleet) Driver() *Driver { return &Driver{fleet: f} }

func (f *Fleet) look(name string) rollout.Target {
	t := f.targets[name]
	t.expire()
	seen := t.Target
	seen.Slots = slices.Clone(t.Slots)
	return seen
}

// change is one write, refused without the lease.
func (f *Fleet) change(fence uint64, step rollout.Step) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.targets[step.Target]
	if !ok {
		return fmt.Errorf("there is no target %q", step.Target)
	}
	t.expire()
	if !t.held || t.fence != fence {
		return fmt.Errorf("%s %s with fence %d: %w", step.Verb, step.Target, fence, rollout.ErrFenced)
	}
	served := well(t.Target)
	if err := f.apply(t, step); err != nil {
		return err
	}
	t.alone = t.alone || step.Verb == rollout.Restart
	f.writes = append(f.writes, Write{Owner: t.Lease.Owner, Fence: fence, Step: step})
	if served && !well(t.Target) && !t.alone {
		f.broken = append(f.broken, step.String())
	}
	return nil
}

func (f *Fleet) apply(t *target, step rollout.Step) error {
	slot, runs := t.Slot(step.Slot)
	if runs && step.Verb == rollout.Start && slot.Release != step.Release {
		return fmt.Errorf("start %s: %s runs another release", step.Target, step.Slot)
	}
	if runs && step.Verb == rollout.Stop && slot.Release != step.Release {
		return nil // the one to stop is gone
	}
	for name := range step.To {
		if _, ok := t.Slot(name); !ok && step.Verb == rollout.Shift {
			return fmt.Errorf("shift %s: nothing runs in %s", step.Target, name)
		}
	}
	after := rollout.After(rollout.Observed{Targets: []rollout.Target{t.Target}}, step).Targets[0]
	for i := range after.Slots {
		after.Slots[i].Health = f.manners[after.Slots[i].Release].health()
	}
	t.Target = after
	return nil
}

func (m Manner) health() rollout.Health {
	if m.NeverHealthy {
		return rollout.Unhealthy
	}
	return rollout.Healthy
}

// well says whether all traffic goes to healthy instances.
func well(t rollout.Target) bool {
	total := 0
	for _, slot := range t.Slots {
		if slot.Weight > 0 && slot.Health != rollout.Healthy {
			return false
		}
		total += slot.Weight
	}
	return total == 100
}

// hook is a hook that runs, and is written down as a write.
func (f *Fleet) hook(fence uint64, step rollout.Step) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.targets[step.Target]
	t.expire()
	if !t.held || t.fence != fence {
		return fmt.Errorf("hook %s with fence %d: %w", step.Target, fence, rollout.ErrFenced)
	}
	f.writes = append(f.writes, Write{Owner: t.Lease.Owner, Fence: fence, Step: step})
	if f.manners[step.Release].Hooks {
		return &rollout.HookError{When: step.Hook.When, Target: step.Target, ExitCode: 7, Output: []string{"no such column"}}
	}
	return nil
}

func (f *Fleet) ask(place rollout.Place, times int) (rollout.Answers, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slot, ok := f.look(place.Target).Slot(place.Slot)
	if !ok || slot.Release != place.Release {
		return rollout.Answers{}, fmt.Errorf("nothing of %s runs in %s %s", place.Release, place.Target, place.Slot)
	}
	manner := f.manners[slot.Release]
	answers := rollout.Answers{Errors: int(manner.Errors * float64(times))}
	for range times {
		answers.Took = append(answers.Took, rollout.Duration(manner.P99))
	}
	return answers, nil
}

func (f *Fleet) mute(release string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.manners[release].Mute
}

func (f *Fleet) probe(place rollout.Place) (rollout.Sample, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slot, ok := f.look(place.Target).Slot(place.Slot)
	if !ok || slot.Release != place.Release {
		return rollout.Sample{}, fmt.Errorf("nothing of %s runs in %s %s", place.Release, place.Target, place.Slot)
	}
	manner := f.manners[slot.Release]
	if !manner.Quiet {
		f.requests[place] += 10 * slot.Weight
	}
	requests := f.requests[place]
	sample := rollout.Sample{Health: slot.Health, Requests: requests, Errors: int(manner.Errors * float64(requests)),
		P99: rollout.Duration(manner.P99), Memory: manner.Memory}
	if manner.Loops {
		f.looks++
		sample.Restarts = f.looks
	}
	return sample, nil
}

func (f *Fleet) observe(ctx context.Context, names []string) (rollout.Observed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var observed rollout.Observed
	for _, name := range names {
		if _, ok := f.targets[name]; !ok {
			return rollout.Observed{}, fmt.Errorf("there is no target %q", name)
		}
		observed.Targets = append(observed.Targets, f.look(name))
	}
	return observed, ctx.Err()
}
