package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
)

const (
	cardFindings     = 10
	cardMessageLines = 4
)

// Card writes a failure: what failed and where, the command and its last lines,
// the cause where it is known, what to do, and how to run just this again.
func Card(w io.Writer, f report.Failure, opts Options) error {
	t := newTheme(opts)
	_, err := io.WriteString(w, t.card(f, opts))
	return err
}

// card builds the text. What is to be copied is never broken into lines.
func (t theme) card(f report.Failure, opts Options) string {
	c := card{theme: t, width: opts.Width}
	c.head(f)
	c.findings(f.Findings, opts.Verbose)
	c.command(f)
	c.tail(f)
	c.advice(f)
	c.out.WriteString(t.string(line{{t.railEnd, alarm}}, 0) + "\n")
	return c.out.String()
}

type card struct {
	theme
	width int
	out   strings.Builder
	gap   bool // the next line opens a section
	any   bool // a section was written
}

func (c *card) section() { c.gap = c.any }

func (c *card) write(l line) {
	if c.gap {
		c.out.WriteString(c.string(line{{c.rail, alarm}}, 0) + "\n")
	}
	c.gap, c.any = false, true
	c.out.WriteString(c.string(append(line{{c.rail, alarm}, {" ", normal}}, l...), 0) + "\n")
}

// text writes a text of one style below an indentation, wrapped.
func (c *card) text(indent, text string, s style) {
	for raw := range strings.SplitSeq(text, "\n") {
		for _, part := range c.wrap(raw, c.room(indent)) {
			c.write(line{{indent + part, s}})
		}
	}
}

func (c *card) room(indent string) int {
	if c.width == 0 {
		return 0
	}
	return max(8, c.width-3-len(indent))
}

func (c *card) head(f report.Failure) {
	where := f.Stage
	if f.Step != "" {
		where = strings.TrimPrefix(where+": "+f.Step, ": ")
	}
	head := c.status[report.Failed]
	if where != "" {
		head += " " + where
	}
	if c.width > 0 && c.cells.StringWidth(head)+len(f.Title)+3 > c.width {
		c.out.WriteString(c.string(line{{head, alarm}}, 0) + "\n")
		c.text("", f.Title, bold)
		return
	}
	if where != "" {
		head += " "
	}
	c.out.WriteString(c.string(line{{head + " ", alarm}, {f.Title, bold}}, 0) + "\n")
}

func (c *card) findings(findings []report.Finding, verbose bool) {
	c.section()
	for i, f := range findings {
		if i == cardFindings && !verbose {
			c.write(c.more(len(findings) - i))
			return
		}
		c.finding(f)
	}
}

func (c *card) finding(f report.Finding) {
	head := f.Place()
	label := f.Test
	if head == "" {
		head, label = f.Test, ""
	}
	if head == "" {
		head = f.Package
	}
	l := line{{head, cyan}}
	if label != "" && c.width > 0 && c.cells.StringWidth(head+label)+5 > c.width {
		c.write(l)
		l, label = line{{"  " + label, bold}}, ""
		head = ""
	}
	if label != "" {
		l = append(l, span{"  " + label, bold})
	}
	lines := strings.Split(f.Message, "\n")
	inline := label == "" && head != "" && len(lines) == 1 && (c.width == 0 || c.cells.StringWidth(head+f.Message)+4 <= c.width)
	if inline {
		c.write(append(l, span{"  " + f.Message, normal}))
		return
	}
	c.write(l)
	if extra := len(lines) - cardMessageLines; extra > 0 {
		lines = append(lines[:cardMessageLines:cardMessageLines], c.ellipsis)
	}
	for _, text := range lines {
		c.text("  ", text, normal)
	}
}

func (c *card) command(f report.Failure) {
	c.section()
	if len(f.Command) == 0 {
		return
	}
	l := line{{"$ " + report.Shell(f.Command...), bold}}
	if f.ExitCode != 0 {
		l = append(l, span{fmt.Sprintf("  (exit %d)", f.ExitCode), dim})
	}
	c.write(l)
}

// tail writes the last lines, unless the findings said all of it.
func (c *card) tail(f report.Failure) {
	if said(f) {
		return
	}
	if len(f.Command) == 0 {
		c.section()
	}
	for _, text := range f.Tail {
		c.text("  ", text, dim)
	}
}

// said reports whether the findings repeat every line of the tail.
func said(f report.Failure) bool {
	if len(f.Findings) == 0 || len(f.Findings) > cardFindings {
		return false
	}
	var all strings.Builder
	for _, x := range f.Findings {
		all.WriteString(x.Message + "\n" + x.Test + "\n")
	}
	for _, text := range f.Tail {
		if !saidLine(strings.TrimSpace(text), f.Findings, all.String()) {
			return false
		}
	}
	return true
}

func saidLine(text string, findings []report.Finding, messages string) bool {
	if text == "" || text == "FAIL" || strings.HasPrefix(text, "# ") || strings.HasPrefix(text, "FAIL ") || strings.Contains(messages, text) {
		return true
	}
	for _, f := range findings {
		first := firstLine(f.Message)
		if first != "" && strings.HasSuffix(text, first) && strings.Contains(text, fmt.Sprintf(":%d", f.Line)) {
			return true
		}
	}
	return false
}

func (c *card) advice(f report.Failure) {
	c.section()
	c.advise("cause", f.Cause, false)
	c.advise("next", f.Next, false)
	c.advise("reproduce", f.Reproduce, true)
}

func (c *card) advise(label, text string, whole bool) {
	const column = len("reproduce  ")
	if text == "" {
		return
	}
	indent := strings.Repeat(" ", column)
	room := c.room(indent)
	if whole {
		room = 0
	}
	first := true
	for raw := range strings.SplitSeq(text, "\n") {
		for _, part := range c.wrap(raw, room) {
			name := indent
			if first {
				name, first = c.pad(label, column), false
			}
			c.write(line{{name, dim}, {part, normal}})
		}
	}
}
