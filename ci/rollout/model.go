package rollout

import (
	"cmp"
	"maps"
	"slices"
)

// After is the state that a step leads to when all goes well: what is started
// is healthy.
func After(o Observed, step Step) Observed {
	if step.Verb == Gate || step.Verb == RunHook {
		return o
	}
	o.Targets = slices.Clone(o.Targets)
	at := slices.IndexFunc(o.Targets, func(t Target) bool { return t.Name == step.Target })
	if at < 0 {
		o.Targets = append(o.Targets, Target{Name: step.Target})
		at = len(o.Targets) - 1
	}
	o.Targets[at] = o.Targets[at].after(step)
	return o
}

func (t Target) after(step Step) Target {
	t.Slots = slices.Clone(t.Slots)
	switch step.Verb {
	case Start:
		if slot, ok := t.Slot(step.Slot); ok && slot.Release == step.Release {
			return t
		}
		t.Slots = append(t.without(step.Slot), Slot{Name: step.Slot, Release: step.Release, Health: Healthy})
		slices.SortFunc(t.Slots, func(a, b Slot) int { return cmp.Compare(a.Name, b.Name) })
	case Restart:
		t.Slots = []Slot{{Name: step.Slot, Release: step.Release, Health: Healthy, Weight: 100}}
	case Shift:
		for i := range t.Slots {
			t.Slots[i].Weight = step.To[t.Slots[i].Name]
		}
	case Stop:
		t.Slots = t.without(step.Slot)
	case Prune:
		t.Committed = step.Release
	}
	return t
}

func (t Target) without(slot string) []Slot {
	return slices.DeleteFunc(slices.Clone(t.Slots), func(s Slot) bool { return s.Name == slot })
}

// serving is the traffic of a target by release, which says the same after an
// instance moved to the other slot.
func (t Target) serving() map[string]int {
	shares := map[string]int{}
	for _, slot := range t.Slots {
		if slot.Weight > 0 {
			shares[slot.Release] += slot.Weight
		}
	}
	return shares
}

// sameTraffic says whether all targets were seen, and send their traffic to the same releases.
func sameTraffic(a, b Observed, targets []string) bool {
	return !slices.ContainsFunc(targets, func(name string) bool {
		one, two := a.Target(name), b.Target(name)
		return one.Unseen != "" || two.Unseen != "" || !maps.Equal(one.serving(), two.serving())
	})
}
