// Package render shows a run to people and writes it for machines.
//
//	mode := render.ModeOf(isTerminal, getenv)
//	opts := render.Options{Color: render.ColorOf(isTerminal, getenv), ASCII: !render.UTF8(getenv)}
//	view := render.New(os.Stderr, mode, size, opts)
//	defer view.Stop()                                    // also when the program panics
//	rec := report.NewRecorder(run, view, time.Now)
//
// A view shows all of a run from its events: who runs what and why, what runs
// now, what is done, and, when the run is finished, the summary, a card for each
// failure and the last line. There are three:
//
//   - [NewLive], for a terminal: finished stages scroll by, one line each; below
//     them is a block that is redrawn, with what runs now.
//   - [NewPlain], for pipes and CI: one line for each finished step. Nothing is
//     ever redrawn, and no line depends on the width of anything.
//   - the quiet one ([Options].Quiet): cards and the last line.
//
// The live view leaves no trace when it is killed: it hides the cursor and turns
// off line wrapping only while it writes a frame, and writes a frame at once.
//
// [Summary], [Card] and [LastLine] are the parts of the end, for those who show a
// run that is over. [JSON] and [JUnit] write for machines.
package render
