// Package report is the outcome of a run as a value: what ran, what was
// cached, how long it took, what failed and what to do about it.
//
// A [Recorder] turns what the stages tell it into a [Run] and, while the run is
// still going, into a stream of [Event] values for whoever shows it:
//
//	rec := report.NewRecorder(report.Run{Project: "greeter", Verb: "ship"}, observer, time.Now)
//	rec.Mask = masker                         // optional: hides secrets in every text
//	verify := rec.Stage("verify")
//	vet := verify.Step("vet")                 // starts now
//	vet.Command("go", "vet", "./...")
//	vet.Done(report.Result{Status: report.OK})
//	verify.Done("vet is clean")               // the status follows from the steps
//	run := rec.Finish(0)                      // what dist/reports/run.json holds
//
// A step ends with exactly one of Done, Fail and Cancel; later calls change
// nothing. A step that nobody ended is canceled when its stage ends, and a stage
// that nobody ended is closed by Finish, so a report is never half open.
//
// Everything here is safe for use by many goroutines. Texts are made safe to
// print before they enter a report: control sequences are removed, the mask is
// applied, tails are cut to [TailLines] lines of [TailRunes] runes.
//
// [ParseGoTest] and [ParseCompile] read what the Go tools print and find the
// file and the line of each problem. The package uses the standard library only.
package report
