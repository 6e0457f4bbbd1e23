package render

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

const (
	markdownCards    = 20
	markdownFindings = 50
	markdownMessage  = 2000 // bytes of a finding's message
	markdownPage     = 1000 << 10
)

// Markdown writes the end of a run as a page in GitHub's Markdown: the stages with the moment each began, failures, tests,
// artifacts with their digests, what was published, what was rolled out and how it went on. Whatever it tells of the project stands there as text: no message of a test
// can make a link, an image or a tag of it.
func Markdown(w io.Writer, run report.Run) error {
	m := page{symbols: unicodeSymbols()}
	m.head(run)
	m.failures(run.Failures)
	m.stages(run)
	m.tested(run.Tested)
	m.artifacts(run.Artifacts)
	m.published(run)
	m.rollouts(run)
	m.warnings(run)
	m.inferred(run)
	_, err := io.WriteString(w, m.text())
	return err
}

type page struct {
	symbols
	out strings.Builder
}

func (m *page) printf(format string, args ...any) { fmt.Fprintf(&m.out, format, args...) }

// text is the page so far. GitHub shows nothing at all of one that is larger than a MiB.
func (m *page) text() string {
	all := m.out.String()
	if len(all) <= markdownPage {
		return all
	}
	at := strings.LastIndexByte(all[:markdownPage], '\n')
	return all[:at] + "\n\n… the rest is in reports/run.json\n"
}

func (m *page) head(run report.Run) {
	mark := m.status[report.OK]
	if run.ExitCode != 0 {
		mark = m.status[report.Failed]
	}
	title := strings.TrimSpace("slipway " + run.Verb)
	for _, part := range []string{run.Project, run.Version} {
		if part != "" {
			title += " · " + part
		}
	}
	m.printf("## %s %s\n\n%s\n", mark, prose(title), prose(strings.TrimPrefix(LastLine(run), "slipway: ")))
}

func (m *page) failures(failures []report.Failure) {
	for i, f := range failures {
		if i == markdownCards {
			m.printf("\nand %d more in reports/run.json\n", len(failures)-i)
			return
		}
		m.failure(f)
	}
}

func (m *page) failure(f report.Failure) {
	where := f.Stage
	if f.Step != "" {
		where = strings.TrimPrefix(where+": "+f.Step, ": ")
	}
	if where != "" {
		where += " · "
	}
	m.printf("\n### %s %s\n", m.status[report.Failed], prose(where+f.Title))
	m.findings(f.Findings)
	if len(f.Command) > 0 {
		m.printf("\n%s", fenced("$ "+report.Shell(f.Command...)))
	}
	if !said(f) && len(f.Tail) > 0 {
		m.printf("\n%s", fenced(strings.Join(f.Tail, "\n")))
	}
	m.advice(f)
}

func (m *page) findings(findings []report.Finding) {
	if len(findings) == 0 {
		return
	}
	m.printf("\n| where | what |\n|---|---|\n")
	for i, f := range findings {
		if i == markdownFindings {
			m.printf("| … | %d more in reports/run.json |\n", len(findings)-i)
			return
		}
		where := code(cmp.Or(f.Place(), f.Package))
		if f.Test != "" {
			where = strings.TrimSpace(where + " " + prose(f.Test))
		}
		m.printf("| %s | %s |\n", where, brokenLines(shortened(f.Message, markdownMessage)))
	}
}

func (m *page) advice(f report.Failure) {
	if f.Cause == "" && f.Next == "" && f.Reproduce == "" {
		return
	}
	m.printf("\n")
	for _, a := range [][2]string{{"cause", f.Cause}, {"next", f.Next}} {
		if a[1] != "" {
			m.printf("- **%s**: %s\n", a[0], brokenLines(a[1]))
		}
	}
	if f.Reproduce != "" {
		m.printf("- **reproduce**: %s\n", code(f.Reproduce))
	}
}

func (m *page) stages(run report.Run) {
	if len(run.Stages) == 0 {
		return
	}
	m.printf("\n### Stages\n\n| stage | began | took | |\n|---|--:|--:|---|\n")
	for _, s := range run.Stages {
		m.printf("| %s %s | %s | %s | %s |\n", m.status[s.Status], prose(s.Name), began(run, s.Started), duration(s.Duration.Std()), parts(stageParts(s)))
	}
	m.printf("\n<details><summary>Steps</summary>\n\n| step | began | took | |\n|---|--:|--:|---|\n")
	for _, s := range run.Stages {
		for _, step := range s.Steps {
			m.printf("| %s %s · %s | %s | %s | %s |\n", m.status[step.Status], prose(s.Name), prose(step.Title()),
				began(run, step.Started), duration(step.Duration.Std()), m.step(step))
		}
	}
	m.printf("\n</details>\n")
}

func (m *page) step(s report.Step) string {
	if s.Status == report.OK { // how long it took has a column here
		return prose(s.Summary)
	}
	return parts(newTheme(Options{}).stepParts(s))
}

// began says how long after the beginning of the run something began: a timeline needs no clock.
func began(run report.Run, at time.Time) string {
	if at.IsZero() || at.Before(run.Started) {
		return ""
	}
	return "+" + duration(at.Sub(run.Started))
}

func parts(spans []span) string {
	texts := make([]string, len(spans))
	for i, s := range spans {
		texts[i] = prose(s.text)
	}
	return strings.Join(texts, " · ")
}

func (m *page) tested(t *report.Tested) {
	if t == nil {
		return
	}
	m.printf("\n### Tests\n\n| passed | failed | skipped | coverage |\n|--:|--:|--:|--:|\n| %d | %d | %d | %s |\n", t.Passed, t.Failed, t.Skipped, covered(t))
}

