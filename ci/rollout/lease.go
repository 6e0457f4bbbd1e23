package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// leases are those that a rollout holds.
type leases struct{ fences map[string]uint64 }

func (l *leases) fence(target string) uint64 { return l.fences[target] }

// acquire takes the leases of all targets, or of none. The first target comes
// first, so that of two deployers one gets it and all others.
func (r *running) acquire(ctx context.Context) (*leases, error) {
	r.leases = &leases{fences: map[string]uint64{}}
	for _, targets := range [][]string{r.spec.Targets[:1], r.spec.Targets[1:]} {
		if err := r.acquireAll(ctx, targets); err != nil {
			r.giveBack(ctx)
			return nil, err
		}
	}
	return r.leases, nil
}

func (r *running) acquireAll(ctx context.Context, targets []string) error {
	errs := make([]error, len(targets))
	fences := make([]uint64, len(targets))
	r.each(targets, func(i int, target string) {
		within, cancel := context.WithTimeout(ctx, r.StepDeadline)
		defer cancel()
		lease, err := r.Driver.Acquire(within, target, r.Owner, r.TTL)
		if err != nil {
			errs[i] = fmt.Errorf("acquire lease of %s: %w", target, err)
		}
		fences[i] = lease.Fence
	})
	for i, target := range targets {
		if errs[i] == nil {
			r.leases.fences[target] = fences[i]
		}
	}
	return errors.Join(errs...)
}

// each does something for all targets at once.
func (r *running) each(targets []string, do func(i int, target string)) {
	var all sync.WaitGroup
	for i, target := range targets {
		all.Go(func() { do(i, target) })
	}
	all.Wait()
}

// giveBack ends the leases. One that cannot be given back ends by itself.
func (r *running) giveBack(ctx context.Context) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.TTL)
	defer cancel()
	r.each(slices.Sorted(maps.Keys(r.leases.fences)), func(_ int, target string) {
		if err := r.Driver.Return(own, target, r.leases.fences[target]); err != nil {
			r.tell(Event{Phase: Ended, Text: "the lease of " + target + " ends by itself", Err: err})
		}
	})
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
		within, cancel := context.WithTimeout(ctx, r.TTL/2) // a host that is slow to answer is not lost
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
