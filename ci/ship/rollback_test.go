package ship

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/rollout"
)

// A rollback without a name goes one release back from what runs, whatever the history says.
func TestLastGoodKnowsWhatRuns(t *testing.T) {
	done := func(action rollout.Action, release string) rollout.Record {
		return rollout.Record{Action: action, Release: release, Outcome: rollout.Done}
	}
	deployed := func(releases ...string) (records []rollout.Record) {
		for _, release := range releases {
			records = append(records, done(rollout.Deploy, release))
		}
		return records
	}
	for name, c := range map[string]struct {
		history    []rollout.Record
		runs, want string
	}{
		"as written":               {deployed("a", "b"), "b", "a"},
		"targets differ":           {deployed("a", "b"), "", "a"},
		"a commit not written":     {deployed("a", "b"), "c", "b"},
		"nor the first one":        {deployed("a"), "b", "a"},
		"a rollback":               {append(deployed("a", "b"), done(rollout.Rollback, "a")), "a", "a"},
		"a rollback not written":   {deployed("a", "b"), "a", "a"},
		"a failure is no release":  {append(deployed("a", "b"), rollout.Record{Release: "c", Action: rollout.Deploy, Outcome: rollout.RolledBack}), "b", "a"},
		"the longest knows most":   {deployed("a", "b", "c"), "c", "b"},
		"written after a rollback": {append(deployed("a", "b"), done(rollout.Rollback, "a"), done(rollout.Deploy, "c")), "c", "a"},
	} {
		found, err := lastGood([]Past{{}, {Records: c.history}}, c.runs)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, found.Release, name)
	}
	_, err := lastGood([]Past{{}}, "a")
	require.ErrorIs(t, err, rollout.ErrNoWayBack)
}

// A step is given the time that stopping an instance, or a command of the user's, may take.
func TestStepDeadline(t *testing.T) {
	e := project.Environment{Driver: project.HostDriver, Drain: 2 * time.Minute, App: project.App{Service: &project.Service{Grace: 5 * time.Minute}}}
	assert.Equal(t, rollout.DefaultStepDeadline+7*time.Minute, stepDeadline(e))
	assert.Equal(t, commandDeadline, stepDeadline(project.Environment{Driver: project.CommandDriver}))
}
