// Package ship takes a Go project from its go.mod to a tested image: it composes the packages below it into the verbs of the
// command, and is the library for a pipeline of your own.
//
//	outcome, err := ship.Run(ctx, ship.Ship, ship.Options{Source: "."}, observer)
//
// Values go in, a value comes out: [Run] returns the report of what happened, which is also written to
// dist/reports/run.json. The error says why a run could not be carried out; [ExitCode] turns both into the command's exit
// code. Nothing is pushed and nothing is deployed by the verbs of this package.
package ship
