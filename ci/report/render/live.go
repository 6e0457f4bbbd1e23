package render

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

const (
	frameEvery    = 100 * time.Millisecond
	defaultWidth  = 80
	defaultHeight = 24
	blockRows     = 16 // a taller block is not read
	farAway       = 12 // lines after which the stages' lines are shown again at the end
)

// Terminal sequences. A frame hides the cursor and turns off wrapping, and undoes
// both before it ends, so that there is nothing to restore after a crash. The
// first and the last ask for the frame to be shown at once, where that is known.
const (
	frameBegin = "\x1b[?2026h\x1b[?25l"
	frameEnd   = "\x1b[?25h\x1b[?2026l"
	wrapOff    = "\x1b[?7l"
	wrapOn     = "\x1b[?7h"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
	newLine    = "\r\n"
)

// LiveView shows a run on a terminal. Make one with NewLive.
type LiveView struct {
	theme
	opts Options
	size func() (width, height int)

	mu      sync.Mutex
	w       io.Writer
	err     error
	columns columns
	stages  []*liveStage
	queue   []string // lines to scroll by, not written yet
	drawn   []string // the block on the screen, without colour
	drawnAt int      // the width of the screen then
	frame   int
	body    bool // the header is over
	between int  // lines that scrolled by between those of the stages
	stopped bool
	quit    chan struct{}
	gone    chan struct{}
}

type liveStage struct {
	name    string
	started time.Time
	steps   []*liveStep // that run
	ended   int
	failed  int
}

type liveStep struct {
	id      int
	title   string
	text    string
	started time.Time
}

var _ Renderer = (*LiveView)(nil)

// NewLive returns a view for a terminal and starts to draw, at most ten times a
// second. Size gives its columns and rows at any moment; zeros mean unknown. Stop
// takes the block off the screen.
func NewLive(w io.Writer, size func() (width, height int), opts Options) *LiveView {
	t := newTheme(opts)
	l := &LiveView{
		theme: t, opts: opts, size: size, w: w, columns: t.columns(nil),
		quit: make(chan struct{}), gone: make(chan struct{}),
	}
	go l.run()
	return l
}

func (l *LiveView) run() {
	defer close(l.gone)
	ticker := time.NewTicker(frameEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-ticker.C:
			l.tick()
		}
	}
}

// tick draws a frame, unless Stop came first: a block drawn after it would stay.
func (l *LiveView) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	l.frame++
	l.draw(l.block(time.Now()))
}

// Stop writes what is left and takes the block off the screen. It is safe to call
// it twice, and in a deferred call of a program that panics.
func (l *LiveView) Stop() {
	l.mu.Lock()
	if !l.stopped {
		l.stopped = true
		l.draw(nil)
		close(l.quit)
	}
	l.mu.Unlock()
	<-l.gone
}

