package rollouttest

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// everyState is all that another rollout can leave on a target: each release, or
// none, in each slot, healthy or not, with each split, and each committed release.
func everyState() (states []rollout.Target) {
	releases := []string{"", before.Digest(), after.Digest(), "third"}
	healths := []rollout.Health{rollout.Healthy, rollout.Unhealthy, rollout.Unseen}
	for _, committed := range releases {
		for _, blue := range releases {
			for _, green := range releases {
				for _, bluish := range healths {
					for _, greenish := range healths {
						for _, weights := range [][2]int{{0, 0}, {100, 0}, {0, 100}, {50, 50}} {
							slots := []rollout.Slot{{Name: rollout.Blue, Release: blue, Health: bluish, Weight: weights[0]},
								{Name: rollout.Green, Release: green, Health: greenish, Weight: weights[1]}}
							if target, ok := possible(committed, slots); ok {
								states = append(states, target)
							}
						}
					}
				}
			}
		}
	}
	return states
}

// possible leaves out empty slots, and states in which one of them has traffic.
func possible(committed string, slots []rollout.Slot) (rollout.Target, bool) {
	target := rollout.Target{Name: "a", Committed: committed}
	for _, slot := range slots {
		if slot.Release != "" {
			target.Slots = append(target.Slots, slot)
		} else if slot.Weight > 0 || slot.Health != rollout.Healthy {
			return rollout.Target{}, false
		}
	}
	return target, true
}

func TestPlan_FromEveryStateLeadsToTheRelease(t *testing.T) {
	states := everyState()
	assert.Greater(t, len(states), 1000)
	for _, strategy := range strategies() {
		if strategy == rollout.InPlace {
			states = slices.DeleteFunc(states, inTwoPlaces)
			assert.Greater(t, len(states), 30)
		}
		wanted := rollout.Spec{Environment: "prod", Release: after, Targets: []string{"a"}, Strategy: strategy}
		for _, state := range states {
			first := rollout.Observed{Targets: []rollout.Target{state}}
			steps, err := rollout.Plan(wanted, first)
			require.NoError(t, err)
			leads(t, first, steps)
		}
	}
}

// inTwoPlaces says whether a strategy with one instance cannot have left a state.
func inTwoPlaces(t rollout.Target) bool {
	return len(t.Slots) > 0 && (len(t.Slots) > 1 || t.Slots[0].Name != rollout.Blue || t.Slots[0].Weight != 100)
}

// leads follows a plan: traffic that went well goes well at each step, and before
// the commit each prefix can be undone to what was settled.
func leads(t *testing.T, first rollout.Observed, steps []rollout.Step) {
	t.Helper()
	now, settled, committed := first, first, false
	for i, step := range steps {
		served := well(now.Targets[0])
		now = rollout.After(now, step)
		require.True(t, !served || well(now.Targets[0]), "%+v\n%sat %s", first, rollout.Text(steps), step)
		switch {
		case step.Settles:
			settled = now
		case step.Verb == rollout.Restart && step.Was == "":
			settled = rollout.After(settled, rollout.Step{Verb: rollout.Stop, Place: step.Place})
		case step.Verb == rollout.Restart:
			back := step
			back.Release = step.Was
			settled = rollout.After(settled, back)
		}
		committed = committed || step.Verb == rollout.Prune
		if !committed {
			goesBack(t, now, settled, steps[:i+1])
		}
	}
	require.True(t, now.Targets[0].Live(after.Digest()), "%+v\n%s%+v", first, rollout.Text(steps), now)
}

func goesBack(t *testing.T, now, settled rollout.Observed, done []rollout.Step) {
	t.Helper()
	back, err := rollout.Undo(done, now)
	var stuck *rollout.StuckError
	if errors.As(err, &stuck) {
		require.False(t, well(settled.Targets[0]), "stuck, though it went well before: %+v\n%s", settled, rollout.Text(done))
		return
	}
	require.NoError(t, err)
	for _, step := range back {
		now = rollout.After(now, step)
	}
	require.Equal(t, traffic(settled), traffic(now), rollout.Text(done))
}
