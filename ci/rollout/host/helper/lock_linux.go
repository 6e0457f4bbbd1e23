package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// The locks of a service. They end with the process that holds them.
const (
	stateLock = "state.lock" // while state is read and written: milliseconds
	stepLock  = "step.lock"  // while a step is done: steps never interleave, and a new lease waits for the last one's
)

// patience is how long to wait for a step of somebody else.
const patience = 25 * time.Second

// lock takes a lock, and returns what gives it back.
func (s *service) lock(ctx context.Context, name string, wait time.Duration) (func(), error) {
	f, err := s.store.OpenFile(s.file(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			f.Close()
			return nil, fmt.Errorf("take lock: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, &problem{Kind: protocol.Failed, Message: "another step of " + s.name + " is still being done on this machine", Next: "run the same command again"}
		case <-ticker.C:
		}
	}
}

// load reads the state.
func (s *service) load(ctx context.Context) (state, error) {
	var st state
	err := s.update(ctx, func(current state) (state, error) {
		st = current
		return current, errUnchanged
	})
	return st, err
}

var errUnchanged = errors.New("the state stays as it is")

// update changes the state, with nobody between reading and writing.
func (s *service) update(ctx context.Context, change func(state) (state, error)) error {
	unlock, err := s.lock(ctx, stateLock, patience)
	if err != nil {
		return err
	}
	defer unlock()
	current, err := loadState(s.store, s.name)
	if err != nil {
		return err
	}
	changed, err := change(current)
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err != nil {
		return err
	}
	return saveState(s.store, s.name, changed)
}

// step does something under the lock of steps, with the lease's number.
func (s *service) step(ctx context.Context, fence uint64, do func() error) error {
	unlock, err := s.lock(ctx, stepLock, patience)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.check(ctx, fence); err != nil {
		return err
	}
	s.fence = fence
	defer func() { s.fence = 0 }()
	return do()
}

// still is asked before each effect that comes after something that takes its time: a step may outlive its lease. The guard has
// none, and nobody gets one while it has the lock of steps.
func (s *service) still(ctx context.Context) error {
	if s.fence == 0 {
		return nil
	}
	return s.check(ctx, s.fence)
}

// check says whether a number is that of the lease, which lasts.
func (s *service) check(ctx context.Context, fence uint64) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	now, err := s.now()
	if err != nil {
		return err
	}
	return st.holds(fence, now)
}
