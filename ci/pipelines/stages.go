package pipelines

import (
	"context"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// Config is what the stages work with.
type Config struct {
	Client     *dagger.Client
	Project    project.Project
	Toolchain  string  // file of the toolchain's root filesystem (package rootfs)
	TestRoot   string  // file of the Debian root for tests; "" when there is none
	NoTestRoot string  // why there is none
	Machine    Machine // what the user's machine lends to the containers
	Report     *report.Recorder
	VulnDB     func() VulnDB // the vulnerability database, as probed from this machine; may wait for the answer
	Jobs       int           // commands that run at once
	NoCache    bool          // run everything, replay nothing
	Verbose    bool          // pass on what the commands print
	RunID      string        // unique to this run
	Started    time.Time     // results older than this were replayed
	Slipway    string        // version of this program
}

// Stages runs a project's stages on an engine.
type Stages struct {
	Config
	slots chan struct{}
	made  *made
}

// made holds what several stages share: each is described once, so that the engine is asked for it once.
type made struct {
	base, tests, inbox func() *dagger.Container
	source             func() *dagger.Directory
}

// New returns the stages of a project.
func New(c Config) Stages {
	s := Stages{Config: c, slots: make(chan struct{}, max(1, c.Jobs)), made: &made{}}
	*s.made = made{
		base:   sync.OnceValue(s.toolchain),
		tests:  sync.OnceValue(s.testRoot),
		inbox:  sync.OnceValue(s.buildInbox),
		source: sync.OnceValue(s.wholeTree),
	}
	return s
}

// HasTestRoot tells whether tests run in a full system, with the race detector and cgo.
func (s Stages) HasTestRoot() bool { return s.TestRoot != "" }

// slot waits for a place among the commands that run at once. A step that has to wait says so.
func (s Stages) slot(ctx context.Context, step *report.StepRecorder) (release func(), err error) {
	release = func() { <-s.slots }
	select {
	case s.slots <- struct{}{}:
		return release, nil
	default:
		step.Progress("waits for its turn")
	}
	select {
	case s.slots <- struct{}{}:
		step.Progress("runs")
		return release, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
