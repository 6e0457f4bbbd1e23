package forge

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	actions "github.com/sethvargo/go-githubactions"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
)

// GitHub is GitHub Actions. Make one with NewGitHub.
type GitHub struct {
	options Options
	log     io.Writer // for texts
	actions *actions.Action
}

// NewGitHub returns GitHub Actions as this process sees it.
func NewGitHub(o Options) *GitHub {
	// Commands go where the texts go, past what makes these inert: the order counts, and stdout is for results.
	library := actions.New(actions.WithWriter(forgiving{o.Log}), actions.WithGetenv(o.Getenv))
	return &GitHub{options: o, log: Inert(o.Log), actions: library}
}

// forgiving is a writer that never fails. The library panics when its writer does, and a log that nobody reads any more must not
// end a run.
type forgiving struct{ w io.Writer }

func (f forgiving) Write(p []byte) (int, error) {
	_, _ = f.w.Write(p)
	return len(p), nil
}

// Log is where texts for people go. They cannot be commands there.
func (g *GitHub) Log() io.Writer { return g.log }

// Fold hides lines of the log behind a title.
func (g *GitHub) Fold() render.Fold { return group{g.actions} }

type group struct{ actions *actions.Action }

func (g group) Open(title string) { g.actions.Group(title) }
func (g group) Close()            { g.actions.EndGroup() }

// Hide makes GitHub hide values too, in all logs of the job from now on.
func (g *GitHub) Hide(secrets []string) {
	for _, value := range secrets {
		for line := range strings.SplitSeq(value, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortestSecret {
				g.actions.AddMask(line)
			}
		}
	}
}

// shortestSecret is what can be hidden: shorter values are in every other word.
const shortestSecret = 4

// Observe waits for the end of the run. It annotates the source, and writes outputs and summary: before the last lines of the
// log, which say how it ended.
func (g *GitHub) Observe(e report.Event) {
	finished, ok := e.(report.RunFinished)
	if !ok {
		return
	}
	source, dist := g.options.Dirs()
	for _, a := range Annotations(finished.Run) {
		g.annotate(a, places{g.options.Getenv("GITHUB_WORKSPACE"), source})
	}
	complain(g.log, errors.Join(g.outputs(Outputs(finished.Run, dist)), g.summary(finished.Run)))
}

// annotate says the place of an annotation in its message where GitHub would lose it: a file that is not in the checkout.
func (g *GitHub) annotate(a Annotation, where places) {
	fields, message := map[string]string{"title": cmp.Or(a.Title, "slipway")}, a.Message
	file, found := where.of(a.File)
	switch {
	case found:
		fields["file"] = file
		number(fields, "line", a.Line)
		number(fields, "col", a.Column)
	case a.File != "":
		message = report.Finding{File: a.File, Line: a.Line, Column: a.Column}.Place() + ": " + message
	}
	library := g.actions.WithFieldsMap(fields)
	if a.Level == Warning {
		library.Warningf("%s", message)
		return
	}
	library.Errorf("%s", message)
}

func number(fields map[string]string, name string, n int) {
	if n > 0 {
		fields[name] = strconv.Itoa(n)
	}
}

// outputs are written at once: all of them, or none.
func (g *GitHub) outputs(all []Output) error {
	texts := make([]string, len(all))
	for i, o := range all {
		texts[i] = heredoc(o)
	}
	return g.file("output", strings.Join(texts, "\n"))
}

func (g *GitHub) summary(run report.Run) error {
	if g.options.Getenv("GITHUB_STEP_SUMMARY") == "" {
		return errors.New("tell GitHub the summary: GITHUB_STEP_SUMMARY names no file")
	}
	var page bytes.Buffer
	if err := render.Markdown(&page, run); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return g.file("step-summary", page.String())
}

// heredoc is an output as the runner reads it, between delimiters that are made for it. The library has one for all, which is
// public: a value with that line in it would end there, and what follows would be further outputs.
func heredoc(o Output) string {
	delimiter := "slipway-" + rand.Text()
	return o.Name + "<<" + delimiter + "\n" + oneSystemsLines(o.Value) + "\n" + delimiter
}

// oneSystemsLines are a text's lines as the runner reads them: one that ends with a carriage return would lose it there.
func oneSystemsLines(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r\n", "\n")
	return strings.ReplaceAll(text, "\r", "\n")
}

// file appends to one of the runner's files. The library panics when that cannot be done, and takes the working directory for
// the file where none is named.
func (g *GitHub) file(command, message string) (err error) {
	variable := "GITHUB_" + strings.ToUpper(strings.ReplaceAll(command, "-", "_"))
	if g.options.Getenv(variable) == "" {
		return fmt.Errorf("tell GitHub the %s: %s names no file", command, variable)
	}
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("tell GitHub the %s: %v", command, failure)
		}
	}()
	g.actions.IssueFileCommand(&actions.Command{Name: command, Message: message})
	return nil
}
