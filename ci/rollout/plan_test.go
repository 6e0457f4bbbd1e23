package rollout

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var oldRelease, newRelease = Release{Artifact: "one"}, Release{Artifact: "two"}

func wanted(strategy Strategy, targets ...string) Spec {
	return Spec{Environment: "prod", Release: newRelease, Targets: targets, Strategy: strategy}
}

func serves(name string, release Release) Target {
	return Target{Name: name, Committed: release.Digest(), Slots: []Slot{
		{Name: Blue, Release: release.Digest(), Health: Healthy, Weight: 100}}}
}

func verbs(steps []Step) (names []string) {
	for _, step := range steps {
		names = append(names, string(step.Verb)+" "+step.Target)
	}
	return names
}

func TestPlan_Strategies(t *testing.T) {
	observed := Observed{Targets: []Target{serves("a", oldRelease), serves("b", oldRelease)}}
	for strategy, expected := range map[Strategy][]string{
		Rolling:   {"start a", "gate ", "shift a", "gate ", "start b", "gate ", "shift b", "gate ", "prune a", "prune b", "stop a", "stop b"},
		BlueGreen: {"start a", "start b", "gate ", "shift a", "shift b", "gate ", "prune a", "prune b", "stop a", "stop b"},
		Canary: {"start a", "start b", "gate ", "shift a", "shift b", "gate ", "shift a", "shift b", "gate ", "shift a", "shift b", "gate ",
			"prune a", "prune b", "stop a", "stop b"},
	} {
		steps, err := Plan(wanted(strategy, "a", "b"), observed)
		require.NoError(t, err)
		assert.Equal(t, expected, verbs(steps), strategy)
	}
}

func TestPlan_NothingToDo(t *testing.T) {
	steps, err := Plan(wanted(Rolling, "a"), Observed{Targets: []Target{serves("a", newRelease)}})
	require.NoError(t, err)
	assert.Empty(t, steps)
	assert.Equal(t, "nothing to do\n", Text(steps))
}

func TestPlan_SettlesAnInterruptedRollout(t *testing.T) {
	target := serves("a", oldRelease)
	target.Slots[0].Weight = 90
	target.Slots = append(target.Slots, Slot{Name: Green, Release: "third", Health: Healthy, Weight: 10})
	steps, err := Plan(wanted(BlueGreen, "a"), Observed{Targets: []Target{target}})
	require.NoError(t, err)
	assert.Equal(t, []string{"shift a", "stop a", "start a", "gate ", "shift a", "gate ", "prune a", "stop a"}, verbs(steps))
	assert.True(t, steps[0].Settles && steps[1].Settles)
	assert.Equal(t, Split{Blue: 100}, steps[0].To)
}

func TestPlan_AdoptsTheWantedRelease(t *testing.T) {
	target := serves("a", oldRelease)
	target.Slots = append(target.Slots, Slot{Name: Green, Release: newRelease.Digest(), Health: Healthy})
	steps, err := Plan(wanted(BlueGreen, "a"), Observed{Targets: []Target{target}})
	require.NoError(t, err)
	assert.Equal(t, []string{"gate ", "shift a", "gate ", "prune a", "stop a"}, verbs(steps))
}

func TestPlan_ReadsBackFromJSON(t *testing.T) {
	steps, err := Plan(wanted(Canary, "a"), Observed{Targets: []Target{serves("a", oldRelease)}})
	require.NoError(t, err)
	text, err := json.Marshal(steps)
	require.NoError(t, err)
	var again []Step
	require.NoError(t, json.Unmarshal(text, &again))
	assert.Equal(t, steps, again)
	assert.Contains(t, Text(steps), "shift a: blue 90%, green 10% (was blue 100%)")
}

func TestPlan_RefusesWhatItCannotSee(t *testing.T) {
	_, err := Plan(wanted(Rolling, "a", "b", "c"), Observed{Targets: []Target{serves("a", oldRelease), {Name: "b", Unseen: "no route"}}})
	assert.ErrorContains(t, err, "b cannot be seen: no route")
	assert.ErrorContains(t, err, "c cannot be seen: it was not observed")
}

