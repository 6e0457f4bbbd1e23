package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/slipway-ci/slipway/ci/report"
)

// style is an SGR parameter list; empty is the terminal's own.
type style string

const (
	normal style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
	alarm  style = "1;31"
)

// span is text of one style; a line is spans next to each other.
type (
	span struct {
		text  string
		style style
	}
	line []span
)

// symbols are the marks of one character set.
type symbols struct {
	status   map[report.Status]string
	spinner  []string
	rail     string
	railEnd  string
	ellipsis string
	dot      string
}

// theme is how the lines of one renderer look.
type theme struct {
	symbols
	color bool
	cells *runewidth.Condition
}

func newTheme(opts Options) theme {
	t := theme{symbols: unicodeSymbols(), color: opts.Color, cells: &runewidth.Condition{}}
	if opts.ASCII {
		t.symbols = asciiSymbols()
	}
	return t
}

func unicodeSymbols() symbols {
	return symbols{
		status: map[report.Status]string{
			report.OK: "✓", report.Cached: "↺", report.Failed: "✗", report.Warned: "!",
			report.Skipped: "-", report.NotChecked: "?", report.Canceled: "⊘", report.Running: "›",
		},
		spinner:  []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"},
		rail:     "│",
		railEnd:  "╵",
		ellipsis: "…",
		dot:      " · ",
	}
}

func asciiSymbols() symbols {
	return symbols{
		status: map[report.Status]string{
			report.OK: "+", report.Cached: "=", report.Failed: "x", report.Warned: "!",
			report.Skipped: "-", report.NotChecked: "?", report.Canceled: "/", report.Running: ">",
		},
		spinner:  []string{"|", "/", "-", `\`},
		rail:     "|",
		railEnd:  "'",
		ellipsis: "...",
		dot:      ", ",
	}
}

func statusStyle(s report.Status) style {
	switch s {
	case report.OK:
		return green
	case report.Cached:
		return cyan
	case report.Failed:
		return alarm
	case report.Warned, report.NotChecked:
		return yellow
	}
	return dim
}

func (t theme) mark(s report.Status) span { return span{t.status[s], statusStyle(s)} }

// width returns the columns that a text takes.
func (t theme) width(s string) int { return t.cells.StringWidth(s) }

// pad fills a text up to n columns.
func (t theme) pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-t.width(s)))
}

// padLeft fills a text up to n columns, on the left.
func (t theme) padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-t.width(s))) + s
}

// clip cuts a text to n columns.
func (t theme) clip(s string, n int) string {
	if t.width(s) <= n {
		return s
	}
	if n <= len(t.ellipsis) && n < 4 {
		return t.cells.Truncate(s, max(n, 0), "")
	}
	return t.cells.Truncate(s, n, t.ellipsis)
}

// string writes a line; width 0 does not cut it.
func (t theme) string(l line, width int) string {
	var b strings.Builder
	left := width
	for _, s := range t.trim(l) {
		text := s.text
		if width > 0 {
			text = t.clip(text, left)
			left -= t.width(text)
		}
		if text == "" {
			continue
		}
		if t.color && s.style != normal {
			fmt.Fprintf(&b, "\x1b[%sm%s\x1b[0m", s.style, text)
		} else {
			b.WriteString(text)
		}
		if width > 0 && text != s.text {
			break
		}
	}
	return b.String()
}

// trim takes the white space off the end of a line.
func (t theme) trim(l line) line {
	l = append(line(nil), l...)
	for len(l) > 0 {
		last := &l[len(l)-1]
		if last.text = strings.TrimRight(last.text, " "); last.text != "" {
			return l
		}
		l = l[:len(l)-1]
	}
	return l
}

// wrap breaks a text at spaces into lines of at most n columns, and longer words
// where they must; n of 0 does not break. White space at the beginning stays.
func (t theme) wrap(s string, n int) []string {
	if n <= 0 || t.width(s) <= n {
		return []string{s}
	}
	n = max(n, 8)
	var out []string
	for t.width(s) > n {
		head := t.cells.Truncate(s, n, "")
		if at := strings.LastIndexByte(head, ' '); at > len(head)/3 && strings.TrimSpace(head[:at]) != "" && s[len(head)] != ' ' {
			head = head[:at]
		}
		out = append(out, strings.TrimRight(head, " "))
		s = strings.TrimLeft(s[len(head):], " ")
	}
	if s != "" {
		out = append(out, s)
	}
	return out
}

// duration writes a duration as people say it.
func duration(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%dms", max(0, d.Milliseconds()))
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// elapsed writes how long something runs already; it does not flicker.
func elapsed(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1fs", max(0, d.Seconds()))
	}
	return duration(d)
}

// size writes a number of bytes in decimal units.
func size(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 999_500:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	case n < 999_950_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// shortDigest returns the first twelve digits.
func shortDigest(digest string) string {
	_, hex, found := strings.Cut(digest, ":")
	if !found {
		hex = digest
	}
	return hex[:min(digestShown, len(hex))]
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
