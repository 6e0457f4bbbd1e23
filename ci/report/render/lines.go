package render

import (
	"fmt"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
)

const (
	stageColumn   = 8
	stepColumn    = 22
	timeColumn    = 6
	factsShown    = 8
	findingsShown = 8
)

// title is the first line of a run.
func (t theme) title(run report.Run) line {
	out := line{{"slipway", bold}}
	if run.Verb != "" {
		out = append(out, span{" " + run.Verb, normal})
	}
	if run.Project != "" {
		out = append(out, span{t.dot, dim}, span{run.Project, bold})
	}
	if run.Version != "" {
		out = append(out, span{" " + run.Version, normal})
	}
	return out
}

// rows are what is known of a run when it begins.
func rows(run report.Run, verbose bool) (facts []report.Fact, more int) {
	if run.VersionWhy != "" {
		facts = append(facts, report.Fact{What: "version", Value: run.Version, Why: run.VersionWhy})
	}
	if run.Engine.Kind != "" {
		facts = append(facts, engineFact(run.Engine))
	}
	if run.Parallel.Jobs > 0 {
		facts = append(facts, parallelFact(run.Parallel))
	}
	inferred := run.Inferred
	if len(inferred) > factsShown && !verbose {
		more = len(inferred) - factsShown + 1
		inferred = inferred[:factsShown-1]
	}
	return append(facts, inferred...), more
}

func engineFact(e report.Engine) report.Fact {
	return report.Fact{What: "engine", Value: strings.TrimSpace(e.Kind + " " + e.Version), Why: e.Reason}
}

func parallelFact(p report.Parallel) report.Fact {
	why := p.Why
	if why == "" {
		why = count(p.Cores, "core", "cores")
	}
	return report.Fact{What: "parallel", Value: count(p.Jobs, "job", "jobs"), Why: why}
}

// columns are the widths of the two first columns of facts.
type columns struct{ what, value int }

func (t theme) columns(facts []report.Fact) columns {
	c := columns{what: stageColumn, value: 20}
	for _, f := range facts {
		c.what = max(c.what, min(20, t.width(f.What)))
		c.value = max(c.value, min(24, t.width(f.Value)))
	}
	return c
}

// fact writes a value with its reason, on lines below where it has to be.
func (t theme) fact(f report.Fact, c columns, width int) []line {
	first := line{{"  " + t.pad(f.What, c.what) + "  ", dim}, {t.pad(f.Value, c.value), normal}}
	if f.Why == "" {
		return []line{first}
	}
	why := span{"  (" + f.Why + ")", dim}
	used := 2 + max(c.what, t.width(f.What)) + 2 + t.width(why.text)
	if width == 0 || used+max(c.value, t.width(f.Value)) < width {
		return []line{append(first, why)}
	}
	first[1].text = f.Value
	if used+t.width(f.Value) < width {
		return []line{append(first, why)}
	}
	indent := strings.Repeat(" ", c.what+4)
	var out []line
	for i, text := range t.wrap(f.Value, width-c.what-5) {
		if i == 0 {
			out = append(out, line{first[0], {text, normal}})
			continue
		}
		out = append(out, line{{indent + text, normal}})
	}
	for _, text := range t.wrap("("+f.Why+")", width-c.what-5) {
		out = append(out, line{{indent + text, dim}})
	}
	return out
}

// stageLine is a finished stage.
func (t theme) stageLine(s report.Stage, width int) []line {
	head := line{
		t.mark(s.Status), {" " + t.pad(s.Name, stageColumn), bold},
		{t.padLeft(duration(s.Duration.Std()), timeColumn) + "  ", normal},
	}
	return t.flow(head, stageParts(s), width)
}

// flow puts parts behind a head, with dots between them, and goes on below the
// first of them where they do not fit.
func (t theme) flow(head line, parts []span, width int) []line {
	indent := 0
	for _, s := range head {
		indent += t.width(s.text)
	}
	if width > 0 && indent > width/2 {
		indent = 4
	}
	f := flowing{theme: t, width: width, indent: indent, open: head}
	for i, part := range parts {
		f.add(part, i > 0)
	}
	return append(f.done, f.open)
}

