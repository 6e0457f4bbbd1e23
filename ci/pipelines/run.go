package pipelines

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/report"
)

// outcome is what came of a command: inbox's result, and where its output is.
type outcome struct {
	Started    time.Time `json:"started"`
	DurationMS int64     `json:"duration_ms"`
	ExitCode   int       `json:"exit_code"`
	TimedOut   bool      `json:"timed_out"`
	Signal     string    `json:"signal"`
	OOM        bool      `json:"oom"`
	Limit      int64     `json:"memory_limit"` // in bytes, where memory ran out
	Command    []string  `json:"command"`
	SHA256     string    `json:"sha256"` // of the file that it made, where one was named

	Cached bool              `json:"-"` // replayed from the engine's cache
	After  *dagger.Container `json:"-"` // the container as the command left it
}

func (o outcome) ok() bool                { return o.ExitCode == 0 && !o.TimedOut }
func (o outcome) duration() time.Duration { return time.Duration(o.DurationMS) * time.Millisecond }

// output is what the command printed, both streams in order.
func (o outcome) output(ctx context.Context) (string, error) { return o.file(ctx, "output") }

// stdout is what the command printed to standard output alone.
func (o outcome) stdout(ctx context.Context) (string, error) { return o.file(ctx, "stdout") }

func (o outcome) file(ctx context.Context, name string) (string, error) {
	text, err := o.After.File(resultDir + "/" + name).Contents(ctx)
	if err != nil {
		return "", fmt.Errorf("read the output of %s: %w", o.Command[0], err)
	}
	return text, nil
}

// show passes on what the command printed, where the user asked for it. Output that cannot be read is not worth a failure.
func (s Stages) show(ctx context.Context, step *report.StepRecorder, o outcome) {
	if !s.Verbose {
		return
	}
	text, err := o.output(ctx)
	if err != nil {
		text = err.Error()
	}
	if slices.Contains(o.Command, "-json") {
		text = printed(text)
	}
	step.Output(text)
}

// printed is what the tests of a "go test -json" printed, without the events around it.
func printed(events string) string {
	var text strings.Builder
	for line := range strings.Lines(events) {
		var event struct{ Output string }
		if json.Unmarshal([]byte(line), &event) != nil {
			event.Output = line
		}
		text.WriteString(event.Output)
	}
	return text.String()
}

// result is how a step that succeeded shows this outcome.
func (o outcome) result(summary string) report.Result {
	r := report.Result{Status: report.OK, Summary: summary, Duration: o.duration()}
	if o.Cached {
		r.Status, r.Duration, r.Saved = report.Cached, 0, o.duration()
	}
	return r
}

// failure is the card of this outcome, without what only the step knows.
func (o outcome) failure(ctx context.Context, title string) report.Failure {
	output, err := o.output(ctx)
	if err != nil {
		output = err.Error()
	}
	return report.Failure{Title: title, Command: o.Command, ExitCode: o.ExitCode, Tail: report.Tail(output), Cause: cmp.Or(o.cause(), goCause(output))}
}

// cause is what is known for sure about why the command ended.
func (o outcome) cause() string {
	switch {
	case o.TimedOut:
		return "it did not end within its time limit"
	case o.OOM:
		return "it ran out of memory and the kernel killed it" + o.limit()
	case o.Signal != "":
		return "it was ended by the signal " + o.Signal
	}
	return ""
}

// limit says how much memory there was, where that is known.
func (o outcome) limit() string {
	if o.Limit <= 0 {
		return ""
	}
	return fmt.Sprintf(": its limit is %d MiB", o.Limit>>20)
}

// attemptVariable is set in a container to have a command run that has run before.
const attemptVariable = "SLIPWAY_ATTEMPT"

// command is what a container runs.
type command struct {
	step  *report.StepRecorder // that is told when it waits
	argv  []string
	limit time.Duration // 0: none
	makes string        // the file that it makes, to be named by its digest; "" for none
}

// run runs a command in a container. The error is about the engine; how the command fared is in the outcome. A failure that
// comes from the cache is run again: what failed once may have been the network.
func (s Stages) run(ctx context.Context, c *dagger.Container, cmd command) (outcome, error) {
	release, err := s.slot(ctx, cmd.step)
	if err != nil {
		return outcome{}, err
	}
	defer release()
	o, err := s.replayOrRun(ctx, c, cmd)
	if err == nil && o.Cached && !o.ok() {
		return s.replayOrRun(ctx, c.WithEnvVariable(attemptVariable, s.RunID), cmd)
	}
	return o, err
}

func (s Stages) replayOrRun(ctx context.Context, c *dagger.Container, cmd command) (outcome, error) {
	after := c.WithExec(cmd.args())
	text, err := after.Stdout(ctx)
	if err != nil {
		return outcome{}, explain(err)
	}
	var o outcome
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return outcome{}, fmt.Errorf("read the result of %s: %w", cmd.argv[0], err)
	}
	o.Cached = o.Started.Before(s.Started)
	o.After = after
	return o, nil
}

// args is the command as inbox runs it.
func (c command) args() []string {
	args := []string{inboxPath, "run", "-dir", resultDir}
	if c.limit > 0 {
		args = append(args, "-timeout", c.limit.String())
	}
	if c.makes != "" {
		args = append(args, "-sum", c.makes)
	}
	return append(append(args, "--"), c.argv...)
}

// CommandError is a command in a container that failed and that no step expected to: a tool that could not be built, an image
// that could not be assembled.
type CommandError struct {
	Command  []string
	ExitCode int
	Output   string
	cause    error
}

func (e *CommandError) Error() string {
	text := fmt.Sprintf("%s: exit code %d", strings.Join(e.Command, " "), e.ExitCode)
	if e.Output != "" {
		text += ": " + e.Output
	}
	return text
}
func (e *CommandError) Unwrap() error { return e.cause }

// explain turns an error of the SDK into one that says what the container printed: ExecError.Error() keeps that to itself.
func explain(err error) error {
	var exec *dagger.ExecError
	if !errors.As(err, &exec) {
		return err
	}
	said := strings.TrimSpace(exec.Stderr)
	if said == "" {
		said = strings.TrimSpace(exec.Stdout)
	}
	return &CommandError{Command: exec.Cmd, ExitCode: exec.ExitCode, Output: said, cause: err}
}
