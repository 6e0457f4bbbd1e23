package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/ci/target"
)

// errInterrupted is why a run ends when the user or the system asks for it.
var errInterrupted = errors.New("interrupted")

// Main carries out the command and returns its exit code. The first interrupt ends the run in order; a second one at once.
func Main(system IO) int {
	if handled, code := embedded.Main(system.Args); handled {
		return code
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	surviveClosedPipes()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel(errInterrupted)
		<-signals
		os.Exit(ship.ExitInterrupted)
	}()
	output := newSlack(system.Stderr)
	system.Stderr = output
	defer output.finish(ctx)
	return Run(ctx, system)
}

// surviveClosedPipes turns the death that a write to a closed stdout or stderr would be into an error of that write: who
// stops to read must not end a run halfway. What is never read is dropped; child processes get the signal as usual.
func surviveClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// Run is Main without the process: no signals, no exit.
func Run(ctx context.Context, system IO) int {
	app := &app{IO: system}
	app.enter()
	root := app.root()
	root.SetArgs(app.Args)
	root.SetOut(app.Stdout)
	root.SetErr(app.Stderr)
	err := root.ExecuteContext(ctx)
	if app.code != nil { // the verb has said how it ended
		return *app.code
	}
	if err == nil {
		return ship.ExitOK
	}
	code := ship.ExitCode(ctx, report.Run{}, err)
	app.complain(err, code)
	return code
}

// app is one call of the command.
type app struct {
	IO
	options ship.Options
	flags   globalFlags
	ci      workplace
	code    *int
}

// globalFlags are the flags of all verbs that are not ship.Options already.
type globalFlags struct {
	json    bool
	quiet   bool
	timeout time.Duration
	targets []string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "slipway",
		Short:         "Take a Go project from go.mod to a tested image",
		Long:          rootHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          a.run(ship.Ship),
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.options.Source, "source", "C", ".", "directory of the project")
	flags.StringVarP(&a.options.Config, "config", "f", "", "configuration file (default slipway.yaml in the source directory, if it is there)")
	flags.StringVar(&a.options.Engine, "engine", "auto", "engine to use: auto, docker, embedded, or an address such as tcp://host:1234")
	flags.StringVar(&a.options.Dist, "dist", "", "output directory (default dist in the source directory)")
	flags.BoolVar(&a.flags.json, "json", false, "write the report as JSON to stdout")
	flags.BoolVarP(&a.flags.quiet, "quiet", "q", false, "show only failures and the last line")
	flags.BoolVarP(&a.options.Verbose, "verbose", "v", false, "show commands and what they print")
	flags.DurationVar(&a.flags.timeout, "timeout", 0, "give up after this time, such as 30m (default: never)")
	flags.BoolVar(&a.options.NoCache, "no-cache", false, "run everything, replay nothing from the cache")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &ship.UsageError{Message: flagMistake(cmd, err)} })
	a.shipFlags(root)
	for _, verb := range verbs {
		root.AddCommand(a.verb(verb))
	}
	root.AddCommand(a.plan(), a.deploy(), a.rollback(), a.status(), a.history(), a.logs())
	root.AddCommand(a.verifyRelease(), a.init(), a.hook(), a.doctor(), a.engine(), a.cache(), a.schema(), a.version())
	root.SetHelpCommand(a.help(root))
	return root
}

const rootHelp = `Slipway takes a Go project from go.mod to a tested image: it verifies and tests, cross-compiles every
target in cached layers, packages, assembles a distroless image and tries it. One command, the same on a
laptop, before a push and in CI. Without a verb it does "ship".

Nothing needs to be configured: what Slipway infers, it shows with its reason. slipway.yaml overrides.

Exit codes: 0 ok, 1 a stage failed, 2 usage or configuration, 3 no engine or the machine lacks something, 4 a rollout
failed and everything is back as it was, 5 a person is needed, 130 interrupted and left safe.`

// complain tells people about an error that no run has told them about.
func (a *app) complain(err error, code int) {
	fmt.Fprintf(a.Stderr, "slipway: %s (exit %d)\n", strings.TrimRight(err.Error(), "\n"), code)
}

// view is the renderer for this call.
func (a *app) view() render.Renderer {
	width, _ := a.Size()
	options := render.Options{
		Color: render.ColorOf(a.Terminal, a.Getenv), Width: width, Verbose: a.options.Verbose, Quiet: a.flags.quiet, ASCII: a.Terminal && !render.UTF8(a.Getenv),
	}
	if fold := a.ci.Fold(); fold != nil && !options.Verbose && !options.Quiet { // what is hidden has to be there
		options.Fold, a.options.Verbose = fold, true
	}
	return render.New(a.Stderr, render.ModeOf(a.Terminal, a.Getenv), a.Size, options)
}

// checkEngine refuses an engine that cannot be meant, whether the flag or the environment names it.
func (a *app) checkEngine() error {
	err := engine.CheckWant(a.options.Engine)
	if err == nil {
		err = engine.CheckNamed(a.options.Engine, a.Getenv)
	}
	if err != nil {
		return &ship.UsageError{Message: err.Error()}
	}
	return nil
}

// settle turns flags into the options of a run.
func (a *app) settle(ctx context.Context) (context.Context, context.CancelFunc, error) {
	a.options.Getenv, a.options.Environ, a.options.Slipway = a.Getenv, a.Environ, Version()
	for i, name := range a.options.Skip {
		a.options.Skip[i] = strings.TrimSpace(name)
	}
	for _, text := range a.flags.targets {
		t, err := target.Parse(strings.TrimSpace(text))
		if err != nil {
			return ctx, nil, &ship.UsageError{Message: fmt.Sprintf("--target: %v", err)}
		}
		a.options.Targets = append(a.options.Targets, t)
	}
	if a.flags.timeout < 0 {
		return ctx, nil, &ship.UsageError{Message: fmt.Sprintf("--timeout %s: less than no time; write one such as 30m", a.flags.timeout)}
	}
	if a.flags.timeout > 0 {
		cause := fmt.Errorf("the run took longer than --timeout %s: %w", a.flags.timeout, context.DeadlineExceeded)
		ctx, cancel := context.WithTimeoutCause(ctx, a.flags.timeout, cause)
		return ctx, cancel, nil
	}
	return ctx, func() {}, nil
}

func (a *app) exit(code int) { a.code = &code }
