package report

import "time"

// Event is something that happened in a run. The types of this file are all
// there are.
type Event interface{ event() }

// RunStarted is the first event. Run holds what is known from the beginning.
type RunStarted struct{ Run Run }

// FactFound is a value inferred after the run began.
type FactFound struct{ Fact Fact }

// EngineChosen says which engine is used.
type EngineChosen struct{ Engine Engine }

// ParallelChosen says how many jobs run at once.
type ParallelChosen struct{ Parallel Parallel }

// StageStarted opens a stage. Stages may overlap.
type StageStarted struct {
	Stage string
	At    time.Time
}

// StepStarted opens a step. ID is unique in the run: names need not be.
type StepStarted struct {
	ID    int
	Stage string
	Step  Step
}

// Progress is the last thing a running step has to say, in one line.
type Progress struct {
	ID          int
	Stage, Step string
	Text        string
}

// CommandStarted is a command that a step runs.
type CommandStarted struct {
	ID          int
	Stage, Step string
	Command     []string
}

// Output is what a step's command printed: one or more lines.
type Output struct {
	ID          int
	Stage, Step string
	Text        string
}

// StepFinished closes a step. Failure is set when it failed.
type StepFinished struct {
	ID      int
	Stage   string
	Step    Step
	Failure *Failure
}

// StageFailed is a failure of a stage that belongs to none of its steps.
type StageFailed struct{ Failure Failure }

// StageFinished closes a stage.
type StageFinished struct{ Stage Stage }

// Note is a sentence for people.
type Note struct{ Text string }

// Warning is a sentence for people that the report keeps.
type Warning struct{ Text string }

// RunFinished is the last event.
type RunFinished struct{ Run Run }

func (RunStarted) event()     {}
func (FactFound) event()      {}
func (EngineChosen) event()   {}
func (ParallelChosen) event() {}
func (StageStarted) event()   {}
func (StepStarted) event()    {}
func (Progress) event()       {}
func (CommandStarted) event() {}
func (Output) event()         {}
func (StepFinished) event()   {}
func (StageFailed) event()    {}
func (StageFinished) event()  {}
func (Note) event()           {}
func (Warning) event()        {}
func (RunFinished) event()    {}

// Observer is told what happens, one event at a time and in order. It must not
// call the recorder that tells it.
type Observer interface{ Observe(Event) }

// ObserverFunc makes a function an Observer.
type ObserverFunc func(Event)

// Observe calls the function.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Observers tells several observers, in order.
type Observers []Observer

// Observe tells each of them.
func (o Observers) Observe(e Event) {
	for _, each := range o {
		each.Observe(e)
	}
}
