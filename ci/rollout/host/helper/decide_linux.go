package main

import (
	"maps"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// act is what the guard does next.
type act string

const (
	done      act = "done"      // all is as it should be
	wait      act = "wait"      // until the committed release is well, or the lease over
	restore   act = "start"     // the committed release runs nowhere
	shiftBack act = "shift"     // it is well, and has not all traffic
	stopOther act = "stop"      // what else runs
	boots     act = "enable"    // it would not come back when the machine boots
	nothing   act = "no commit" // there is no release to go back to
)

// decision is an act, and the slot that it is about.
type decision struct {
	act  act
	slot string
}

// next decides what the guard does, one thing at a time, from what is there now. So it does not matter where an earlier guard,
// a step or the machine's power ended.
func next(v view, single bool) decision {
	switch {
	case v.leased():
		return decision{act: wait}
	case v.Committed == "":
		return decision{act: nothing}
	}
	home, runs := v.home()
	switch {
	case !runs:
		return decision{restore, v.free(single)}
	case home.health != rollout.Healthy:
		return decision{wait, home.name}
	case v.traffic != nil || v.Cut || !maps.Equal(v.split(), rollout.Split{home.name: 100}):
		return decision{shiftBack, home.name}
	}
	for _, other := range v.slots {
		if other.name == home.name {
			continue
		}
		if other.unit.runs() || v.Slots[other.name] != "" || other.unit.enabled() {
			return decision{stopOther, other.name}
		}
	}
	if !home.unit.enabled() || v.Slots[home.name] != v.Committed {
		return decision{boots, home.name}
	}
	return decision{act: done}
}

// home is the slot in which the committed release runs.
func (v view) home() (slot, bool) {
	for _, s := range v.slots {
		if s.release == v.Committed && s.unit.runs() {
			return s, true
		}
	}
	return slot{}, false
}

// free is the slot for the committed release when it runs nowhere: its own, one in which nothing runs, or the one that is
// missed least.
func (v view) free(single bool) string {
	if single {
		return rollout.Blue
	}
	for _, fits := range []func(slot) bool{
		func(s slot) bool { return s.release == v.Committed },
		func(s slot) bool { return !s.unit.runs() },
		func(s slot) bool { return s.health != rollout.Healthy },
		func(s slot) bool { return s.weight < 100 },
	} {
		for _, s := range v.slots {
			if fits(s) {
				return s.name
			}
		}
	}
	return rollout.Blue
}
