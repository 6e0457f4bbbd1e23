package report

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"
)

// keptOutput is how much of a step's output is kept for the tail of a failure.
const keptOutput = 64 << 10

// Recorder collects a run. Make one with NewRecorder.
type Recorder struct {
	// Mask hides secrets. It is applied to every text that enters the report or
	// an event. Set it before the first call; nil changes nothing.
	Mask func(string) string

	mu       sync.Mutex
	run      Run
	opened   bool
	closed   bool
	stages   []*StageRecorder
	steps    int
	observer Observer
	now      func() time.Time
}

// Result is how a step ended.
type Result struct {
	Status   Status        // the zero value is OK
	Saved    time.Duration // for Cached: what the step took when it really ran
	Duration time.Duration // when known better than by the recorder's clock
	Summary  string
	Findings []Finding
}

// StageRecorder collects a stage.
type StageRecorder struct {
	r     *Recorder
	stage Stage
	steps []*StepRecorder
	fail  bool
	done  bool
}

// StepRecorder collects a step.
type StepRecorder struct {
	r       *Recorder
	stage   *StageRecorder
	id      int
	step    Step
	command []string
	output  []byte
	done    bool
}

// NewRecorder returns a recorder for a run of which run holds what is known so
// far. Observer may be nil; now is time.Now outside of tests.
func NewRecorder(run Run, observer Observer, now func() time.Time) *Recorder {
	if observer == nil {
		observer = ObserverFunc(func(Event) {})
	}
	r := &Recorder{run: run.clone(), observer: observer, now: now}
	r.run.Schema = Schema
	if r.run.Started.IsZero() {
		r.run.Started = now()
	}
	return r
}

// Stage opens a stage.
func (r *Recorder) Stage(name string) *StageRecorder {
	r.enter()
	defer r.mu.Unlock()
	s := &StageRecorder{r: r, stage: Stage{Name: r.line(name), Status: Running, Started: r.now()}, done: r.closed}
	if r.closed {
		return s
	}
	r.stages = append(r.stages, s)
	r.emit(StageStarted{Stage: s.stage.Name, At: s.stage.Started})
	return s
}

// Note tells people something; the report does not keep it.
func (r *Recorder) Note(text string) {
	r.enter()
	defer r.mu.Unlock()
	r.emit(Note{Text: r.text(text)})
}

// Warn tells people something that the report keeps.
func (r *Recorder) Warn(text string) {
	r.enter()
	defer r.mu.Unlock()
	text = r.text(text)
	if r.closed {
		return
	}
	r.run.Warnings = append(r.run.Warnings, text)
	r.emit(Warning{Text: text})
}

// Fact adds an inferred value.
func (r *Recorder) Fact(f Fact) {
	r.enter()
	defer r.mu.Unlock()
	f = r.fact(f)
	if r.closed || slices.Contains(r.run.Inferred, f) { // a run that begins again infers the same
		return
	}
	r.run.Inferred = append(r.run.Inferred, f)
	r.emit(FactFound{Fact: f})
}

// Engine sets the engine that was chosen.
func (r *Recorder) Engine(e Engine) {
	r.enter()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.run.Engine = r.engine(e)
	r.emit(EngineChosen{Engine: r.run.Engine})
}

// Parallel sets how many jobs run at once.
func (r *Recorder) Parallel(p Parallel) {
	r.enter()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	p.Why = r.line(p.Why)
	r.run.Parallel = p
	r.emit(ParallelChosen{Parallel: p})
}

// Artifact adds something that the run made.
func (r *Recorder) Artifact(a Artifact) {
	r.enter()
	defer r.mu.Unlock()
	if !r.closed {
		r.run.Artifacts = append(r.run.Artifacts, r.artifact(a))
	}
}

// Published adds an image that was pushed.
func (r *Recorder) Published(p Published) {
	r.enter()
	defer r.mu.Unlock()
	if !r.closed {
		r.run.Published = append(r.run.Published, r.published(p))
	}
}

// Tested sets what the tests came to.
func (r *Recorder) Tested(t Tested) {
	r.enter()
	defer r.mu.Unlock()
	if !r.closed {
		r.run.Tested = &t
	}
}

