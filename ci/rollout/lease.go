package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// leases are those that a rollout holds.
type leases struct{ fences map[string]uint64 }

func (l *leases) fence(target string) uint64 { return l.fences[target] }

// acquire takes the leases of all targets, or of none.
func (r *running) acquire(ctx context.Context) (*leases, error) {
	held := &leases{fences: map[string]uint64{}}
	r.leases = held
	for _, target := range r.spec.Targets {
		within, cancel := context.WithTimeout(ctx, r.StepDeadline)
		lease, err := r.Driver.Acquire(within, target, r.Owner, r.TTL)
		cancel()
		if err != nil {
			r.giveBack(ctx)
			return nil, fmt.Errorf("acquire lease of %s: %w", target, err)
		}
		held.fences[target] = lease.Fence
	}
	return held, nil
}

// giveBack ends the leases. One that cannot be given back ends by itself.
func (r *running) giveBack(ctx context.Context) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.TTL)
	defer cancel()
	for target, fence := range r.leases.fences {
		if err := r.Driver.Return(own, target, fence); err != nil {
			r.Notify(Event{Phase: Ended, Text: "the lease of " + target + " ends by itself", Err: err})
		}
	}
}

// heartbeat renews the leases until stop is called, also while going back. The
// context ends with ErrFenced when one is lost: nothing may be written then.
func (r *running) heartbeat(ctx context.Context) (beating context.Context, stop func()) {
	beating, lose := context.WithCancelCause(ctx)
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var hearts sync.WaitGroup
	for target, fence := range r.leases.fences {
		hearts.Go(func() {
			if err := r.beat(own, target, fence); err != nil {
				lose(fmt.Errorf("renew lease of %s: %w", target, err))
			}
		})
	}
	return beating, func() { cancel(); hearts.Wait(); lose(nil) }
}

// beat renews one lease. An error is tried again, until the lease is over.
func (r *running) beat(ctx context.Context, target string, fence uint64) error {
	ticker := time.NewTicker(r.TTL / beats)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		asked := time.Now()
		within, cancel := context.WithTimeout(ctx, r.TTL/beats)
		err := r.Driver.Renew(within, target, fence, r.TTL)
		cancel()
		switch {
		case err == nil:
			last = asked
		case errors.Is(err, ErrFenced):
			return err
		case time.Since(last) >= r.TTL:
			return fmt.Errorf("%w (%w)", ErrFenced, err)
		}
	}
}