func TestPlan_SaysEverythingThatIsWrong(t *testing.T) {
	_, err := Plan(Spec{Strategy: "big-bang", Weights: []int{50, 10}, Targets: []string{"a", "a"}}, Observed{})
	for _, part := range []string{"environment", "release", "big-bang", "weights[1]", "targets[1]"} {
		assert.ErrorContains(t, err, part)
	}
}

func TestUndo_NeverTakesTheOnlyHealthyInstance(t *testing.T) {
	observed := Observed{Targets: []Target{serves("a", oldRelease), serves("b", oldRelease)}}
	steps, err := Plan(wanted(BlueGreen, "a", "b"), observed)
	require.NoError(t, err)
	done := steps[:5]
	for _, step := range done {
		observed = After(observed, step)
	}
	observed.Targets[0].Slots[0].Health = Unhealthy
	back, err := Undo(done, observed)
	var stuck *StuckError
	require.ErrorAs(t, err, &stuck)
	assert.Equal(t, []string{"a"}, stuck.Targets)
	assert.Equal(t, []string{"shift b", "stop b"}, verbs(back))
}

func TestJudge(t *testing.T) {
	check := Gates{Restarts: 2}.normalize().watch(nil, DefaultBake)
	at := func(change func(*Sample)) Sample {
		s := Sample{Health: Healthy, Requests: 1000, Memory: 0.5, P99: Duration(100 * time.Millisecond)}
		change(&s)
		return s
	}
	first := Sample{Health: Healthy, Restarts: 4} // what was before does not count
	well := at(func(s *Sample) { s.Restarts = 4 })
	sick := at(func(s *Sample) { s.Health = Unhealthy })
	for name, c := range map[string]struct {
		then   []Sample
		want   Decision
		reason string
	}{
		"well":                      {[]Sample{well}, Pass, "1000 requests, 0 failed"},
		"restarted once":            {[]Sample{at(func(s *Sample) { s.Restarts = 5 })}, Pass, ""},
		"restarted too often":       {[]Sample{at(func(s *Sample) { s.Restarts = 6 })}, Fail, "restarted 2 times"},
		"all of the memory it may":  {[]Sample{at(func(s *Sample) { s.Memory = 0.85 })}, Pass, ""},
		"more memory":               {[]Sample{at(func(s *Sample) { s.Memory = 0.851 })}, Fail, "memory is at 85%"},
		"as slow as it may":         {[]Sample{at(func(s *Sample) { s.P99 = Duration(500 * time.Millisecond) })}, Pass, ""},
		"slower":                    {[]Sample{at(func(s *Sample) { s.P99 = Duration(501 * time.Millisecond) })}, Fail, "p99 is 501ms"},
		"unhealthy now":             {[]Sample{well, sick}, Unknown, "could not be seen"},
		"unhealthy twice, and well": {[]Sample{sick, well, sick, well}, Pass, ""},
		"flapping":                  {[]Sample{sick, well, sick, well, sick, well}, Fail, "unhealthy 3 times"},
		"not seen now":              {[]Sample{well, {}}, Unknown, "could not be seen"},
		"counters that began anew":  {[]Sample{at(func(s *Sample) { s.Requests = -1 })}, Unknown, "could not be seen"},
		"restarted, and unhealthy":  {[]Sample{at(func(s *Sample) { s.Restarts, s.Health = 9, Unhealthy })}, Fail, "restarted 5 times"},
	} {
		verdict := check.Judge(append([]Sample{first}, c.then...))
		assert.Equal(t, c.want, verdict.Decision, "%s: %s", name, verdict.Reason)
		assert.Contains(t, verdict.Reason, c.reason, name)
	}
}

func TestJudge_UnknownWithoutTraffic(t *testing.T) {
	check := Gates{}.normalize().watch(nil, DefaultBake)
	quiet := Sample{Health: Healthy, Requests: 7}
	assert.Equal(t, Unknown, check.Judge([]Sample{quiet, quiet}).Decision)
	busy := Sample{Health: Healthy, Requests: 207, Errors: 2}
	assert.Equal(t, Pass, check.Judge([]Sample{quiet, busy}).Decision)
	busy.Errors = 3
	assert.Equal(t, Fail, check.Judge([]Sample{quiet, busy}).Decision)
	assert.Equal(t, Unknown, check.Judge(nil).Decision)
}
