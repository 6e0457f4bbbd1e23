package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrFenced says that a write came with a fencing number that is not the
// target's: the lease ended, or somebody else has it now.
var ErrFenced = errors.New("the lease is somebody else's, or over: nothing was written")

// HeldError says that somebody else rolls out to a target.
type HeldError struct {
	Target string
	Lease  Lease
}

// Error says who, and until when.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is being changed by %s: wait, its lease ends by itself at %s unless it goes on",
		e.Target, e.Lease.Owner, e.Lease.Until.Format(time.TimeOnly))
}

// Verbs change targets. Each is idempotent: done twice, it changes nothing the
// second time. Each but Observe is refused with ErrFenced when its number is not
// that of the target's lease. The step's place says where, and of what.
type Verbs interface {
	// Observe looks at targets. It needs no lease. A target that cannot be reached is
	// told as unseen, beside the others. An error says that nothing was seen.
	Observe(ctx context.Context, targets []string) (Observed, error)
	// Start runs a release in a slot, without traffic, and does not wait for its health.
	Start(ctx context.Context, fence uint64, step Step) error
	// Shift sends traffic to step.To.
	Shift(ctx context.Context, fence uint64, step Step) error
	// Stop drains and ends an instance, and keeps its release on the machine.
	Stop(ctx context.Context, fence uint64, step Step) error
	// Prune commits a release. Then it deletes the ones that nobody needs to go
	// back to: never the committed one, the one before it, or one that runs.
	Prune(ctx context.Context, fence uint64, step Step) error
}

// Leases say who may write. A target whose lease ends, given back or not renewed
// in time, and whose traffic is not with its committed release, goes back to
// that by itself. It stays as it is where the committed release cannot be had
// healthy, or where there is none.
type Leases interface {
	// Acquire takes the lease of a target, with a fencing number higher than any before.
	// It is a *HeldError while another owner has it. An owner who asks again gets a new one.
	Acquire(ctx context.Context, target, owner string, ttl time.Duration) (Lease, error)
	// Renew makes a lease last for ttl from now. ErrFenced when it is over.
	Renew(ctx context.Context, target string, fence uint64, ttl time.Duration) error
	// Return ends a lease now. One that is over is nothing to complain about.
	Return(ctx context.Context, target string, fence uint64) error
}

// Prober looks at an instance. What cannot be seen is Unseen or an error, and
// never a guess.
type Prober interface {
	Probe(ctx context.Context, place Place) (Sample, error)
}

// Driver is a kind of target, such as hosts or a cluster.
type Driver interface {
	Verbs
	Leases
	Prober
}
