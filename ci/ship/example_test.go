package ship_test

import (
	"context"
	"fmt"
	"os"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/ci/target"
)

// A whole program: it ships the working directory, shows the run and exits like the command does.
func ExampleMain() {
	os.Exit(ship.Main(ship.Ship, ship.Options{}))
}

// A step of your own before all others: generated code that is not committed is tested and built, and stays in the engine.
func ExampleMain_change() {
	generate := func(stages pipelines.Stages, source *dagger.Directory) *dagger.Directory {
		return stages.Workshop(source).WithExec([]string{"go", "generate", "./..."}).Directory(".")
	}
	os.Exit(ship.Main(ship.Ship, ship.Options{Change: generate}))
}

// One stage, two targets, and a look at what happens while it happens. The report is a value: nothing has to be read back
// from what was printed.
func ExampleRun() {
	observer := report.ObserverFunc(func(e report.Event) {
		if done, ok := e.(report.StepFinished); ok {
			fmt.Println(done.Stage, done.Step.Title(), done.Step.Status)
		}
	})
	run, err := ship.Run(context.Background(), ship.Build, ship.Options{
		Source:  "../service",
		Targets: []target.Target{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}},
	}, observer)
	if err != nil {
		fmt.Println("could not be carried out:", err)
	}
	for _, a := range run.Artifacts {
		fmt.Println(a.Path, a.Digest)
	}
	for _, f := range run.Failures {
		fmt.Println(f.Stage, f.Title, f.Next)
	}
}