type flowing struct {
	theme
	width, indent int
	done          []line
	open          line
}

func (f *flowing) used() int {
	n := 0
	for _, s := range f.open {
		n += f.cells.StringWidth(s.text)
	}
	return n
}

func (f *flowing) add(part span, dotted bool) {
	need := f.cells.StringWidth(part.text)
	if dotted {
		need += f.cells.StringWidth(f.dot)
	}
	if f.width == 0 || f.used()+need < f.width {
		if dotted {
			f.open = append(f.open, span{f.dot, dim})
		}
		f.open = append(f.open, part)
		return
	}
	if f.used() > f.indent {
		f.done, f.open = append(f.done, f.open), nil
	}
	for i, text := range f.wrap(part.text, f.width-f.indent-1) {
		if i > 0 {
			f.done, f.open = append(f.done, f.open), nil
		}
		if f.used() < f.indent {
			f.open = append(f.open, span{strings.Repeat(" ", f.indent-f.used()), normal})
		}
		f.open = append(f.open, span{text, part.style})
	}
}

// stageParts says what became of the steps of a stage, and its summary.
func stageParts(s report.Stage) []span {
	byStatus := map[report.Status][]string{}
	saved := report.Duration(0)
	for _, step := range s.Steps {
		byStatus[step.Status] = append(byStatus[step.Status], step.Title())
		saved += step.Saved
	}
	var out []span
	if n := len(byStatus[report.Failed]); n > 0 {
		out = append(out, span{fmt.Sprintf("%d of %d failed", n, len(s.Steps)), red})
	}
	if s.Status == report.Canceled || s.Status == report.Skipped {
		out = append(out, span{string(s.Status), dim})
	}
	if n := len(byStatus[report.Cached]); n > 0 {
		out = append(out, span{cachedPart(n, len(s.Steps), saved), cyan})
	}
	if s.Summary != "" {
		out = append(out, span{s.Summary, normal})
	}
	for _, status := range []report.Status{report.Warned, report.NotChecked} {
		if names := byStatus[status]; len(names) > 0 {
			out = append(out, span{string(status) + ": " + strings.Join(names, ", "), yellow})
		}
	}
	return out
}

func cachedPart(n, all int, saved report.Duration) string {
	text := "cached"
	if n < all {
		text = fmt.Sprintf("%d of %d cached", n, all)
	}
	if saved > 0 {
		text += ", saved " + duration(saved.Std())
	}
	return text
}

// stepLine is a finished step.
func (t theme) stepLine(stage string, s report.Step, width int) []line {
	head := line{
		t.mark(s.Status), {" " + t.pad(stage, stageColumn) + " ", normal},
		{t.pad(s.Title(), stepColumn) + "  ", bold},
	}
	return t.flow(head, t.stepParts(s), width)
}

func (t theme) stepParts(s report.Step) []span {
	var out []span
	took := duration(s.Duration.Std())
	switch s.Status {
	case report.Cached:
		out = append(out, span{cachedPart(1, 1, s.Saved), cyan})
	case report.OK:
		out = append(out, span{took, normal})
	case report.Skipped, report.NotChecked, report.Canceled:
		out = append(out, span{string(s.Status), statusStyle(s.Status)})
	default:
		out = append(out, span{string(s.Status) + " after " + took, statusStyle(s.Status)})
	}
	if s.Summary != "" {
		out = append(out, span{s.Summary, normal})
	}
	return out
}

// findings are the places that a step complained about, for a step that did not
// fail: a failed one has a card.
func (t theme) findings(s report.Step, opts Options) []line {
	if s.Status != report.Warned {
		return nil
	}
	var out []line
	for i, f := range s.Findings {
		if i == findingsShown && !opts.Verbose {
			return append(out, t.more(len(s.Findings)-i))
		}
		head := line{{"  ", normal}}
		if place := f.Place(); place != "" {
			head = line{{"  " + place + "  ", normal}}
		}
		out = append(out, t.flow(head, []span{{firstLine(f.Message), dim}}, opts.Width)...)
	}
	return out
}

func (t theme) more(n int) line {
	return line{{fmt.Sprintf("  %s and %d more in reports/run.json", t.ellipsis, n), dim}}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
