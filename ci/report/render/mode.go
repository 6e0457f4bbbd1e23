package render

import (
	"io"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
)

// Mode is how progress is shown.
type Mode string

// The modes.
const (
	Live  Mode = "live"
	Plain Mode = "plain"
)

// Options say how to write. The zero value is plain text in UTF-8 without colour,
// of any width.
type Options struct {
	Color   bool
	Width   int  // columns to wrap cards and headers at; 0: do not wrap
	Verbose bool // also commands and what they print
	Quiet   bool // only failures and the last line
	ASCII   bool // symbols that every terminal has

	// Fold, where there is one, gets what the plain view shows of a step's commands and their output, without Verbose.
	Fold Fold
}

// Fold is a log that shows a title and hides what is below it until somebody asks: those of CI systems. Between Open and
// Close the view writes lines as always. Both must reach the log in order with them.
type Fold interface {
	Open(title string)
	Close()
}

// Renderer shows a run. Stop ends it early and may be called more than once; a
// run that finished has stopped it already.
type Renderer interface {
	report.Observer
	Stop()
}

// New returns the renderer for a mode. Size gives columns and rows of the
// terminal; only the live mode asks for it.
func New(w io.Writer, mode Mode, size func() (width, height int), opts Options) Renderer {
	if mode == Live && !opts.Quiet {
		return NewLive(w, size, opts)
	}
	return NewPlain(w, opts)
}

// ModeOf decides how progress is shown: live only on a terminal that can do it
// and that nobody reads later.
func ModeOf(isTTY bool, getenv func(string) string) Mode {
	if !isTTY || getenv("TERM") == "dumb" || truthy(getenv("CI")) {
		return Plain
	}
	return Live
}

// ColorOf decides about colour: only on a terminal, and never against NO_COLOR
// (https://no-color.org).
func ColorOf(isTTY bool, getenv func(string) string) bool {
	return isTTY && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && !truthy(getenv("CI"))
}

// UTF8 reports whether the locale's characters are UTF-8. Without a locale they
// are not, as POSIX has it.
func UTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := getenv(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

func truthy(value string) bool {
	return value != "" && value != "0" && !strings.EqualFold(value, "false")
}
