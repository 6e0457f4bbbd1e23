package embedded

import "time"

const (
	// probeEvery is how often a run in progress asks whether its engine still answers.
	probeEvery = 3 * time.Second
	// probePatience is how long one answer may take. It takes 2 ms when all is well.
	probePatience = 5 * time.Second
	// probeSilences is how many answers in a row may be missing. They are counted, not timed: a laptop that slept, or a
	// program that was stopped, has missed one at most.
	probeSilences = 4
)

// LostError says that an engine that was in use is gone, or answers no more, and why, as far as that is known.
type LostError struct {
	Cause  string // "it was killed (signal: killed)"
	Asked  bool   // somebody asked it to stop
	Silent bool   // it is there and does not answer
	Log    string // the engine's own log
}

func (e *LostError) Error() string { return "the engine is gone: " + e.Cause }