// Observe takes an event in. It is drawn with the next frame.
func (l *LiveView) Observe(e report.Event) {
	if finished, ok := e.(report.RunFinished); ok {
		l.finish(finished.Run)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.track(e, time.Now())
	for _, text := range l.scrolling(e) {
		if !l.body && ofStage(e) {
			l.body = true
			l.queue = append(l.queue, "")
		}
		l.queue = append(l.queue, l.string(text, 0))
	}
	l.flushStopped()
}

// flushStopped writes what comes after Stop at once: it draws no more, but what
// happened is told.
func (l *LiveView) flushStopped() {
	if l.stopped {
		l.draw(nil)
	}
}

// scrolling are the lines that an event adds above the block. Steps that went
// well are counted in their stage's line.
func (l *LiveView) scrolling(e report.Event) []line {
	opts := l.options()
	if s, ok := e.(report.StageFinished); ok {
		return l.stageLine(s.Stage, opts.Width)
	}
	if s, ok := e.(report.StepFinished); ok && !opts.Verbose && s.Step.Status != report.Failed && s.Step.Status != report.Warned {
		return nil
	}
	out := l.lines(e, &l.columns, opts)
	if l.body {
		l.between += len(out)
	}
	return out
}

func (l *LiveView) finish(run report.Run) {
	l.mu.Lock()
	l.stages = nil
	text := l.ending(run, l.options(), l.between > farAway)
	l.queue = append(l.queue, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	l.flushStopped()
	l.mu.Unlock()
	l.Stop()
}

// options are the ones of now: the width may have changed.
func (l *LiveView) options() Options {
	opts := l.opts
	opts.Width, _ = l.screen()
	return opts
}

func (l *LiveView) screen() (width, height int) {
	width, height = l.size()
	if width <= 0 {
		width = defaultWidth
	}
	if height <= 0 {
		height = defaultHeight
	}
	return width, height
}

func (l *LiveView) track(e report.Event, now time.Time) {
	switch e := e.(type) {
	case report.StageStarted:
		l.stages = append(l.stages, &liveStage{name: e.Stage, started: now})
	case report.StepStarted:
		if s := l.stage(e.Stage); s != nil {
			s.steps = append(s.steps, &liveStep{id: e.ID, title: e.Step.Title(), started: now})
		}
	case report.Progress:
		if t := l.step(e.Stage, e.ID); t != nil {
			t.text = e.Text
		}
	case report.StepFinished:
		l.endStep(e)
	case report.StageFinished:
		l.endStage(e.Stage.Name)
	}
}

func (l *LiveView) stage(name string) *liveStage {
	for _, s := range l.stages {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (l *LiveView) step(stage string, id int) *liveStep {
	if s := l.stage(stage); s != nil {
		for _, t := range s.steps {
			if t.id == id {
				return t
			}
		}
	}
	return nil
}

func (l *LiveView) endStep(e report.StepFinished) {
	s := l.stage(e.Stage)
	if s == nil {
		return
	}
	s.ended++
	if e.Step.Status == report.Failed {
		s.failed++
	}
	for i, t := range s.steps {
		if t.id == e.ID {
			s.steps = append(s.steps[:i], s.steps[i+1:]...)
			return
		}
	}
}

func (l *LiveView) endStage(name string) {
	for i, s := range l.stages {
		if s.name == name {
			l.stages = append(l.stages[:i], l.stages[i+1:]...)
			return
		}
	}
}

// block builds what is redrawn: each running stage, and below it its steps.
func (l *LiveView) block(now time.Time) []line {
	width, height := l.screen()
	if width < 2 || height < 2 {
		return nil
	}
	room := max(1, min(blockRows, height-2))
	if room < 2*len(l.stages) {
		return l.stagesOnly(now, room)
	}
	var out []line
	left := room - len(l.stages)
	for i, s := range l.stages {
		share := left / (len(l.stages) - i)
		out = append(out, l.runningStage(s, now))
		rows := l.runningSteps(s, now, share)
		left -= len(rows)
		out = append(out, rows...)
	}
	return out
}

func (l *LiveView) stagesOnly(now time.Time, room int) []line {
	var out []line
	for _, s := range l.stages[:min(room, len(l.stages))] {
		out = append(out, l.runningStage(s, now))
	}
	return out
}

func (l *LiveView) spin() span { return span{l.spinner[l.frame%len(l.spinner)], cyan} }

func (l *LiveView) runningStage(s *liveStage, now time.Time) line {
	out := line{
		l.spin(), {" " + l.pad(s.name, stageColumn), bold},
		{l.padLeft(elapsed(now.Sub(s.started)), timeColumn) + "  ", normal},
	}
	if s.failed > 0 {
		out = append(out, span{fmt.Sprintf("%d failed", s.failed), alarm}, span{l.dot, dim})
	}
	if s.ended > 0 {
		out = append(out, span{fmt.Sprintf("%d done", s.ended), dim})
	}
	return out
}

func (l *LiveView) runningSteps(s *liveStage, now time.Time, room int) []line {
	shown := s.steps
	if len(shown) > room {
		shown = shown[:max(0, room-1)]
	}
	width := l.titleColumn(shown)
	var out []line
	for _, t := range shown {
		out = append(out, line{
			{"    " + l.pad(l.clip(t.title, width), width) + " ", normal},
			{l.padLeft(elapsed(now.Sub(t.started)), timeColumn) + "  ", dim}, {t.text, dim},
		})
	}
	if extra := len(s.steps) - len(shown); extra > 0 && room > 0 {
		out = append(out, line{{fmt.Sprintf("    %s and %d more", l.ellipsis, extra), dim}})
	}
	return out
}

// titleColumn is wide enough for the names of the steps, and leaves half of the
// screen for what they say.
func (l *LiveView) titleColumn(steps []*liveStep) int {
	width, _ := l.screen()
	column := stepColumn
	for _, t := range steps {
		column = max(column, l.width(t.title))
	}
	return min(column, max(10, (width-14)*3/5))
}

// draw writes a frame: over the block on the screen go the lines that scroll by,
// and below them the new block.
func (l *LiveView) draw(block []line) {
	if len(l.queue) == 0 && len(block) == 0 && len(l.drawn) == 0 {
		return
	}
	width, _ := l.screen()
	var b strings.Builder
	b.WriteString(frameBegin)
	if up := l.rowsDrawn(width); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteString("\r")
	if len(l.queue) > 0 || width != l.drawnAt {
		b.WriteString(clearBelow) // of a resized block, every broken line
	}
	l.drawnAt = width
	for _, text := range l.queue {
		b.WriteString(text + newLine)
	}
	l.queue, l.drawn = nil, nil
	b.WriteString(wrapOff)
	for _, text := range block {
		b.WriteString(l.string(text, width-1) + clearLine + newLine)
		l.drawn = append(l.drawn, l.uncolored(text, width-1))
	}
	b.WriteString(clearBelow + wrapOn + frameEnd)
	l.write(b.String())
}

// rowsDrawn returns how many rows the block takes now. A terminal that became
// narrower has broken its lines.
func (l *LiveView) rowsDrawn(width int) int {
	rows := 0
	for _, text := range l.drawn {
		rows += max(1, (l.width(text)+width-1)/width)
	}
	return rows
}

func (l *LiveView) uncolored(text line, width int) string {
	plain := l.theme
	plain.color = false
	return plain.string(text, width)
}

// write stops at the first error: the terminal is gone.
func (l *LiveView) write(s string) {
	if l.err == nil {
		_, l.err = io.WriteString(l.w, s)
	}
}
