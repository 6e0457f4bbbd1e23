package rollout

import (
	"cmp"
	"fmt"
	"strings"
)

// Verb is what a step does.
type Verb string

// The verbs. All but Gate and RunHook change a target, and doing one twice
// changes nothing the second time.
const (
	Start Verb = "start" // run a release in a slot, without traffic
	Gate  Verb = "gate"  // look, until it is known whether to go on
	Shift Verb = "shift" // send traffic elsewhere
	Stop  Verb = "stop"  // end an instance, and keep its release
	Prune Verb = "prune" // commit a release, and delete what nobody needs to go back to

	// Restart is Start for a target with one instance and no proxy: it ends what runs in the
	// slot, and what it starts there has all traffic at once. Drivers get it as a Start.
	Restart Verb = "restart"
	RunHook Verb = "hook" // run a command once
)

// Place is an instance: a release in a slot of a target.
type Place struct {
	Target  string `json:"target,omitempty"`
	Slot    string `json:"slot,omitempty"`
	Release string `json:"release,omitempty"`
}

// Step is one thing to do.
type Step struct {
	Verb Verb `json:"verb"`
	Place
	From  Split  `json:"from,omitempty"` // Shift: where traffic went
	To    Split  `json:"to,omitempty"`   // Shift: where it is to go
	Check *Check `json:"check,omitempty"`
	Was   string `json:"was,omitempty"` // Restart: the release that ran there, "" for none
	Hook  *Hook  `json:"hook,omitempty"`
	// Settles marks a step that tidies up after another rollout. It is not undone.
	Settles bool `json:"settles,omitempty"`
}

// String is the step as a line of text.
func (s Step) String() string {
	switch s.Verb {
	case Gate:
		return "gate " + s.Check.String()
	case Shift:
		return s.note(fmt.Sprintf("shift %s: %s (was %s)", s.Target, s.To, s.From))
	case Prune:
		return fmt.Sprintf("prune %s: commit %s", s.Target, short(s.Release))
	case RunHook:
		return fmt.Sprintf("hook %s: %s", s.Target, s.Hook)
	case Restart:
		return s.note(fmt.Sprintf("restart %s: %s in %s (was %s)", s.Target, short(s.Release), s.Slot, cmp.Or(short(s.Was), "none")))
	}
	return s.note(fmt.Sprintf("%s %s: %s in %s", s.Verb, s.Target, short(s.Release), s.Slot))
}

func (s Step) note(text string) string {
	if s.Settles {
		return text + ", left by another rollout"
	}
	return text
}

// Text is a plan as people read it, a line for each step.
func Text(steps []Step) string {
	if len(steps) == 0 {
		return "nothing to do\n"
	}
	var text strings.Builder
	for i, step := range steps {
		fmt.Fprintf(&text, "%2d. %s\n", i+1, step)
	}
	return text.String()
}
