package rollout

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// move is what happens on one target.
type move struct {
	target  Target // after settling
	slot    string // where the wanted release runs, or is to run
	release string
}

// Plan decides the steps from what was observed to what is wanted. It knows
// nothing else, and says the same each time. There are none when nothing is to
// do.
//
// What another rollout left is settled first, on each target: traffic goes back
// to the committed release where that is healthy, else to whatever is, and the
// rest is stopped. An instance of the wanted release is kept and used.
func Plan(spec Spec, observed Observed) ([]Step, error) {
	spec = spec.Normalize()
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("plan %s: %w", spec.Environment, err)
	}
	if err := seen(spec, observed); err != nil {
		return nil, err
	}
	var steps []Step
	var moves []move
	wanted := spec.Release.Digest()
	for _, name := range spec.Targets {
		target := observed.Target(name)
		if err := spec.fits(target); err != nil {
			return nil, err
		}
		settling := spec.settle(target, wanted)
		steps = append(steps, settling...)
		for _, step := range settling {
			target = target.after(step)
		}
		if !target.Live(wanted) {
			moves = append(moves, move{target: target, slot: spec.destination(target, wanted), release: wanted})
		}
	}
	if len(moves) == 0 {
		return steps, nil
	}
	steps = append(steps, spec.Hooks.at(BeforeSwitch, spec.Hooks.Before, moves)...)
	steps = append(steps, spec.forward(moves)...)
	steps = append(steps, finish(moves)...)
	steps = append(steps, spec.Hooks.at(AfterCommit, spec.Hooks.After, moves)...)
	return append(steps, spec.Hooks.at(OnFailure, spec.Hooks.OnFailure, moves)...), nil
}

// fits refuses a target that has two instances for a strategy with one.
func (s Spec) fits(t Target) error {
	for _, slot := range t.Slots {
		if s.Strategy == InPlace && slot.Name != Blue {
			return fmt.Errorf("plan %s: %s has an instance in %s, of another strategy, and restart has only %s: deploy once more with the other strategy, then change it",
				s.Environment, t.Name, slot.Name, Blue)
		}
	}
	return nil
}

func (s Spec) settle(t Target, wanted string) []Step {
	if s.Strategy == InPlace {
		return nil // there is nothing beside the one instance
	}
	return settle(t, wanted)
}

// seen says which targets could not be looked at. Nothing is planned then.
func seen(spec Spec, observed Observed) error {
	var unseen []error
	for _, name := range spec.Targets {
		if why := observed.Target(name).Unseen; why != "" {
			unseen = append(unseen, fmt.Errorf("plan %s: %s cannot be seen: %s", spec.Environment, name, why))
		}
	}
	return errors.Join(unseen...)
}

// forward is everything up to the last gate.
func (s Spec) forward(moves []move) []Step {
	switch s.Strategy {
	case Rolling, InPlace:
		return s.rolling(moves)
	case Canary:
		return s.stages(moves, append(slices.Clone(s.Weights), 100))
	}
	return s.stages(moves, []int{100})
}

func (s Spec) rolling(moves []move) []Step {
	var steps []Step
	for batch := range slices.Chunk(moves, s.Batch) {
		steps = append(steps, s.begin(batch)...)
		if s.Strategy == Rolling {
			steps = append(steps, shift(batch, 100)...)
		}
		steps = append(steps, s.watch(batch, s.Interval))
	}
	// The last look is a long one, at everything that was switched.
	steps[len(steps)-1] = s.watch(moves, s.Bake)
	return steps
}

// stages starts everywhere, and then shifts everywhere to one weight after the other.
func (s Spec) stages(moves []move, weights []int) []Step {
	steps := s.begin(moves)
	current := advance(moves, steps)
	for _, weight := range weights {
		shifts := shift(current, weight)
		steps = append(steps, shifts...)
		current = advance(current, shifts)
		if weight == 100 {
			steps = append(steps, s.watch(moves, s.Bake))
		} else if len(shifts) > 0 {
			steps = append(steps, s.watch(moves, s.Interval))
		}
	}
	return steps
}

// advance is where moves are after steps.
func advance(moves []move, steps []Step) []move {
	moves = slices.Clone(moves)
	for i := range moves {
		for _, step := range steps {
			if step.Target == moves[i].target.Name {
				moves[i].target = moves[i].target.after(step)
			}
		}
	}
	return moves
}

// begin starts the wanted release where it does not run, and waits until it is healthy.
func (s Spec) begin(moves []move) []Step {
	var steps []Step
	for _, m := range moves {
		slot, runs := m.target.Slot(m.slot)
		switch {
		case s.Strategy == InPlace: // of what runs already, nothing is restarted
			steps = append(steps, Step{Verb: Restart, Place: m.place(), Was: m.before()})
		case s.Strategy != InPlace && (!runs || slot.Release != m.release):
			steps = append(steps, Step{Verb: Start, Place: m.place()})
		}
	}
	return append(steps, Step{Verb: Gate, Check: s.Gates.start(places(moves))})
}

func (s Spec) watch(moves []move, long Duration) Step {
	return Step{Verb: Gate, Check: s.Gates.watch(places(moves), long)}
}

// shift gives the wanted release a share of traffic. It gets everything where
// nothing healthy is there to have the rest.
func shift(moves []move, weight int) []Step {
	var steps []Step
	for _, m := range moves {
		to := Split{m.slot: 100}
		if old, ok := m.old(); ok && old.Health == Healthy && weight < 100 {
			to = Split{m.slot: weight, old.Name: 100 - weight}
		}
		from := m.target.Split()
		if slot, ok := m.target.Slot(m.slot); (ok && slot.Weight >= weight) || maps.Equal(from, to) {
			continue
		}
		steps = append(steps, Step{Verb: Shift, Place: m.place(), From: from, To: to})
	}
	return steps
}

// finish commits everywhere, and only then stops what was there before.
func finish(moves []move) []Step {
	var commits, stops []Step
	for _, m := range moves {
		commits = append(commits, Step{Verb: Prune, Place: Place{Target: m.target.Name, Release: m.release}})
		if old, ok := m.old(); ok {
			stops = append(stops, Step{Verb: Stop, Place: Place{Target: m.target.Name, Slot: old.Name, Release: old.Release}})
		}
	}
	return append(commits, stops...)
}

// old is the instance that the wanted one replaces.
func (m move) old() (Slot, bool) { return m.target.Slot(other(m.slot)) }

// before is the release that a restart goes back to, "" for none.
func (m move) before() string {
	slot, _ := m.target.Slot(m.slot)
	if slot.Release != m.release {
		return slot.Release
	}
	return m.target.Committed
}

func (m move) place() Place {
	return Place{Target: m.target.Name, Slot: m.slot, Release: m.release}
}

func places(moves []move) []Place {
	on := make([]Place, len(moves))
	for i, m := range moves {
		on[i] = m.place()
	}
	return on
}

func other(slot string) string {
	if slot == Blue {
		return Green
	}
	return Blue
}
