package forge

import (
	"github.com/slipway-ci/slipway/ci/report"
)

// Jenkins is Jenkins. Make one with NewJenkins. Its log is one long text, and its plugins read files: dist/reports has junit.xml
// (for the step junit) and outputs.env (for readProperties).
type Jenkins struct {
	Terminal
	options Options
}

// NewJenkins returns Jenkins as this process sees it.
func NewJenkins(o Options) Jenkins { return Jenkins{NewTerminal(o), o} }

// Observe waits for the end of the run, and writes what other steps read.
func (j Jenkins) Observe(e report.Event) {
	if finished, ok := e.(report.RunFinished); ok {
		_, dist := j.options.Dirs()
		complain(j.options.Log, writeVariables(finished.Run, dist))
	}
}