func covered(t *report.Tested) string {
	if t.Coverage == nil {
		return "not measured"
	}
	return fmt.Sprintf("%.1f %%", *t.Coverage)
}

func (m *page) artifacts(artifacts []report.Artifact) {
	if len(artifacts) == 0 {
		return
	}
	m.printf("\n### Artifacts\n\n| what | target | kind | size | digest |\n|---|---|---|--:|---|\n")
	for _, a := range artifacts {
		m.printf("| %s | %s | %s | %s | %s |\n", code(cmp.Or(a.Path, a.Name)), prose(a.Target), prose(a.Kind), size(a.Size), code(a.Digest))
	}
}

func (m *page) published(run report.Run) {
	if len(run.Published) > 0 {
		m.printf("\n### Published\n\n| image | tags | signed by |\n|---|---|---|\n")
	}
	for _, p := range run.Published {
		m.printf("| %s | %s | %s |\n", code(p.Reference()), code(strings.Join(p.Tags, ", ")), prose(cmp.Or(p.Signed, "nobody")))
	}
	for _, r := range run.Releases {
		m.printf("\nreleased %s with %s: %s\n", code(r.Tag), count(len(r.Files), "file", "files"), code(r.URL))
	}
}

// rollouts say what serves on each target now, and what happened when.
func (m *page) rollouts(run report.Run) {
	for _, r := range run.Rollouts {
		m.printf("\n### Rollout\n\n%s\n", prose(fmt.Sprintf("%s of %s %s to %s, %s: %s", r.Action, r.Service, r.Version, r.Environment, r.Strategy, cmp.Or(r.Outcome, "not begun"))))
		m.printf("\n| target | serves | committed |\n|---|---|---|\n")
		for _, t := range r.Targets {
			mark := report.OK
			if !t.Wanted {
				mark = report.Warned
			}
			m.printf("| %s %s | %s | %s |\n", m.status[mark], prose(t.Name), prose(serving(t)), prose(cmp.Or(t.Committed, "nothing")))
		}
	}
	if len(run.Rollouts) > 0 {
		m.timeline(run)
	}
}

// timeline is each step of the rollouts, in the order in which they began.
func (m *page) timeline(run report.Run) {
	m.printf("\n| began | took | step | |\n|--:|--:|---|---|\n")
	for _, s := range run.Stages {
		if s.Name != report.RolloutStage {
			continue
		}
		for _, step := range s.Steps {
			m.printf("| %s | %s | %s %s | %s |\n", began(run, step.Started), duration(step.Duration.Std()), m.status[step.Status], prose(step.Title()), m.step(step))
		}
	}
}

func (m *page) warnings(run report.Run) {
	if warnings(run) == 0 {
		return
	}
	m.printf("\n### Warnings\n\n")
	for _, text := range run.Warnings {
		m.printf("- %s\n", brokenLines(text))
	}
	var found []report.Finding
	for _, s := range run.Stages {
		for _, step := range s.Steps {
			if step.Status == report.Warned {
				m.printf("- %s\n", prose(strings.TrimSuffix(s.Name+" "+step.Title()+": "+step.Summary, ": ")))
				found = append(found, step.Findings...)
			}
		}
	}
	m.findings(found)
}

func (m *page) inferred(run report.Run) {
	facts, _ := rows(run, true)
	if len(facts) == 0 {
		return
	}
	m.printf("\n<details><summary>Inferred, and why</summary>\n\n| what | value | why |\n|---|---|---|\n")
	for _, f := range facts {
		m.printf("| %s | %s | %s |\n", prose(f.What), code(f.Value), prose(f.Why))
	}
	m.printf("\n</details>\n")
}

// inert are the characters that mean something in the middle of a line of Markdown. A colon makes an address a link.
const inert = "\\`*_{}[]<>#|~:&@$!^="

// prose is a text as one line of Markdown that shows as it is.
func prose(text string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(text), " ") {
		if strings.ContainsRune(inert, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return withoutList(withoutWWW(b.String()))
}

var listMark = regexp.MustCompile(`^(?:[-+]|[0-9]+[.)])`)

// withoutList keeps a text from beginning a list.
func withoutList(text string) string {
	mark := listMark.FindString(text)
	if mark == "" {
		return text
	}
	at := len(mark) - 1
	return text[:at] + `\` + text[at:]
}

// withoutWWW keeps GitHub from making a link of what begins with "www.".
func withoutWWW(text string) string {
	for i := 0; i+4 <= len(text); i++ {
		if strings.EqualFold(text[i:i+4], "www.") {
			text = text[:i+3] + `\` + text[i+3:]
		}
	}
	return text
}

// brokenLines is a text of several lines inside a cell of a table.
func brokenLines(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		lines = append(lines, prose(line))
	}
	return strings.Join(lines, "<br>")
}

// code is a text as code within a line. A bar would end the cell of a table even there.
func code(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	if text == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(text)+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

// fenced is a text as a block of code, whatever is in it.
func fenced(text string) string {
	fence := strings.Repeat("`", max(3, longestRun(text)+1))
	return fence + "text\n" + strings.TrimRight(text, "\n") + "\n" + fence + "\n"
}

// longestRun is the length of the longest row of backquotes.
func longestRun(text string) int {
	longest, run := 0, 0
	for _, c := range []byte(text) {
		if c == '`' {
			run++
			longest = max(longest, run)
			continue
		}
		run = 0
	}
	return longest
}

// shortened cuts a text to about n bytes, at the end of a line where there is one.
func shortened(text string, n int) string {
	if len(text) <= n {
		return text
	}
	text = strings.ToValidUTF8(text[:n], "")
	if at := strings.LastIndexByte(text, '\n'); at > 0 {
		text = text[:at]
	}
	return text + "\n…"
}
