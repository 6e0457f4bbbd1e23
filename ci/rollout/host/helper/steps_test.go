//go:build linux

package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// To end an instance may take minutes. When the lease is over by then nothing is started: that is the guard's to decide.
func TestNothingIsStartedWhenTheLeaseEndedMeanwhile(t *testing.T) {
	m := bench(t)
	s, err := m.service(app)
	require.NoError(t, err)
	defer s.close()
	releases := map[string]protocol.Release{}
	for _, artifact := range []string{"a", "b"} {
		r := protocol.Release{Release: rollout.Release{Artifact: artifact}, Service: app, Grace: rollout.Duration(time.Hour),
			Slots: map[string]protocol.Instance{rollout.Blue: {Unit: "[Service]\n# " + artifact + "\n"}}}
		r.Digest = r.Release.Digest()
		require.NoError(t, s.stage(t.Context(), r))
		releases[r.Digest] = r
	}
	_, err = writeUnit(s.units, s.unit(rollout.Blue), releaseA, releases[releaseA].Slots[rollout.Blue].Unit)
	require.NoError(t, err)
	var fence uint64
	stopped := false
	m.systemd.run = func(ctx context.Context, argv ...string) (string, error) {
		switch {
		case slices.Contains(argv, "show"):
			return "Id=" + s.unit(rollout.Blue) + "\nActiveState=active\nSubState=running\n", nil
		case slices.Contains(argv, "stop"):
			stopped = true
			deadline, ok := ctx.Deadline()
			assert.True(t, ok)
			assert.Greater(t, time.Until(deadline), time.Hour, "it has its grace")
			return "", s.giveBack(ctx, fence)
		case slices.Contains(argv, "start") && slices.Contains(argv, s.unit(rollout.Blue)):
			assert.Fail(t, "it is started without a lease")
		}
		return "", nil
	}
	lease, err := s.acquire(t.Context(), "one", time.Hour)
	require.NoError(t, err)
	fence = lease.Fence
	_, err = m.answer(t.Context(), protocol.Request{Version: protocol.Version, Service: app, Verb: protocol.Start, Fence: fence,
		Step: &rollout.Step{Verb: rollout.Start, Place: rollout.Place{Slot: rollout.Blue, Release: releaseB}}}, exchange{})
	var p *problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, protocol.Fenced, p.Kind)
	assert.True(t, stopped)
	file, err := readUnit(s.units, s.unit(rollout.Blue))
	require.NoError(t, err)
	assert.Equal(t, releaseA, file.release)
}
