package render

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

// When a stage says that it is still running: a log that stands still makes
// people, and CI systems, believe that nothing happens.
const (
	slowStage  = 3 * time.Second
	stillSlow  = time.Minute
	namesShown = 4
)

// PlainView writes lines. Make one with NewPlain.
type PlainView struct {
	theme
	opts Options

	mu      sync.Mutex
	w       io.Writer
	err     error
	columns columns
	body    bool // the header is over
	stages  map[string]*plainStage
	folded  map[int][]line // what a step that runs will hide, by its ID
	done    bool
}

type plainStage struct {
	started time.Time
	timer   *time.Timer
	running map[int]string
	order   []int
}

var _ Renderer = (*PlainView)(nil)

// NewPlain returns a view for pipes and CI: one line for each finished step, and
// one for a stage that takes its time.
func NewPlain(w io.Writer, opts Options) *PlainView {
	t := newTheme(opts)
	return &PlainView{theme: t, opts: opts, w: w, columns: t.columns(nil), stages: map[string]*plainStage{}, folded: map[int][]line{}}
}

// Stop ends the reminders of slow stages.
func (p *PlainView) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
}

func (p *PlainView) stop() {
	p.done = true
	for _, s := range p.stages {
		s.timer.Stop()
	}
}

// Observe writes what an event has to say.
func (p *PlainView) Observe(e report.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.track(e)
	if finished, ok := e.(report.RunFinished); ok {
		p.stop()
		p.text(p.ending(finished.Run, p.opts, true))
		return
	}
	if p.opts.Quiet {
		return
	}
	if p.opts.Fold != nil && p.fold(e) {
		return
	}
	p.write(e, p.lines(e, &p.columns, p.opts))
}

func (p *PlainView) write(e report.Event, lines []line) {
	if len(lines) > 0 && ofStage(e) {
		p.leaveHeader()
	}
	for _, l := range lines {
		p.text(p.string(l, 0) + "\n")
	}
}

func (p *PlainView) leaveHeader() {
	if !p.body {
		p.body = true
		p.text("\n")
	}
}

// fold keeps what a step's commands are and print, and writes it below the step's own line when the step is done. It reports
// whether there is nothing else to write.
func (p *PlainView) fold(e report.Event) bool {
	all := p.opts
	all.Verbose = true
	switch e := e.(type) {
	case report.CommandStarted:
		p.folded[e.ID] = append(p.folded[e.ID], p.lines(e, &p.columns, all)...)
	case report.Output:
		p.folded[e.ID] = append(p.folded[e.ID], p.lines(e, &p.columns, all)...)
	case report.StepFinished:
		hidden := p.folded[e.ID]
		delete(p.folded, e.ID)
		if len(hidden) == 0 {
			return false
		}
		shown := p.lines(e, &p.columns, p.opts)
		p.leaveHeader()
		p.opts.Fold.Open(p.string(shown[0], 0))
		p.write(e, hidden)
		p.opts.Fold.Close()
		p.write(e, shown[1:])
	default:
		return false
	}
	return true
}

// ofStage reports whether an event belongs below the header.
func ofStage(e report.Event) bool {
	switch e.(type) {
	case report.StepFinished, report.StageFailed, report.StageFinished, report.CommandStarted, report.Output:
		return true
	}
	return false
}

func (p *PlainView) text(s string) {
	if p.err == nil && s != "" {
		_, p.err = io.WriteString(p.w, s)
	}
}

// track keeps what runs, for the reminders.
func (p *PlainView) track(e report.Event) {
	switch e := e.(type) {
	case report.StageStarted:
		s := &plainStage{started: time.Now(), running: map[int]string{}}
		s.timer = time.AfterFunc(slowStage, func() { p.remind(e.Stage, s) })
		p.stages[e.Stage] = s
	case report.StepStarted:
		if s := p.stages[e.Stage]; s != nil {
			s.running[e.ID] = e.Step.Title()
			s.order = append(s.order, e.ID)
		}
	case report.StepFinished:
		if s := p.stages[e.Stage]; s != nil {
			delete(s.running, e.ID)
		}
	case report.StageFinished:
		if s := p.stages[e.Stage.Name]; s != nil {
			s.timer.Stop()
			delete(p.stages, e.Stage.Name)
		}
	}
}

// remind says that a stage is running, first soon and then seldom.
func (p *PlainView) remind(name string, s *plainStage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done || p.stages[name] != s {
		return
	}
	s.timer.Reset(stillSlow)
	if p.opts.Quiet {
		return
	}
	l := line{p.mark(report.Running), {" " + p.pad(name, stageColumn) + " ", normal}, {"running", normal}}
	if took := time.Since(s.started); took > stillSlow/2 {
		l = append(l, span{" for " + duration(took), normal})
	}
	if names := s.names(); names != "" {
		l = append(l, span{p.dot, dim}, span{names, normal})
	}
	p.text(p.string(l, 0) + "\n")
}

func (s *plainStage) names() string {
	var names []string
	for _, id := range s.order {
		if name, ok := s.running[id]; ok {
			names = append(names, name)
		}
	}
	if extra := len(names) - namesShown; extra > 0 {
		names = append(names[:namesShown], "and "+count(extra, "other", "others"))
	}
	return strings.Join(names, ", ")
}

// lines are what an event adds to the log. Both views use it; the live one for
// what scrolls by.
func (t theme) lines(e report.Event, c *columns, opts Options) []line {
	switch e := e.(type) {
	case report.RunStarted:
		return t.header(e.Run, c, opts)
	case report.FactFound:
		return t.fact(e.Fact, *c, opts.Width)
	case report.EngineChosen:
		return t.fact(engineFact(e.Engine), *c, opts.Width)
	case report.ParallelChosen:
		return t.fact(parallelFact(e.Parallel), *c, opts.Width)
	case report.StepFinished:
		return append(t.stepLine(e.Stage, e.Step, opts.Width), t.findings(e.Step, opts)...)
	case report.StageFailed:
		return []line{{t.mark(report.Failed), {" " + t.pad(e.Failure.Stage, stageColumn) + " ", normal}, {e.Failure.Title, normal}}}
	case report.CommandStarted:
		if opts.Verbose {
			return []line{t.origin(e.Stage, e.Step, span{"$ " + report.Shell(e.Command...), bold})}
		}
	case report.Output:
		return t.output(e, opts)
	case report.Note:
		return multi(e.Text, normal)
	case report.Warning:
		return multi(t.status[report.Warned]+" "+e.Text, yellow)
	}
	return nil
}

func (t theme) header(run report.Run, c *columns, opts Options) []line {
	facts, more := rows(run, opts.Verbose)
	*c = t.columns(facts)
	out := []line{t.title(run)}
	for _, f := range facts {
		out = append(out, t.fact(f, *c, opts.Width)...)
	}
	if more > 0 {
		out = append(out, t.more(more))
	}
	return out
}

func (t theme) origin(stage, step string, s span) line {
	return line{{"  " + t.pad(stage, stageColumn) + " " + t.pad(step, stepColumn) + " ", dim}, s}
}

func (t theme) output(e report.Output, opts Options) []line {
	if !opts.Verbose {
		return nil
	}
	var out []line
	for text := range strings.SplitSeq(strings.TrimRight(e.Text, "\n"), "\n") {
		out = append(out, t.origin(e.Stage, e.Step, span{text, dim}))
	}
	return out
}

func multi(text string, s style) []line {
	var out []line
	for part := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		out = append(out, line{{part, s}})
	}
	return out
}
