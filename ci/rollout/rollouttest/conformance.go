package rollouttest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// Subject is a driver to be tried, on targets where the first release is
// committed, healthy, and has all traffic. The second one can be started.
type Subject struct {
	Driver        rollout.Driver
	Targets       []string
	First, Second string // digests
	// TTL is the shortest lease that the driver can keep. The default is 30 seconds.
	TTL time.Duration
	// Bubble says that the driver needs no time of its own: the suite then runs in a
	// bubble of testing/synctest, where waiting takes none.
	Bubble bool
	// Passive says that nothing of ours is on the targets, so that they do not go back by themselves.
	Passive bool
}

// Conformance is what each driver has to pass. It asks for a new subject for each test.
func Conformance(t *testing.T, subject func(t *testing.T) Subject) {
	for name, try := range map[string]func(*conformer){
		"verbs are idempotent":             (*conformer).idempotent,
		"start gives no traffic":           (*conformer).startIsQuiet,
		"stop keeps the release":           (*conformer).stopKeeps,
		"a stale stop does nothing":        (*conformer).staleStop,
		"no write without a lease":         (*conformer).unleased,
		"one owner at a time":              (*conformer).exclusive,
		"fencing numbers grow":             (*conformer).fenced,
		"a renewed lease lasts":            (*conformer).renewed,
		"uncommitted goes back by itself":  (*conformer).expires,
		"given back goes back at once":     (*conformer).returned,
		"committed stays":                  (*conformer).committed,
		"what does not run is not guessed": (*conformer).unseen,
	} {
		t.Run(name, func(t *testing.T) {
			if subject(t).Passive && strings.Contains(name, "goes back") {
				t.Skip("this driver has nobody on the targets: what a deployer leaves stays until the next run")
			}
			body := func(t *testing.T) { conform(t, subject(t), try) }
			if subject(t).Bubble {
				synctest.Test(t, body)
				return
			}
			body(t)
		})
	}
}

type conformer struct {
	Subject
	*testing.T
	target, used, free string
	fence              uint64
}

func conform(t *testing.T, subject Subject, try func(*conformer)) {
	c := &conformer{Subject: subject, T: t, target: subject.Targets[0]}
	if c.TTL == 0 {
		c.TTL = rollout.DefaultTTL
	}
	slots := c.look().Slots
	require.Len(t, slots, 1, "the subject has to begin with the first release alone")
	require.True(t, c.look().Live(c.First), "the first release has to be live")
	c.used, c.free = slots[0].Name, rollout.Blue
	if c.used == rollout.Blue {
		c.free = rollout.Green
	}
	c.fence = c.lease("one").Fence
	try(c)
}

func (c *conformer) idempotent() {
	for _, step := range []rollout.Step{c.start(), c.shift(c.free), c.prune(c.Second), c.stop(c.used, c.First)} {
		require.NoError(c, c.do(step))
		c.healthy()
		once := c.settled()
		require.NoError(c, c.do(step), "%s again", step)
		assert.Equal(c, once, c.settled(), "%s again", step)
	}
	assert.True(c, c.look().Live(c.Second))
}

func (c *conformer) startIsQuiet() {
	require.NoError(c, c.do(c.start()))
	assert.Equal(c, rollout.Split{c.used: 100}, c.look().Split())
	assert.Equal(c, c.First, c.look().Committed)
}

func (c *conformer) stopKeeps() {
	require.NoError(c, c.do(c.start()))
	require.NoError(c, c.do(c.stop(c.free, c.Second)))
	assert.Len(c, c.look().Slots, 1)
	require.NoError(c, c.do(c.start()), "the release is still there")
	c.healthy()
}

func (c *conformer) staleStop() {
	require.NoError(c, c.do(c.stop(c.used, c.Second)))
	assert.True(c, c.look().Live(c.First), "a stop of a release that is not in the slot leaves the one that is")
}

func (c *conformer) unleased() {
	c.fence++
	c.refused()
	c.fence--
	require.NoError(c, c.Driver.Return(c.Context(), c.target, c.fence))
	c.refused()
	require.NoError(c, c.Driver.Return(c.Context(), c.target, c.fence), "a lease that is over is nothing to complain about")
}

func (c *conformer) exclusive() {
	_, err := c.Driver.Acquire(c.Context(), c.target, "two", c.TTL)
	var held *rollout.HeldError
	require.ErrorAs(c, err, &held)
	assert.Equal(c, "one", held.Lease.Owner)
	require.NoError(c, c.Driver.Renew(c.Context(), c.target, c.fence, c.TTL), "the owner keeps it")
}

