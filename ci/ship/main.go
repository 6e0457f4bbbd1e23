package ship

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report/render"
)

// Main is a whole program around [Run], for a pipeline of your own. It shows the run on standard error, stops in order at an
// interrupt, and returns the exit code:
//
//	func main() { os.Exit(ship.Main(ship.Ship, ship.Options{})) }
//
// A program that calls [Run] itself must call [embedded.Main] before anything else: the engine starts as a copy of the
// program that asks for it.
func Main(verb Verb, options Options) int {
	if handled, code := embedded.Main(os.Args[1:]); handled {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	view := render.NewPlain(os.Stderr, render.Options{Verbose: options.Verbose})
	defer view.Stop()
	run, err := Run(ctx, verb, options, view)
	var late *ReportError
	if errors.As(err, &late) || (err != nil && len(run.Stages) == 0) { // else the view has told it
		fmt.Fprintf(os.Stderr, "%v (exit %d)\n", err, run.ExitCode)
	}
	return run.ExitCode
}
