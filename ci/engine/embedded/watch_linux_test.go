package embedded_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/internal/hosttest"
)

// E1: who uses an engine hears at once that it is gone, and why.
func TestWatchersHearOfTheEnd(t *testing.T) {
	cases := map[string]struct {
		end    func(t *testing.T, opts embedded.Options, s embedded.State)
		want   embedded.LostError
		within time.Duration
	}{
		"the engine is killed": {
			end:  func(t *testing.T, _ embedded.Options, s embedded.State) { kill(t, s.Engine, syscall.SIGKILL) },
			want: embedded.LostError{Cause: "it was killed (signal 9, killed)"}, within: 2 * time.Second,
		},
		"the supervisor is killed": {
			end:  func(t *testing.T, _ embedded.Options, s embedded.State) { kill(t, s.Supervisor, syscall.SIGKILL) },
			want: embedded.LostError{Cause: "its supervisor was killed"}, within: 4 * time.Second,
		},
		"its network is killed": {
			end:  func(t *testing.T, _ embedded.Options, s embedded.State) { kill(t, s.Network, syscall.SIGKILL) },
			want: embedded.LostError{Cause: "its network helper, slirp4netns, died"}, within: 2 * time.Second,
		},
		"it is stopped": {
			end: func(t *testing.T, o embedded.Options, _ embedded.State) {
				assert.NoError(t, embedded.Stop(t.Context(), o))
			},
			want: embedded.LostError{Cause: "it was asked to stop (slipway engine stop, or the system)", Asked: true}, within: 2 * time.Second,
		},
		"it is wedged": {
			end:  func(t *testing.T, _ embedded.Options, s embedded.State) { kill(t, s.Engine, syscall.SIGSTOP) },
			want: embedded.LostError{Cause: "it has not answered for 20s", Silent: true}, within: 30 * time.Second,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			opts := newEngine(t)
			ensure(t, opts)
			state := status(t, opts)
			heard := watch(t, opts)
			var ending sync.WaitGroup
			defer ending.Wait()
			ending.Go(func() { c.end(t, opts, state) })
			select {
			case err := <-heard:
				var lost *embedded.LostError
				require.ErrorAs(t, err, &lost)
				c.want.Log = state.Log
				assert.Equal(t, c.want, *lost)
			case <-time.After(c.within):
				require.Fail(t, "nothing was heard", "within %s", c.within)
			}
		})
	}
}

func kill(t *testing.T, pid int, signal syscall.Signal) { assert.NoError(t, syscall.Kill(pid, signal)) }

// watch begins to watch, and returns once the supervisor has let it in.
func watch(t *testing.T, opts embedded.Options) <-chan error {
	t.Helper()
	heard := make(chan error, 1)
	go func() { heard <- embedded.Watch(t.Context(), opts) }()
	select {
	case err := <-heard:
		require.Fail(t, "the engine is well", "%v", err)
	case <-time.After(200 * time.Millisecond):
	}
	return heard
}

func TestWatchEndsWithItsContext(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan error, 1)
	go func() { heard <- embedded.Watch(ctx, opts) }()
	cancel()
	assert.NoError(t, <-heard)
}

func TestWatchOfNoEngine(t *testing.T) {
	err := embedded.Watch(t.Context(), embedded.Options{Cache: t.TempDir()})
	var lost *embedded.LostError
	require.True(t, errors.As(err, &lost))
	assert.False(t, lost.Asked)
}

// An engine that serves nobody any more is replaced by the next caller: no one has to unlock anything.
func TestWedgedEngineIsReplaced(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	state := status(t, opts)
	processes := hosttest.Family(state.Supervisor)
	kill(t, state.Engine, syscall.SIGSTOP)
	assert.True(t, ensure(t, opts).Started)
	hosttest.RequireGone(t, processes)
}
