package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/pipelines/inbox/capacity"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/reach"
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
	VulnDB     func() VulnDB                    // the vulnerability database, as probed from this machine; may wait for the answer
	NoCache    bool                             // run everything, replay nothing
	Verbose    bool                             // pass on what the commands print
	RunID      string                           // unique to this run
	Started    time.Time                        // results older than this were replayed
	Slipway    string                           // version of this program
	Exclude    []string                         // patterns of what is left out of the project's directory ([Excluded])
	Sent       func() (bytes int64, known bool) // what the session has sent so far; nil: not known
	Scratch    string                           // directory of the run's own, for what is written to be sent to the engine
	Publishing bool                             // what is verified is published then: reachable vulnerabilities fail
	Only       *reach.Reach                     // verify looks at no more than a change reaches; nil: at everything
	Over       func() string                    // why verify ends early, once its time is over, "" before; nil: it may take its time
	Changed    func(context.Context) []string   // the files that have changed since the run began; nil: nobody looks
	Change     Change                           // what is done to the sources before anything reads them; nil: nothing
}

// Change makes the tree that is verified and built out of the one that lies on the machine: a step of your own before the
// build, such as a code generator. It describes work ([Stages.Workshop] helps) and does none itself.
type Change func(s Stages, source *dagger.Directory) *dagger.Directory

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

// New returns the stages of a project. They run one command at a time until [Stages.WithJobs] says otherwise.
func New(c Config) Stages {
	s := Stages{Config: c, slots: make(chan struct{}, 1), made: &made{}}
	*s.made = made{
		base:   sync.OnceValue(s.toolchain),
		tests:  sync.OnceValue(s.testRoot),
		inbox:  sync.OnceValue(s.buildInbox),
		source: sync.OnceValue(s.tree),
	}
	return s
}

// WithJobs returns the same stages with n commands at once.
func (s Stages) WithJobs(n int) Stages {
	s.slots = make(chan struct{}, max(1, n))
	return s
}

// Capacity is what the engine's containers may use. It is measured once an hour: whoever resizes an engine gains from it soon.
func (s Stages) Capacity(ctx context.Context) (capacity.Capacity, error) {
	var c capacity.Capacity
	text, err := s.buildRoot().
		WithEnvVariable("SLIPWAY_HOUR", s.Started.UTC().Format("2006-01-02T15")).
		WithExec([]string{inboxPath, "capacity"}).
		Stdout(ctx)
	if err != nil {
		return c, fmt.Errorf("ask the engine for its cores and memory: %w", explain(err))
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, fmt.Errorf("read the engine's cores and memory: %w", err)
	}
	return c, nil
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
