package ship

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report"
)

// attempts is how often the work of a run is tried when the machine, not the project, lets it down.
const attempts = 2

// try carries out the work, and once more where that can help: the engine died, or its disk was full. That is safe, because
// all of it is pure: what a first attempt made is in the engine's cache or in the staging directory, and seen by nobody.
// Whatever pushes or deploys has to come after it.
func (r *run) try(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := r.attempt(ctx)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fault := r.diagnose(err)
		if fault == nil {
			return err
		}
		if attempt == attempts || !fault.curable() {
			return fault
		}
		if cured := r.cure(ctx, fault); cured != nil {
			return cured
		}
	}
}

// attempt is one try. Nothing in it can wait for an engine that is gone.
func (r *run) attempt(ctx context.Context) error {
	r.session = nil
	defer func() { r.session.Close() }()
	stage := r.report.Stage("prepare")
	config, err := r.prepare(ctx, stage)
	if err != nil {
		return err
	}
	r.files = config
	watched, stop := r.session.While(ctx)
	defer stop()
	if err = r.begin(watched, stage, config); err == nil && r.failed() == ExitOK {
		err = r.work(watched)
	}
	if lost := r.session.Lost(err); lost != nil {
		return &EngineDiedError{Cause: lost, Kind: r.session.Choice.Kind}
	}
	return err
}

// fault is something that the machine did to a run, and not the project.
type fault interface {
	error
	curable() bool
	card() report.Failure
	warning() string // what is said when it is tried once more
}

// diagnose finds out whether the machine is to blame for the way in which an attempt ended.
func (r *run) diagnose(err error) fault {
	if full := r.diskFull(err); full != nil {
		return full
	}
	var died *EngineDiedError
	if errors.As(err, &died) {
		return died
	}
	return nil
}

// cure makes another attempt possible.
func (r *run) cure(ctx context.Context, f fault) error {
	r.report.Warn(f.warning())
	r.report.Restart()
	if full, ok := f.(*DiskFullError); ok {
		if err := full.prune(ctx, EmbeddedOptions(r.options.Cache, r.options.Getenv, r.report.Note)); err != nil {
			return errors.Join(full, err)
		}
	}
	return r.dist.restage()
}

// EngineDiedError says that the engine ended in the middle of a run.
type EngineDiedError struct {
	Cause error
	Kind  engine.Kind
}

func (e *EngineDiedError) Error() string {
	return "the engine died in the middle of the run: " + e.why()
}
func (e *EngineDiedError) Unwrap() error { return e.Cause }

func (e *EngineDiedError) why() string {
	if lost := e.lost(); lost != nil {
		return lost.Cause
	}
	return e.Cause.Error()
}

func (e *EngineDiedError) lost() *embedded.LostError {
	var lost *embedded.LostError
	errors.As(e.Cause, &lost)
	return lost
}

// curable: an engine that somebody stopped should stay down, and one at an address or in a session is not ours to start.
func (e *EngineDiedError) curable() bool {
	lost := e.lost()
	return (e.Kind == engine.Embedded || e.Kind == engine.Runtime) && (lost == nil || !lost.Asked)
}

func (e *EngineDiedError) warning() string {
	return fmt.Sprintf("the engine died: %s; starting it again, once, and doing what is not done yet", e.why())
}

func (e *EngineDiedError) log() string {
	if lost := e.lost(); lost != nil && lost.Log != "" {
		return ": " + lost.Log
	}
	return ""
}

// card says what happened, what is left of the work, and what to do.
func (e *EngineDiedError) card() report.Failure {
	f := report.Failure{Title: "the engine died in the middle of the run", Cause: e.why(),
		Next: "run the same command again: it starts the engine if it must, and what was done is cached"}
	lost := e.lost()
	switch {
	case lost == nil:
		f.Title, f.Cause = "the engine is gone", "its connection broke"
		f.Tail = []string{e.Cause.Error()}
	case lost.Asked:
		f.Title = "the engine was stopped in the middle of the run"
	case lost.Silent:
		f.Title = "the engine answers no more"
	}
	if e.curable() { // it was started again already
		f.Title += ", twice"
		f.Next += "\nif it dies each time, its log tells more" + e.log()
	}
	return f
}
