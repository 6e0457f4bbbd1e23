package rollout

// Outcome is how a rollout ended.
type Outcome string

// The outcomes.
const (
	Done        Outcome = "done"        // the wanted release is live everywhere
	Refused     Outcome = "refused"     // nothing was changed
	RolledBack  Outcome = "rolled back" // it failed, and everything is back
	Interrupted Outcome = "interrupted" // it was ended, and everything is back
	Stuck       Outcome = "stuck"       // a person is needed
)

// ExitCode is what the process ends with.
func (o Outcome) ExitCode() int {
	switch o {
	case Done:
		return 0
	case Refused:
		return 1
	case RolledBack:
		return 4
	case Interrupted:
		return 130
	}
	return 5
}

// Result is what came of a rollout.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// Cause is what ended it early. With Done, something is left that the next run tidies up.
	Cause error `json:"-"`
	// Verdict is that of the gate that ended it, if one did.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Observed is what runs on each target now. Unseen says that it could not be looked at.
	Observed Observed `json:"observed"`
	Unseen   bool     `json:"unseen,omitempty"`
	// Steps are those that were planned.
	Steps []Step `json:"steps,omitempty"`
}

// Event is one thing that happened, told as it happens.
type Event struct {
	Phase Phase  `json:"phase"`
	Step  Step   `json:"step,omitzero"`
	Text  string `json:"text,omitempty"`
	Err   error  `json:"-"`
}

// Phase is the part of a rollout that an event belongs to.
type Phase string

// The phases.
const (
	Planned   Phase = "planned"
	Beginning Phase = "begin" // a step begins
	Looking   Phase = "look"  // what a gate sees, when that is something new
	Ended     Phase = "end"   // a step ended, well or with an error
	Undoing   Phase = "undo"  // a step that goes back begins
	Undone    Phase = "undone"
	Finished  Phase = "finished"
)

// GateError says that a gate did not pass.
type GateError struct{ Verdict Verdict }

// Error says where, what was decided and why.
func (e *GateError) Error() string {
	return "gate " + e.Verdict.Place.Target + ": " + string(e.Verdict.Decision) + ": " + e.Verdict.Reason
}
