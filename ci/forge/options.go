package forge

import (
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
)

// Options are what every CI system is made from.
type Options struct {
	Getenv func(string) string
	Log    io.Writer // what people read

	// Dirs are the absolute directories of the project and of its output. They are asked for when a run is over: flags name them.
	Dirs func() (source, dist string)
}

// Terminal is no CI system: nothing is folded, annotated or written. It is what people work with, and every system that
// [Detect] does not know.
type Terminal struct{ log io.Writer }

// NewTerminal needs the log alone.
func NewTerminal(o Options) Terminal { return Terminal{log: o.Log} }

// Log is where texts for people go.
func (t Terminal) Log() io.Writer { return t.log }

// Fold is nil: nothing can be hidden in a terminal.
func (Terminal) Fold() render.Fold { return nil }

// Observe does nothing.
func (Terminal) Observe(report.Event) {}

// Hide does nothing: what Slipway prints is masked before it gets here.
func (Terminal) Hide([]string) {}

// complain tells people, in a line of its own, what could not be told the CI system. The run is what it is all the same.
func complain(log io.Writer, err error) {
	if err != nil {
		fmt.Fprintf(log, "! %s\n", strings.ReplaceAll(err.Error(), "\n", "\n! "))
	}
}
