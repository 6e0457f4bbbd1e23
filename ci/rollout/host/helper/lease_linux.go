package main

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// acquire takes the lease. It waits for a step of the last one: what is written under an old number never comes after a new one.
func (s *service) acquire(ctx context.Context, owner string, ttl time.Duration) (*rollout.Lease, error) {
	if owner == "" || ttl <= 0 || ttl > longestTTL {
		return nil, refuse("", "acquire: owner %q and time %s are none for a lease", owner, ttl)
	}
	if err := s.free(ctx, owner); err != nil {
		return nil, err // at once, and not after the holder's step
	}
	unlock, err := s.lock(ctx, stepLock, patience)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var given rollout.Lease
	err = s.update(ctx, func(st state) (state, error) {
		now, err := s.now()
		if err != nil {
			return st, err
		}
		st, err = st.acquire(owner, ttl, now)
		given = st.told(now)
		return st, err
	})
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, ttl); err != nil {
		return nil, errors.Join(err, s.giveBack(ctx, given.Fence)) // nobody knows the number
	}
	return &given, nil
}

// begin is what a lease needs to be worth something: who goes back when it ends, and certainty of where traffic goes.
func (s *service) begin(ctx context.Context, ttl time.Duration) error {
	if err := s.setGuard(ctx); err != nil {
		return err
	}
	return s.settleTraffic(ctx, ttl/wakes)
}

// wakes is the part of a lease that is spent on a proxy that is down: the first heartbeat comes after that.
const wakes = 3

// free says who else has the lease.
func (s *service) free(ctx context.Context, owner string) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	now, err := s.now()
	if err != nil {
		return err
	}
	_, err = st.acquire(owner, time.Second, now)
	return err
}

// settleTraffic makes it certain where traffic goes: after a command of the user's was cut off, or while the proxy is down. A
// proxy that does not start is no reason to refuse the lease, as a deploy may bring one that does: observe tells of it.
func (s *service) settleTraffic(ctx context.Context, within time.Duration) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	if v.traffic != nil {
		waking, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		_ = s.wakeProxy(waking)
		return ctx.Err()
	}
	if !v.Cut {
		return nil
	}
	to := v.asked()
	if home, ok := v.home(); ok && home.health == rollout.Healthy {
		to = rollout.Split{home.name: 100}
	}
	return s.route(ctx, v, to)
}

func (s *service) renew(ctx context.Context, fence uint64, ttl time.Duration) error {
	if ttl <= 0 || ttl > longestTTL {
		return refuse("", "renew: %s is no time for a lease", ttl)
	}
	err := s.update(ctx, func(st state) (state, error) {
		now, err := s.now()
		if err != nil {
			return st, err
		}
		return st.renew(fence, ttl, now)
	})
	if err != nil {
		return err
	}
	return s.keepGuard(ctx)
}

// giveBack ends the lease. The guard sees that at once, and goes back if nothing was committed.
func (s *service) giveBack(ctx context.Context, fence uint64) error {
	err := s.update(ctx, func(st state) (state, error) {
		if st.Fence != fence || st.Lease == nil {
			return st, errUnchanged
		}
		return st.give(fence), nil
	})
	if err != nil {
		return err
	}
	return s.keepGuard(ctx)
}
