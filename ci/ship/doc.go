// Package ship takes a Go project from its go.mod to a tested image. The command is a thin layer over it, and so is a pipeline
// of your own:
//
//	func main() { os.Exit(ship.Main(ship.Ship, ship.Options{})) }
//
// [Main] is a whole program; [Run] is one run of a verb, for programs that show things their own way. Values go in, a value
// comes out: the report says what was inferred and why, what each stage did, what failed and what to do next. The same report
// is in dist/reports/run.json.
//
//	run, err := ship.Run(ctx, ship.Build, ship.Options{Source: "../service"}, nil)
//	for _, a := range run.Artifacts {
//		fmt.Println(a.Path, a.Digest)
//	}
//
// # What is an error
//
// The error of [Run] says why a run could not be carried out: a wrong configuration, no engine, an interrupt. What is wrong
// with the project (a failing test, code that does not compile) is no error but a [report.Failure] in the report. [ExitCode]
// makes the command's exit code of both; [Run] has put it into the report already.
//
// # A step of your own
//
// [Options.Change] gets the sources as a Dagger directory and returns what is verified and built instead: the place for a code
// generator, a fetched asset, a patch. It works in the engine; the directory on the machine stays as it is. When a command of
// it fails, the run ends with a card that shows the command and its last lines. examples/custom is a whole program.
//
// # What may be relied on
//
//   - Only [Publish] changes anything outside of this machine, and only after all else went well: what it pushes is what was tested.
//     It may be repeated; what is there is not sent again.
//   - [VerifyRelease] changes nothing and fails when anything is missing.
//   - The output directory is written when all went well, in one go; a run that fails or is killed leaves the last one as it was.
//   - The same commit gives the same bytes, on any machine, from any directory.
//   - A context that ends stops the run within seconds; what was done stays cached.
package ship
