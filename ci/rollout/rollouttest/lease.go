package rollouttest

import (
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// Expire ends all leases now, as if their owners slept.
func (f *Fleet) Expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.targets {
		if t.held {
			t.release()
		}
	}
}

func (f *Fleet) acquire(name, owner string, ttl time.Duration) (rollout.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.targets[name]
	if !ok {
		return rollout.Lease{}, fmt.Errorf("there is no target %q", name)
	}
	t.expire()
	if t.held && t.Lease.Owner != owner {
		return rollout.Lease{}, &rollout.HeldError{Target: name, Lease: t.Lease}
	}
	t.fence++
	t.held, t.Lease = true, rollout.Lease{Owner: owner, Fence: t.fence, Until: time.Now().Add(ttl)}
	return t.Lease, nil
}

// keep renews a lease, or ends it when ttl is 0.
func (f *Fleet) keep(name string, fence uint64, ttl time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.targets[name]
	if !ok {
		return fmt.Errorf("there is no target %q", name)
	}
	t.expire()
	if !t.held || t.fence != fence {
		return rollout.ErrFenced
	}
	t.Lease.Until = time.Now().Add(ttl)
	t.expire()
	return nil
}

// expire ends a lease that is over, and goes back to what is committed.
func (t *target) expire() {
	if t.held && !time.Now().Before(t.Lease.Until) {
		t.release()
	}
}

func (t *target) release() {
	t.held, t.Lease = false, rollout.Lease{}
	if t.alone && t.Committed != "" && (len(t.Slots) == 0 || t.Slots[0].Release != t.Committed) {
		t.Slots = []rollout.Slot{{Name: rollout.Blue, Release: t.Committed, Health: rollout.Healthy, Weight: 100}}
	}
	for _, slot := range t.Slots {
		if slot.Release == t.Committed && slot.Health == rollout.Healthy {
			for i := range t.Slots {
				t.Slots[i].Weight = 0
				if t.Slots[i].Name == slot.Name {
					t.Slots[i].Weight = 100
				}
			}
			return
		}
	}
}
