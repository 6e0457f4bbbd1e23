package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The slots of a target: places for two instances beside each other.
const (
	Blue  = "blue"
	Green = "green"
)

// Health is what was seen of an instance. The zero value means that nothing was.
type Health string

// What can be seen.
const (
	Unseen    Health = ""
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
)

// Observed is the state of all targets at one moment.
type Observed struct {
	Targets []Target `json:"targets"`
}

// Target is the state of one machine or service.
type Target struct {
	Name      string `json:"name"`
	Committed string `json:"committed,omitempty"` // the release that it goes back to by itself
	Slots     []Slot `json:"slots,omitempty"`     // those with an instance that runs
	Lease     Lease  `json:"lease,omitzero"`
	// Unseen is why it could not be looked at. Nothing else is known of it then.
	Unseen string `json:"unseen,omitempty"`
}

// Slot is an instance that runs.
type Slot struct {
	Name    string `json:"name"`
	Release string `json:"release"`
	Health  Health `json:"health,omitempty"`
	Weight  int    `json:"weight"` // the proxy's share of traffic, in percent
}

// Lease says who may write to a target, and until when. Fence grows with each
// owner: a write with a smaller number is refused.
type Lease struct {
	Owner string    `json:"owner"`
	Fence uint64    `json:"fence"`
	Until time.Time `json:"until"`
}

// Split is the traffic of a target: percent by slot. Slots without traffic are not in it.
type Split map[string]int

// String is the split as text, the slots in order.
func (s Split) String() string {
	if len(s) == 0 {
		return "none"
	}
	var parts []string
	for _, slot := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%s %d%%", slot, s[slot]))
	}
	return strings.Join(parts, ", ")
}

// Target finds a target by its name. One that is not there was not seen.
func (o Observed) Target(name string) Target {
	for _, target := range o.Targets {
		if target.Name == name {
			return target
		}
	}
	return Target{Name: name, Unseen: "it was not observed"}
}

// Slot finds what runs in a slot.
func (t Target) Slot(name string) (Slot, bool) {
	for _, slot := range t.Slots {
		if slot.Name == name {
			return slot, true
		}
	}
	return Slot{}, false
}

// Split is where the traffic goes.
func (t Target) Split() Split {
	split := Split{}
	for _, slot := range t.Slots {
		if slot.Weight > 0 {
			split[slot.Name] = slot.Weight
		}
	}
	return split
}

// Live says whether a release alone runs, is healthy, has all traffic and is committed.
func (t Target) Live(release string) bool {
	return t.Committed == release && len(t.Slots) == 1 && t.Serves(release)
}

// Serves says whether a healthy instance of a release has all traffic.
func (t Target) Serves(release string) bool {
	for _, slot := range t.Slots {
		if slot.Weight == 100 {
			return slot.Release == release && slot.Health == Healthy
		}
	}
	return false
}
