//go:build linux

package main

import (
	"context"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// oneUnit stands for systemd with one unit, and tells what is done to it.
type oneUnit struct {
	active, sub string
	did         func(verb string)
}

func (u *oneUnit) run(_ context.Context, argv ...string) (string, error) {
	if slices.Contains(argv, "show") {
		return "Id=" + argv[len(argv)-1] + "\nActiveState=" + u.active + "\nSubState=" + u.sub + "\nExecMainStatus=4\n", nil
	}
	for _, verb := range []string{"start", "stop"} {
		if slices.Contains(argv, verb) {
			u.did(verb)
		}
	}
	return "", nil
}

// hooked is a service with a lease, a release and a hook that was asked for.
func hooked(t *testing.T, unit *oneUnit) (*service, protocol.Request, hook) {
	t.Helper()
	m := bench(t)
	s, err := m.service(app)
	require.NoError(t, err)
	t.Cleanup(s.close)
	require.NoError(t, s.stage(t.Context(), protocol.Release{Release: rollout.Release{Artifact: "a"}, Digest: releaseA, Service: app,
		Slots: map[string]protocol.Instance{rollout.Blue: {Unit: "[Service]\n"}}}))
	require.NoError(t, os.MkdirAll(s.path(transient), 0o755))
	lease, err := s.acquire(t.Context(), "one", time.Hour)
	require.NoError(t, err)
	m.systemd.run = unit.run
	ask := protocol.Request{ID: "migrate", Fence: lease.Fence, Place: rollout.Place{Release: releaseA}, Command: []string{"/bin/true"}}
	asked, err := s.claim(t.Context(), ask)
	require.NoError(t, err)
	return s, ask, asked
}

// A connection is cut and the driver asks again: two helpers wait for one command. The result is kept before its unit is
// forgotten, so that the other one finds the one or the other.
func TestAResultIsKeptBeforeItsUnitIsForgotten(t *testing.T) {
	unit := &oneUnit{active: "failed", sub: "failed"}
	s, ask, asked := hooked(t, unit)
	forgotten := false
	unit.did = func(verb string) {
		assert.Equal(t, "stop", verb)
		result, err := s.kept(t.Context(), asked.Key)
		require.NoError(t, err)
		assert.NotNil(t, result, "it is forgotten, and its result is not kept")
		forgotten = true
	}
	result, err := s.hook(t.Context(), ask, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 4, result.ExitCode)
	assert.True(t, forgotten)
}

// Who comes to a unit that another helper has forgotten gets the result, and runs nothing again.
func TestTheResultThatSomebodyElseKept(t *testing.T) {
	unit := &oneUnit{active: "inactive", sub: "dead"}
	s, ask, asked := hooked(t, unit)
	unit.did = func(verb string) { assert.Fail(t, "it is not run a second time", verb) }
	require.NoError(t, s.update(t.Context(), func(st state) (state, error) {
		return st.ended(asked.Key, &protocol.HookResult{ExitCode: 7})
	}))
	found, err := s.release(releaseA)
	require.NoError(t, err)
	require.NoError(t, s.launch(t.Context(), ask, asked, found))
	within, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := s.await(within, asked, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 7, result.ExitCode)

	_, err = s.acquire(t.Context(), "one", time.Hour)
	require.NoError(t, err)
	_, err = s.await(within, asked, io.Discard)
	var p *problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, protocol.Fenced, p.Kind, "another rollout has begun")
}