// Release adds a release that was made, or completed, on a forge.
func (r *Recorder) Release(release Release) {
	r.enter()
	defer r.mu.Unlock()
	if !r.closed {
		r.run.Releases = append(r.run.Releases, r.release(release))
	}
}

// Restart forgets the stages so far, with what failed in them: the same work begins again. Who watches sees them canceled.
func (r *Recorder) Restart() {
	r.enter()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for _, s := range r.stages {
		s.close("", true)
	}
	r.stages, r.run.Failures, r.run.Artifacts, r.run.Tested = nil, nil, nil, nil
}

// Finish closes what is still open, ends the run and returns it. A second call
// returns the same run.
func (r *Recorder) Finish(exitCode int) Run {
	r.enter()
	defer r.mu.Unlock()
	if r.closed {
		return r.snapshot()
	}
	for _, s := range r.stages {
		s.close("", exitCode != 0)
	}
	r.closed = true
	r.run.ExitCode = exitCode
	r.run.Duration = r.since(r.run.Started)
	run := r.snapshot()
	r.emitAlways(RunFinished{Run: run.clone()})
	return run
}

// Snapshot returns the run as it stands, for a report of a run that is killed.
func (r *Recorder) Snapshot() Run {
	r.enter()
	defer r.mu.Unlock()
	return r.snapshot()
}

func (r *Recorder) snapshot() Run {
	run := r.run
	run.Stages = nil
	for _, s := range r.stages {
		run.Stages = append(run.Stages, s.snapshot())
	}
	if !r.closed {
		run.Duration = r.since(run.Started)
	}
	return run.clone()
}

// enter locks the recorder and tells the observer of the run, once: not in
// NewRecorder, because the mask is set after it.
func (r *Recorder) enter() {
	r.mu.Lock()
	if r.opened {
		return
	}
	r.opened = true
	r.run = r.maskRun(r.run)
	r.emit(RunStarted{Run: r.run.clone()})
}

func (r *Recorder) emit(e Event) {
	if !r.closed {
		r.observer.Observe(e)
	}
}

func (r *Recorder) emitAlways(e Event) { r.observer.Observe(e) }

func (r *Recorder) since(start time.Time) Duration { return Duration(max(0, r.now().Sub(start))) }

// Step opens a step: it starts now.
func (s *StageRecorder) Step(name string) *StepRecorder { return s.AppStep("", name) }

// AppStep opens a step for one app.
func (s *StageRecorder) AppStep(app, name string) *StepRecorder {
	r := s.r
	r.enter()
	defer r.mu.Unlock()
	r.steps++
	step := Step{Name: r.line(name), App: r.line(app), Status: Running, Started: r.now()}
	t := &StepRecorder{r: r, stage: s, id: r.steps, step: step, done: s.done}
	if s.done {
		return t
	}
	s.steps = append(s.steps, t)
	r.emit(StepStarted{ID: t.id, Stage: s.stage.Name, Step: step.clone()})
	return t
}

// Fail records a failure that belongs to no step of the stage.
func (s *StageRecorder) Fail(f Failure) {
	r := s.r
	r.enter()
	defer r.mu.Unlock()
	if s.done {
		return
	}
	s.fail = true
	f.Stage = s.stage.Name
	f = r.failure(f)
	r.run.Failures = append(r.run.Failures, f)
	r.emit(StageFailed{Failure: f.clone()})
}

// Done ends the stage. Its status follows from its steps: the worst counts, and a
// stage is cached when nothing in it really ran.
func (s *StageRecorder) Done(summary string) Status {
	s.r.enter()
	defer s.r.mu.Unlock()
	s.close(summary, false)
	return s.stage.Status
}

