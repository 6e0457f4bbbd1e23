package ship

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/reach"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/secret"
)

// Run carries out a verb and returns what happened. The observer is told while it happens; nil tells nobody. The error says
// why the run could not be carried out; what is wrong with the project is in the report, and its exit code.
func Run(ctx context.Context, verb Verb, options Options, observer report.Observer) (report.Run, error) {
	if verb.rolls() {
		return refusal(ctx, verb, time.Now(), &UsageError{"Run rolls out nothing: use Deploy, Plan or Rollback"})
	}
	return runThen(ctx, verb, options, observer, afterwards{})
}

// afterwards is what comes after a run that went well, outside of what may be tried twice.
type afterwards struct {
	do     func(context.Context, *run) (exitCode int, err error) // nil does nothing
	hidden []string                                              // nobody may read them
}

// refusal is how a run ends that never began.
func refusal(ctx context.Context, verb Verb, started time.Time, err error) (report.Run, error) {
	return report.Run{Verb: string(verb), Started: started, ExitCode: ExitCode(ctx, report.Run{}, err)}, err
}

func runThen(ctx context.Context, verb Verb, options Options, observer report.Observer, then afterwards) (report.Run, error) {
	started := time.Now()
	options, err := options.settled()
	if err == nil {
		err = errors.Join(options.bar(verb), checkSkip(options.Skip), checkDistPlace(options))
	}
	if err != nil {
		return refusal(ctx, verb, started, err)
	}
	p, err := project.Load(ctx, project.Options{
		Source: options.Source, Config: options.Config, Dist: options.Dist, PinnedGo: PinnedGo, Getenv: options.Getenv,
	})
	if err != nil {
		return refusal(ctx, verb, started, err)
	}
	if err = narrow(&p, options.Targets); err == nil {
		err = checkPrograms(verb, p)
	}
	if err != nil {
		return refusal(ctx, verb, started, err)
	}
	r := &run{
		verb: verb, options: options, project: p, started: started, id: runID(started), then: then,
		report: report.NewRecorder(opening(verb, options, p, started), observer, time.Now),
	}
	r.hide(then.hidden)
	if verb == Publish {
		if r.outbound, err = newOutbound(ctx, options, p); err != nil {
			return refusal(ctx, verb, started, err)
		}
		r.hide(r.outbound.secrets)
		for _, image := range r.outbound.images {
			r.report.Fact(image.fact())
		}
	}
	if err := r.reached(ctx); err != nil {
		return refusal(ctx, verb, started, err)
	}
	return r.carryOut(ctx)
}

// hide keeps secrets out of everything that is shown. It comes before the first thing is.
func (r *run) hide(secrets []string) { hide(r.report, r.options, secrets) }

func hide(recorder *report.Recorder, o Options, secrets []string) {
	if len(secrets) == 0 {
		return
	}
	recorder.Mask = secret.Mask(secrets...)
	if o.Hide != nil {
		o.Hide(secrets)
	}
}

// run is one run of a verb.
type run struct {
	verb    Verb
	options Options
	project project.Project
	started time.Time
	id      string
	report  *report.Recorder
	dist    *dist
	session *engine.Session
	stages  pipelines.Stages
	from    pipelines.ImageSource
	found   project.Survey // the sources, as counted
	then    afterwards

	// What a push leaves to do, and why its time is over.
	only *reach.Reach
	over func() string

	// What publish pushes, and says about it.
	outbound outbound
	files    pipelines.Config    // what the stages were given
	verdict  pipelines.Verdict   // of verify
	images   map[string]v1.Hash  // what was tested, by app
	made     []artifact.Artifact // all of it
	bills    map[string][]byte   // by file
	notes    string              // what has changed
}

// carryOut does the work between the opening of the output directory and the report.
func (r *run) carryOut(ctx context.Context) (report.Run, error) {
	var err error
	if r.dist, err = openDist(r.options.Dist, r.id); err != nil {
		return report.Run{Verb: string(r.verb), Started: r.started, ExitCode: ExitCode(ctx, report.Run{}, err)}, err // nothing has begun
	}
	defer r.dist.close()
	code := ExitOK
	if err = r.carryOutInTime(ctx); err == nil && r.failed() == ExitOK {
		code, err = r.outwards(ctx) // not within try: it is seen by others
	}
	switch {
	case err != nil:
		code = ExitCode(ctx, report.Run{}, err)
		r.tell(code, err)
	case code == ExitOK:
		code = r.failed()
	}
	final := r.report.Finish(code)
	if late := r.dist.writeRun(final); late != nil {
		final.ExitCode = max(final.ExitCode, ExitFailed)
		err = errors.Join(err, &ReportError{Cause: late})
	}
	return final, err
}

