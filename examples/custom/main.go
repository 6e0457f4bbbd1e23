// Command custom is a pipeline of your own on Slipway's libraries. It does what no slipway.yaml can say: it runs the project's
// code generators, in a container, before anything is verified or built. What they write never touches your directory.
//
//	go run ./examples/custom [DIRECTORY]
package main

import (
	"os"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/ship"
)

func main() {
	options := ship.Options{Source: "examples/custom/app", Change: generate}
	if len(os.Args) > 1 && os.Args[1][0] != '-' {
		options.Source = os.Args[1]
	}
	os.Exit(ship.Main(ship.Ship, options))
}

// generate is the project with what its go:generate lines make.
func generate(stages pipelines.Stages, source *dagger.Directory) *dagger.Directory {
	return stages.Workshop(source).
		WithExec([]string{"go", "generate", "./..."}).
		Directory(".")
}