// close ends the stage and what is open in it. A stage that is cut short by the
// failure of another is canceled, even with all of its steps done so far.
func (s *StageRecorder) close(summary string, cutShort bool) {
	if s.done {
		return
	}
	for _, t := range s.steps {
		t.finish(Result{Status: Canceled}, nil)
	}
	s.done = true
	s.stage.Duration = s.r.since(s.stage.Started)
	s.stage.Summary = s.r.line(summary)
	s.stage.Steps = s.snapshot().Steps
	s.stage.Status = derive(s.stage.Steps)
	switch {
	case s.fail:
		s.stage.Status = Failed
	case cutShort && s.stage.Status != Failed:
		s.stage.Status = Canceled
	}
	s.r.emit(StageFinished{Stage: s.stage.clone()})
}

func (s *StageRecorder) snapshot() Stage {
	stage := s.stage
	stage.Steps = nil
	for _, t := range s.steps {
		stage.Steps = append(stage.Steps, t.step.clone())
	}
	return stage
}

// Progress says what the step does now. Only the last line of text counts.
func (t *StepRecorder) Progress(text string) {
	t.r.enter()
	defer t.r.mu.Unlock()
	if t.done {
		return
	}
	if text = lastLine(t.r.text(text)); text != "" {
		t.r.emit(Progress{ID: t.id, Stage: t.stage.stage.Name, Step: t.step.Title(), Text: text})
	}
}

// Command names the command that the step runs. A failure without a command of
// its own takes the last one.
func (t *StepRecorder) Command(argv ...string) {
	t.r.enter()
	defer t.r.mu.Unlock()
	if t.done {
		return
	}
	t.command = t.r.lines(argv)
	t.r.emit(CommandStarted{ID: t.id, Stage: t.stage.stage.Name, Step: t.step.Title(), Command: full(t.command)})
}

// Output passes on what the step's command printed: whole lines, or the mask
// cannot see a secret in them. A failure without a tail of its own takes its end.
func (t *StepRecorder) Output(text string) {
	t.r.enter()
	defer t.r.mu.Unlock()
	if t.done || text == "" {
		return
	}
	t.output = keepEnd(append(t.output, text...))
	t.r.emit(Output{ID: t.id, Stage: t.stage.stage.Name, Step: t.step.Title(), Text: t.r.text(text)})
}

// Done ends the step.
func (t *StepRecorder) Done(res Result) {
	t.r.enter()
	defer t.r.mu.Unlock()
	if res.Status == "" {
		res.Status = OK
	}
	t.finish(res, nil)
}

// Cancel ends the step because something else failed or the user asked for it.
func (t *StepRecorder) Cancel() { t.Done(Result{Status: Canceled}) }

// Fail ends the step with a failure. Stage and step are filled in; command and
// tail too, when they are empty and Command and Output were told.
func (t *StepRecorder) Fail(f Failure) {
	t.r.enter()
	defer t.r.mu.Unlock()
	if t.done {
		return
	}
	f.Stage, f.Step = t.stage.stage.Name, t.step.Title()
	if len(f.Command) == 0 {
		f.Command = t.command
	}
	if len(f.Tail) == 0 {
		f.Tail = []string{string(t.output)}
	}
	f = t.r.failure(f)
	t.r.run.Failures = append(t.r.run.Failures, f)
	t.finish(Result{Status: Failed, Summary: f.Title, Findings: f.Findings}, &f)
}

func (t *StepRecorder) finish(res Result, f *Failure) {
	if t.done {
		return
	}
	t.done = true
	t.output = nil
	t.step.Status = res.Status
	t.step.Duration = t.r.since(t.step.Started)
	if res.Duration > 0 {
		t.step.Duration = Duration(res.Duration)
	}
	t.step.Saved = Duration(res.Saved)
	t.step.Summary = t.r.line(res.Summary)
	t.step.Findings = t.r.findings(res.Findings)
	t.r.emit(StepFinished{ID: t.id, Stage: t.stage.stage.Name, Step: t.step.clone(), Failure: f})
}

// keepEnd drops the beginning of an output that grew beyond twice keptOutput, up
// to a line's end: a broken line could begin with half a secret, which the mask
// would not see.
func keepEnd(output []byte) []byte {
	if len(output) <= 2*keptOutput {
		return output
	}
	_, rest, _ := bytes.Cut(output[len(output)-keptOutput:], []byte("\n"))
	return append(output[:0], rest...)
}

// lastLine returns the last line with something in it.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
