package rollout

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrCommitted says that a step is past the commit point.
var ErrCommitted = errors.New("undo: a target has committed: run the same command again, or roll back to the release before")

// StuckError names the targets that are left as they are, because going back
// would take their only healthy instance away, or because they cannot be seen.
type StuckError struct{ Targets []string }

// Error says which, and what to do.
func (e *StuckError) Error() string {
	return fmt.Sprintf("undo: %s: the old release is not healthy, or cannot be seen: left as it is, a person has to look", strings.Join(e.Targets, ", "))
}

// Undo walks back from steps that were done, or may have been, to the state
// before them. It looks at what is there now: a step without effect is not
// undone. First what was stopped is started, then traffic goes back, in one
// step for each target, then what was started is stopped. The steps come also
// with a *StuckError: they are for the other targets.
func Undo(done []Step, observed Observed) ([]Step, error) {
	done = undoable(done)
	if slices.ContainsFunc(done, func(s Step) bool { return s.Verb == Prune }) {
		return nil, ErrCommitted
	}
	u := undoing{now: observed, stuck: map[string]bool{}}
	for _, verb := range []Verb{Stop, Shift, Start, Restart} {
		for _, step := range u.backwards(done, verb) {
			u.add(step)
		}
	}
	if len(u.stuck) > 0 {
		return u.steps, &StuckError{Targets: slices.Sorted(maps.Keys(u.stuck))}
	}
	return u.steps, nil
}

// undoable leaves out what settled another rollout.
func undoable(done []Step) []Step {
	return slices.DeleteFunc(slices.Clone(done), func(s Step) bool { return s.Settles })
}

type undoing struct {
	now   Observed
	steps []Step
	stuck map[string]bool
}

// backwards is the inverse of each step of a verb, the last first. Of the shifts
// of a target only the first one's inverse is left, at the place of the last.
func (u *undoing) backwards(done []Step, verb Verb) []Step {
	var steps []Step
	at := map[string]int{}
	for _, step := range slices.Backward(done) {
		if step.Verb != verb {
			continue
		}
		if i, ok := at[step.Target]; ok && verb == Shift {
			steps[i] = inverse(step)
			continue
		}
		at[step.Target] = len(steps)
		steps = append(steps, inverse(step))
	}
	return steps
}

func inverse(step Step) Step {
	switch step.Verb {
	case Start:
		step.Verb = Stop
	case Stop:
		step.Verb = Start
	case Shift:
		step.From, step.To = step.To, step.From
	case Restart:
		step.Release, step.Was = step.Was, step.Release
		if step.Release == "" {
			step.Verb, step.Release = Stop, step.Was
		}
	}
	return step
}

// add takes a step that has something to do and takes nothing away that is needed.
func (u *undoing) add(step Step) {
	target := u.now.Target(step.Target)
	if u.stuck[step.Target] || (target.Unseen == "" && !effective(target, step)) {
		return
	}
	if target.Unseen != "" || !harmless(target, step) {
		u.stuck[step.Target] = true
		return
	}
	if step.Verb == Shift {
		step.From = target.Split()
	}
	u.steps = append(u.steps, step)
	u.now = After(u.now, step)
}

func effective(t Target, step Step) bool {
	slot, runs := t.Slot(step.Slot)
	switch step.Verb {
	case Start:
		return !runs
	case Stop:
		return runs && slot.Release == step.Release
	case Restart:
		return !runs || slot.Release != step.Release
	}
	return !maps.Equal(t.Split(), step.To)
}

// harmless says whether traffic has a healthy place to go to after the step. A
// target that served nothing before may serve nothing again, and one that has
// nothing healthy has nothing to lose.
func harmless(t Target, step Step) bool {
	switch step.Verb {
	case Start, Restart:
		return true
	case Stop:
		return t.Split()[step.Slot] == 0 || step.Was != ""
	}
	for name := range step.To {
		if slot, _ := t.Slot(name); slot.Health != Healthy {
			return !slices.ContainsFunc(t.Slots, func(s Slot) bool { return s.Health == Healthy })
		}
	}
	return true
}
