package ship

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
)

// upload sends the sources to the engine, and says how much that was.
func (r *run) upload(ctx context.Context, stage *report.StageRecorder) error {
	step := stage.Step("sources")
	before, _ := r.session.Sent()
	err := r.stages.Upload(ctx)
	var broken *pipelines.CommandError
	switch {
	case errors.As(err, &broken) && r.options.Change != nil:
		step.Fail(changeFailure(broken))
		return nil
	case err != nil:
		step.Cancel()
		return fmt.Errorf("send the sources to the engine: %w", err)
	}
	after, known := r.session.Sent()
	step.Done(report.Result{Summary: sentSummary(after-before, known)})
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

// sentSummary says how much went to the engine.
func sentSummary(bytes int64, known bool) string {
	if !known {
		return ""
	}
	return fmt.Sprintf("sent %.1f MB", float64(bytes)/1e6)
}
