package rollout

import "maps"

// settle is what makes one instance the one that serves, on a target where
// another rollout was left.
func settle(t Target, wanted string) []Step {
	base, ok := serving(t, wanted)
	if !ok {
		return nil
	}
	var steps []Step
	if to := (Split{base.Name: 100}); base.Health == Healthy && !maps.Equal(t.Split(), to) && !fresh(t, base, wanted) {
		steps = append(steps, Step{Verb: Shift, Place: place(t, base), From: t.Split(), To: to, Settles: true})
	}
	rest, ok := t.Slot(other(base.Name))
	if !ok || useful(rest, base, wanted) {
		return steps
	}
	return append(steps, Step{Verb: Stop, Place: place(t, rest), Settles: true})
}

// serving chooses the instance that everything else goes around: the committed
// release, then what is healthy and is not the wanted one, then what is healthy,
// then what has traffic all the same.
func serving(t Target, wanted string) (Slot, bool) {
	for _, fits := range []func(Slot) bool{
		func(s Slot) bool { return s.Release == t.Committed && s.Health == Healthy },
		func(s Slot) bool { return s.Release != wanted && s.Health == Healthy && s.Weight > 0 },
		func(s Slot) bool { return s.Release != wanted && s.Health == Healthy && t.Committed != "" },
		func(s Slot) bool { return s.Health == Healthy },
		func(s Slot) bool { return s.Weight > 0 },
		func(s Slot) bool { return s.Release == t.Committed },
		func(Slot) bool { return true },
	} {
		if slot, ok := heaviest(t, fits); ok {
			return slot, true
		}
	}
	return Slot{}, false
}

// heaviest is the slot with the most traffic among those that fit.
func heaviest(t Target, fits func(Slot) bool) (Slot, bool) {
	var found Slot
	for _, slot := range t.Slots {
		if fits(slot) && (found.Name == "" || slot.Weight > found.Weight) {
			found = slot
		}
	}
	return found, found.Name != ""
}

// fresh says whether an instance of the wanted release was started and never
// served: its gates are still to come.
func fresh(t Target, base Slot, wanted string) bool {
	return base.Release == wanted && t.Committed != wanted && len(t.Split()) == 0
}

// useful says whether the other instance is one of the wanted release that can
// still replace the one that serves.
func useful(rest, base Slot, wanted string) bool {
	return rest.Release == wanted && base.Release != wanted && rest.Health == Healthy
}

// destination is the slot for the wanted release, which never is that of
// another instance that serves.
func (s Spec) destination(t Target, wanted string) string {
	if s.Strategy == InPlace {
		return Blue
	}
	for _, slot := range t.Slots {
		if slot.Release == wanted && slot.Health == Healthy {
			return slot.Name
		}
	}
	if len(t.Slots) == 0 {
		return Blue
	}
	return other(t.Slots[0].Name)
}

func place(t Target, slot Slot) Place {
	return Place{Target: t.Name, Slot: slot.Name, Release: slot.Release}
}
