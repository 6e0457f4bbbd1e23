package ship

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// surveyLimit is the time after which nobody waits for the count of the sources any more.
const surveyLimit = 20 * time.Second

// survey counts the sources while the engine is opened. What cannot be sent is added to what is left out, with a warning.
func (r *run) survey(ctx context.Context, exclude []string) (project.Survey, []string) {
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	found, err := project.Measure(ctx, r.project.Root, exclude)
	if err != nil {
		return project.Survey{}, exclude // the upload itself is the one to fail, and says why
	}
	for _, name := range found.Special {
		r.report.Warn(fmt.Sprintf("%q is left out: pipes, sockets and devices cannot be sent to the engine", name))
	}
	for _, name := range found.Locked {
		r.report.Warn(fmt.Sprintf("%q is left out: this user may not read the directory", name))
	}
	return found, append(slices.Clone(exclude), pipelines.Literals(append(found.Special, found.Locked...))...)
}

// changes counts the sources once more, and names those that are not what they were.
func (r *run) changes(exclude []string) func(context.Context) []string {
	return func(ctx context.Context) []string {
		ctx, cancel := context.WithTimeout(ctx, surveyLimit)
		defer cancel()
		now, err := project.Measure(ctx, r.project.Root, exclude)
		if err != nil || r.found.Sources == nil {
			return nil // it was not counted the first time, or takes too long
		}
		return r.found.Sources.Changed(now.Sources)
	}
}

// sendsAll tells whether the engine gets the whole project. A run that only builds sends no more than the programs are made
// of, later, when it knows what that is.
func (r *run) sendsAll() bool {
	return r.verb.verifies() || r.options.Change != nil
}

// upload sends the sources to the engine, and says how much that was.
func (r *run) upload(ctx context.Context, stage *report.StageRecorder, found project.Survey) error {
	if !r.sendsAll() {
		return nil
	}
	step := stage.Step("sources")
	if large(found) {
		r.report.Note("the sources are large: " + largest(found))
	}
	step.Progress(strings.TrimSuffix(sourceSummary(found), "; "))
	sent, err := r.stages.Upload(ctx)
	var broken *pipelines.CommandError
	switch {
	case errors.As(err, &broken) && r.options.Change != nil:
		step.Fail(changeFailure(broken))
		return nil
	case err != nil:
		step.Cancel()
		return fmt.Errorf("send the sources to the engine: %w", err)
	}
	step.Done(report.Result{Summary: sourceSummary(found) + sent.String()})
	return nil
}

// changeFailure is the card of a [Options.Change] that did not work out.
func changeFailure(broken *pipelines.CommandError) report.Failure {
	return report.Failure{
		Title: "the sources could not be prepared", Command: broken.Command, ExitCode: broken.ExitCode,
		Tail: report.Tail(broken.Output), Next: "mend what the lines above say, or the Change of this pipeline",
		Reproduce: strings.Join(broken.Command, " "),
	}
}

// large tells whether somebody may wonder why the first upload takes its time.
func large(s project.Survey) bool { return s.Bytes > 200e6 || s.Files > 20_000 }

// largest names where most of the sources are.
func largest(s project.Survey) string {
	var dirs []string
	for _, d := range s.Dirs[:min(3, len(s.Dirs))] {
		dirs = append(dirs, fmt.Sprintf("%s (%s in %s)", d.Dir, size(d.Bytes), plural(d.Files, "file")))
	}
	return strings.Join(dirs, ", ")
}

// sourceSummary says what the engine is to have.
func sourceSummary(s project.Survey) string {
	if s.Files == 0 {
		return ""
	}
	text := plural(s.Files, "file") + ", " + size(s.Bytes)
	if len(s.Left) > 0 {
		text += " without " + strings.Join(s.Left[:min(3, len(s.Left))], ", ")
	}
	if more := len(s.Left) - 3; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + "; "
}

// size is an amount of data, as it is shown.
func size(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