func (c *conformer) fenced() {
	require.NoError(c, c.Driver.Return(c.Context(), c.target, c.fence))
	lease := c.lease("two")
	require.Greater(c, lease.Fence, c.fence)
	c.refused()
	require.ErrorIs(c, c.Driver.Renew(c.Context(), c.target, c.fence, c.TTL), rollout.ErrFenced)
	require.NoError(c, c.Driver.Return(c.Context(), c.target, c.fence))
	c.fence = lease.Fence
	require.NoError(c, c.do(c.start()), "an old owner's return ends nothing")
}

func (c *conformer) renewed() {
	for range 3 {
		time.Sleep(c.TTL * 2 / 3)
		require.NoError(c, c.Driver.Renew(c.Context(), c.target, c.fence, c.TTL))
	}
	require.NoError(c, c.do(c.start()))
}

func (c *conformer) expires() {
	c.switched()
	time.Sleep(c.TTL + c.TTL/4)
	c.wentBack()
	c.refused()
}

func (c *conformer) returned() {
	c.switched()
	require.NoError(c, c.Driver.Return(c.Context(), c.target, c.fence))
	c.wentBack()
}

func (c *conformer) committed() {
	c.switched()
	require.NoError(c, c.do(c.prune(c.Second)))
	time.Sleep(c.TTL + c.TTL/4)
	assert.True(c, c.look().Serves(c.Second))
	assert.Equal(c, c.Second, c.look().Committed)
}

func (c *conformer) unseen() {
	sample, err := c.Driver.Probe(c.Context(), rollout.Place{Target: c.target, Slot: c.free, Release: c.Second})
	assert.True(c, err != nil || sample.Health != rollout.Healthy, "nothing runs there")
}

// switched gives all traffic to the second release, without committing it.
func (c *conformer) switched() {
	require.NoError(c, c.do(c.start()))
	c.healthy()
	require.NoError(c, c.do(c.shift(c.free)))
	require.True(c, c.look().Serves(c.Second))
}

// wentBack waits for the target to go back by itself, which may take it a moment.
func (c *conformer) wentBack() {
	c.eventually(func() bool { return c.look().Serves(c.First) }, "the committed release has all traffic again")
	assert.Equal(c, c.First, c.look().Committed)
}

func (c *conformer) refused() {
	before := c.settled()
	for _, step := range []rollout.Step{c.start(), c.shift(c.used), c.stop(c.used, c.First), c.prune(c.Second)} {
		require.ErrorIs(c, c.do(step), rollout.ErrFenced, "%s", step)
	}
	assert.Equal(c, before, c.settled())
}

func (c *conformer) healthy() {
	c.eventually(func() bool {
		slot, ok := c.look().Slot(c.free)
		return ok && slot.Health == rollout.Healthy
	}, "the second release gets healthy")
}

func (c *conformer) eventually(holds func() bool, what string) {
	c.Helper()
	end := time.Now().Add(c.TTL)
	for !holds() {
		require.True(c, time.Now().Before(end), "%s: %+v", what, c.look())
		time.Sleep(c.TTL / 100)
	}
}

func (c *conformer) lease(owner string) rollout.Lease {
	lease, err := c.Driver.Acquire(c.Context(), c.target, owner, c.TTL)
	require.NoError(c, err)
	return lease
}

func (c *conformer) look() rollout.Target {
	observed, err := c.Driver.Observe(c.Context(), c.Targets)
	require.NoError(c, err)
	return observed.Target(c.target)
}

// settled is the state without the lease, which time changes.
func (c *conformer) settled() rollout.Target {
	target := c.look()
	target.Lease = rollout.Lease{}
	return target
}

func (c *conformer) start() rollout.Step { return c.step(rollout.Start, c.free, c.Second) }

func (c *conformer) stop(slot, release string) rollout.Step {
	return c.step(rollout.Stop, slot, release)
}

func (c *conformer) prune(release string) rollout.Step { return c.step(rollout.Prune, "", release) }

func (c *conformer) shift(slot string) rollout.Step {
	step := c.step(rollout.Shift, slot, c.Second)
	step.To = rollout.Split{slot: 100}
	return step
}

func (c *conformer) step(verb rollout.Verb, slot, release string) rollout.Step {
	return rollout.Step{Verb: verb, Place: rollout.Place{Target: c.target, Slot: slot, Release: release}}
}

func (c *conformer) do(step rollout.Step) error {
	verb := map[rollout.Verb]func(context.Context, uint64, rollout.Step) error{
		rollout.Start: c.Driver.Start, rollout.Shift: c.Driver.Shift, rollout.Stop: c.Driver.Stop, rollout.Prune: c.Driver.Prune,
	}[step.Verb]
	return verb(c.Context(), c.fence, step)
}