// carryOutInTime does the work, as far as there is something to do and time for it.
func (r *run) carryOutInTime(ctx context.Context) error {
	if r.nothingReached() {
		return nil
	}
	timed, cancel := r.inTime(ctx)
	defer cancel()
	err := r.try(timed)
	if r.unready(err) {
		return nil
	}
	return err
}

// outwards does what is done outside of this machine.
func (r *run) outwards(ctx context.Context) (int, error) {
	switch {
	case r.verb == Publish:
		return ExitOK, r.push(ctx)
	case r.then.do != nil:
		return r.then.do(ctx, r)
	}
	return ExitOK, nil
}

// ReportError says that the report of a run could not be written. It is the one error of a run that the report cannot tell.
type ReportError struct{ Cause error }

func (e *ReportError) Error() string { return e.Cause.Error() }
func (e *ReportError) Unwrap() error { return e.Cause }

// failed is the exit code that the report so far asks for.
func (r *run) failed() int {
	if len(r.report.Snapshot().Failures) > 0 {
		return ExitFailed
	}
	return ExitOK
}

// tell puts an error into the report, as a failure of the stage that it belongs to. An interrupt needs no explanation.
func (r *run) tell(code int, err error) {
	if code == ExitInterrupted {
		return
	}
	title, more, _ := strings.Cut(err.Error(), "\n")
	name, failure := "run", report.Failure{Title: title}
	var machine fault
	switch {
	case errors.As(err, &machine):
		name, failure, more = "engine", machine.card(), ""
	case code == ExitNoEngine:
		name, failure.Next = "engine", "slipway doctor shows what this machine lacks"
	case code == ExitFailed:
		failure.Next = "run the same command again: what was done is cached"
	}
	if more != "" {
		failure.Tail = strings.Split(more, "\n")
	}
	stage := r.report.Stage(name)
	stage.Fail(failure)
	stage.Done("")
}

// work runs the stages of the verb. Verify and build do not wait for each other, nor do archives and images wait for verify:
// all of it is staged, and delivered to dist only when everything went well.
func (r *run) work(ctx context.Context) error {
	a := assembly{run: r}
	group, groupCtx := errgroup.WithContext(ctx)
	if r.verb.verifies() {
		group.Go(func() error {
			var err error
			r.verdict, err = r.stages.Verify(groupCtx, r.options.Skip)
			return errors.Join(err, r.dist.writeVerdict(ctx, r.report, r.verdict))
		})
	}
	if r.verb != Verify && len(r.project.Apps) > 0 {
		group.Go(func() error { return a.assemble(groupCtx) })
	}
	if err := group.Wait(); err != nil || r.failed() != ExitOK || len(a.built.Binaries) == 0 {
		return err
	}
	if err := a.deliver(); err != nil {
		return err
	}
	if r.verb.smokes() {
		return a.smoke(ctx)
	}
	return nil
}

// opening is what is known of a run before it starts.
func opening(verb Verb, o Options, p project.Project, started time.Time) report.Run {
	var facts []report.Fact
	for _, reason := range p.Reasons {
		if reason.What != "version" { // it is shown by itself
			facts = append(facts, report.Fact{What: reason.What, Value: reason.Value, Why: reason.Why})
		}
	}
	return report.Run{
		Slipway: o.Slipway, Project: p.Name, Version: p.Version.Version, VersionWhy: p.Version.Reason, Commit: p.Version.Commit,
		Dirty: p.Version.Dirty, Verb: string(verb), Dist: shown(o.Source, o.Dist), Started: started, Inferred: facts,
	}
}

// shown is a path as people like to read it: relative to the source where it lies below it.
func shown(base, path string) string {
	rel, err := filepath.Rel(base, path)
	if err != nil || !filepath.IsLocal(rel) {
		return path
	}
	return rel
}
