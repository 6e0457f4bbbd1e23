package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// exitHeld is what Lock ends with where somebody else has the lock. It prints whose it is.
const exitHeld = 75

// Acquire takes the lease: here, and with Lock where others see it.
func (d *Driver) Acquire(ctx context.Context, target, owner string, ttl time.Duration) (rollout.Lease, error) {
	lease, err := d.change(target, func(now rollout.Lease) (rollout.Lease, error) {
		if alive(now) && now.Owner != owner {
			return now, &rollout.HeldError{Target: target, Lease: now}
		}
		return rollout.Lease{Owner: owner, Fence: now.Fence + 1, Until: time.Now().Add(ttl)}, nil
	})
	if err != nil || len(d.Commands.Lock) == 0 {
		return lease, err
	}
	if err := d.lock(ctx, "acquire", target, lease, ttl); err != nil {
		_ = d.end(target, lease.Fence)
		return rollout.Lease{}, err
	}
	return lease, nil
}

// Renew makes it last.
func (d *Driver) Renew(ctx context.Context, target string, fence uint64, ttl time.Duration) error {
	lease, err := d.change(target, func(now rollout.Lease) (rollout.Lease, error) {
		if !alive(now) || now.Fence != fence {
			return now, rollout.ErrFenced
		}
		now.Until = time.Now().Add(ttl)
		return now, nil
	})
	if err != nil || len(d.Commands.Lock) == 0 {
		return err
	}
	return d.lock(ctx, "renew", target, lease, ttl)
}

// Return ends it.
func (d *Driver) Return(ctx context.Context, target string, fence uint64) error {
	lease, held := d.lease(target)
	if !held || lease.Fence != fence {
		return nil
	}
	var err error
	if len(d.Commands.Lock) > 0 {
		err = d.lock(ctx, "return", target, lease, 0)
	}
	return errors.Join(err, d.end(target, fence))
}

func (d *Driver) end(target string, fence uint64) error {
	_, err := d.change(target, func(now rollout.Lease) (rollout.Lease, error) {
		if now.Fence == fence {
			now.Until = time.Time{} // the number stays, so that the next one is higher
		}
		return now, nil
	})
	return err
}

// holds says whether a fencing number is that of the lease.
func (d *Driver) holds(_ context.Context, target string, fence uint64) error {
	if lease, held := d.lease(target); !held || lease.Fence != fence {
		return rollout.ErrFenced
	}
	return nil
}

// lock runs the user's own lock.
func (d *Driver) lock(ctx context.Context, what, target string, lease rollout.Lease, ttl time.Duration) error {
	printed := &tailWriter{}
	err := d.run(ctx, d.Commands.Lock, Request{Verb: "lock", Lock: what, Target: target, Owner: lease.Owner, Fence: lease.Fence, TTL: ttl.String()}, printed)
	var failed *Error
	if !errors.As(err, &failed) || failed.ExitCode != exitHeld {
		return err
	}
	if what != "acquire" {
		return rollout.ErrFenced
	}
	other := rollout.Lease{Owner: "somebody else"}
	_ = json.Unmarshal(printed.text, &other) // it may say nothing of who
	return &rollout.HeldError{Target: target, Lease: other}
}

func alive(lease rollout.Lease) bool { return time.Now().Before(lease.Until) }

// lease is the one that is held now.
func (d *Driver) lease(target string) (rollout.Lease, bool) {
	lease, err := readLease(d.leaseFile(target))
	return lease, err == nil && alive(lease)
}

func (d *Driver) leaseFile(target string) string {
	return filepath.Join(d.State, target+".lease.json")
}

// change reads, decides and writes while nobody else of this machine does.
func (d *Driver) change(target string, decide func(rollout.Lease) (rollout.Lease, error)) (rollout.Lease, error) {
	unlock, err := d.alone()
	if err != nil {
		return rollout.Lease{}, err
	}
	defer unlock()
	now, err := readLease(d.leaseFile(target))
	if err != nil {
		return rollout.Lease{}, err
	}
	next, err := decide(now)
	if err != nil {
		return rollout.Lease{}, err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return rollout.Lease{}, fmt.Errorf("write lease: %w", err)
	}
	return next, replace(d.leaseFile(target), text)
}

func readLease(file string) (rollout.Lease, error) {
	var lease rollout.Lease
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return lease, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &lease)
	}
	if err != nil {
		return lease, fmt.Errorf("read lease %s: %w", file, err)
	}
	return lease, nil
}

// alone takes the directory's lock, which dies with the process.
func (d *Driver) alone() (unlock func(), err error) {
	if err := os.MkdirAll(d.State, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of leases: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(d.State, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := lockFile(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// replace writes a file so that it is whole at each moment.
func replace(name string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
