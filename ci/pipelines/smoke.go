package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// helpLimit is how long an app that is no service may take for --help.
const helpLimit = 10 * time.Second

// smokeResult is what inbox says of a service that it started, asked and stopped.
type smokeResult struct {
	Started   time.Time `json:"started"`
	Healthy   bool      `json:"healthy"`
	ReadyMS   int64     `json:"ready_ms"`
	Probes    int       `json:"probes"`
	LastProbe string    `json:"last_probe"`
	Early     bool      `json:"early"`
	ExitCode  int       `json:"exit_code"`
	Signal    string    `json:"signal"`
	Killed    bool      `json:"killed"`
	StoppedMS int64     `json:"stopped_ms"`
	Log       string    `json:"log"`
	Command   []string  `json:"command"`
}

// Smoke runs an app's image, given as an OCI layout in a tar file, as the image says: its user, environment and entrypoint.
// A service must answer its health address and end within its grace period after SIGTERM. Any other app must start.
func (s Stages) Smoke(ctx context.Context, stage *report.StageRecorder, app project.App, layout string) error {
	step := stage.Step(app.Name)
	image := s.Client.Container().Import(s.Client.Host().File(layout))
	command, err := entrypoint(ctx, image)
	if err != nil {
		return s.engineFailure(step, "read the image of "+app.Name, explain(err))
	}
	container := image.WithMountedFile(inboxPath, s.made.inbox().File(outDir+"/inbox"))
	if s.NoCache {
		container = container.WithEnvVariable("SLIPWAY_RUN", s.RunID)
	}
	if app.Service == nil {
		return s.smokeHelp(ctx, step, container, command)
	}
	return s.smokeService(ctx, step, app, container, command)
}

func entrypoint(ctx context.Context, image *dagger.Container) ([]string, error) {
	entry, err := image.Entrypoint(ctx)
	if err != nil {
		return nil, err
	}
	args, err := image.DefaultArgs(ctx)
	return append(entry, args...), err
}

func (s Stages) smokeService(ctx context.Context, step *report.StepRecorder, app project.App, container *dagger.Container, command []string) error {
	argv := append(smokeArgs(*app.Service), command...)
	step.Command(command...)
	result, err := s.smoke(ctx, step, container, argv)
	if err == nil && result.problem(*app.Service) != "" && result.Started.Before(s.Started) {
		result, err = s.smoke(ctx, step, container.WithEnvVariable(attemptVariable, s.RunID), argv) // a failure is never replayed
	}
	if err != nil {
		return s.engineFailure(step, "smoke "+app.Name, err)
	}
	if problem := result.problem(*app.Service); problem != "" {
		step.Fail(result.failure(*app.Service, problem))
		return nil
	}
	done := report.Result{Status: report.OK, Summary: result.summary(*app.Service)}
	if result.Started.Before(s.Started) {
		done.Status = report.Cached
		done.Saved = time.Duration(result.ReadyMS+result.StoppedMS) * time.Millisecond
	}
	step.Done(done)
	return nil
}

func (s Stages) smoke(ctx context.Context, step *report.StepRecorder, container *dagger.Container, argv []string) (smokeResult, error) {
	release, err := s.slot(ctx, step)
	if err != nil {
		return smokeResult{}, err
	}
	defer release()
	var result smokeResult
	text, err := container.WithExec(argv).Stdout(ctx)
	if err != nil {
		return result, explain(err)
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return result, fmt.Errorf("read the result: %w", err)
	}
	return result, nil
}

func smokeArgs(service project.Service) []string {
	return []string{
		inboxPath, "smoke", "-port", strconv.Itoa(service.Port), "-path", service.Health,
		"-start", service.Start.String(), "-grace", service.Grace.String(), "--",
	}
}

// problem is what was wrong with the service, in a few words; "" when nothing was.
func (r smokeResult) problem(service project.Service) string {
	switch {
	case r.Early && r.Signal != "":
		return "the service was ended by the signal " + r.Signal + " before it was healthy"
	case r.Early:
		return fmt.Sprintf("the service ended with exit code %d before it was healthy", r.ExitCode)
	case !r.Healthy:
		return fmt.Sprintf("the service was not healthy within %s", service.Start)
	case r.Killed:
		return fmt.Sprintf("the service did not end within %s after SIGTERM", service.Grace)
	}
	return ""
}

func (r smokeResult) summary(service project.Service) string {
	text := fmt.Sprintf("%s healthy after %d ms, ended %d ms after SIGTERM", service.Health, r.ReadyMS, r.StoppedMS)
	switch { // it ended, which is what is asked for; how is worth knowing
	case r.Signal != "":
		text += " without handling it"
	case r.ExitCode != 0:
		text += fmt.Sprintf(" with exit code %d", r.ExitCode)
	}
	return text
}

func (r smokeResult) failure(service project.Service, problem string) report.Failure {
	failure := report.Failure{Title: problem, Command: r.Command, ExitCode: r.ExitCode, Tail: report.Tail(r.Log)}
	if !r.Healthy {
		asked := fmt.Sprintf("GET :%d%s, asked %d times, last answer: %s", service.Port, service.Health, r.Probes, report.Clean(r.LastProbe))
		failure.Tail = append([]string{asked}, failure.Tail...)
		failure.Next = fmt.Sprintf("see that the service listens on port %d of all addresses and answers %s with 200", service.Port, service.Health)
		return failure
	}
	failure.Next = "see that the service ends when it gets SIGTERM, or raise service.grace"
	return failure
}

// smokeHelp starts an app that is no service. Only failing to start counts: programs differ in what --help means to them.
func (s Stages) smokeHelp(ctx context.Context, step *report.StepRecorder, container *dagger.Container, command []string) error {
	release, err := s.slot(ctx, step)
	if err != nil {
		return err
	}
	defer release()
	argv := append(append([]string{}, command...), "--help")
	step.Command(argv...)
	after := container.WithExec(append([]string{inboxPath, "run", "-timeout", helpLimit.String(), "--"}, argv...))
	text, err := after.Stdout(ctx)
	if err != nil {
		return s.engineFailure(step, "smoke", explain(err))
	}
	var o outcome
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return s.engineFailure(step, "read the result", err)
	}
	o.Cached = o.Started.Before(s.Started)
	printed, err := after.Stderr(ctx)
	if err != nil {
		return s.engineFailure(step, "read the output", explain(err))
	}
	if started(o, printed) {
		step.Done(o.result("starts; health: not checked (no service: in slipway.yaml)"))
		return nil
	}
	step.Fail(report.Failure{
		Title: "the program does not start in its image", Command: argv, ExitCode: o.ExitCode, Tail: report.Tail(printed), Cause: o.cause(),
		Next: "see that the program needs nothing that the image lacks: " + strings.Join(command, " "),
	})
	return nil
}

// started tells whether a program got as far as running its own code: it was found, could be executed, and was not ended by
// a signal or a panic of its own making. One that runs until the time limit has started.
func started(o outcome, printed string) bool {
	if o.TimedOut {
		return true
	}
	panicked := o.ExitCode == 2 && strings.Contains(printed, "\ngoroutine 1 [")
	return o.ExitCode != 126 && o.ExitCode != 127 && o.Signal == "" && !panicked
}
