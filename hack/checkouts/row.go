package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

const heading = `| repository | commit | what it is | verdict | why | as expected | time |
|---|---|---|---|---|---|---|
`

// row is one line of the table.
func (o outcome) row() string {
	return fmt.Sprintf("| %s | %.7s | %s | %s | %s | %s | %s |",
		o.title(), o.commit, o.shape(), o.verdict(), escape(o.why()), o.agreement(), o.took.Round(time.Second))
}

func (o outcome) title() string {
	if o.want != nil {
		return o.want.repository
	}
	return o.name
}

// shape says what Slipway took the checkout for.
func (o outcome) shape() string {
	modules, tests := 0, ""
	for _, stage := range o.run.Stages {
		for _, step := range stage.Steps {
			if step.Name == "test" {
				modules++
				tests = step.Summary
			}
		}
	}
	programs := len(o.programs())
	words := []string{count(modules, "module"), "library"}
	if programs > 0 {
		words[1] = count(programs, "program")
	}
	if modules == 1 && tests != "" {
		words = append(words, tests)
	}
	if o.want != nil {
		return escape(o.want.shape + " (" + strings.Join(words, ", ") + ")")
	}
	return escape(strings.Join(words, ", "))
}

func (o outcome) programs() map[string]bool {
	programs := map[string]bool{}
	for _, fact := range o.run.Inferred {
		if name, ok := strings.CutPrefix(fact.What, "app "); ok {
			programs[name] = true
		}
	}
	return programs
}

// verdict is the exit code in a word.
func (o outcome) verdict() string {
	switch {
	case o.err != nil:
		return "no report"
	case o.run.ExitCode == 0:
		return "ok"
	}
	return fmt.Sprintf("exit %d", o.run.ExitCode)
}

// why names what failed: tests by name, else the cards' titles; of a run that went well, what it warned of.
func (o outcome) why() string {
	if o.err != nil {
		return o.err.Error()
	}
	var reasons []string
	for _, f := range o.run.Failures {
		reasons = append(reasons, blame(f))
	}
	if len(reasons) == 0 {
		reasons = warned(o.run)
	}
	return strings.Join(reasons, "; ")
}

// blame is one failure in a few words.
func blame(f report.Failure) string {
	var tests []string
	for _, finding := range f.Findings {
		if finding.Test != "" && !slices.Contains(tests, finding.Test) {
			tests = append(tests, finding.Test)
		}
	}
	title := f.Title
	if f.Step != "" {
		title = f.Step + ": " + title
	}
	if len(tests) > 0 {
		title += ": " + strings.Join(first(tests, 8), ", ")
	}
	return title
}

func warned(run report.Run) []string {
	var found []string
	for _, stage := range run.Stages {
		for _, step := range stage.Steps {
			if step.Status == report.Warned {
				found = append(found, step.Title())
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return []string{"warned: " + strings.Join(first(found, 8), ", ")}
}

func first(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n]), fmt.Sprintf("and %d more", len(list)-n))
}

func (o outcome) agreement() string {
	switch {
	case o.want == nil:
		return "not on the list"
	case o.expected():
		return "yes"
	}
	return "no: " + o.want.verdict()
}

// expected tells whether the outcome is the one on the list. A checkout that is not on it only has to end with a report.
func (o outcome) expected() bool {
	if o.err != nil {
		return false
	}
	if o.want == nil {
		return true
	}
	why := o.why()
	for _, name := range o.want.red {
		if !strings.Contains(why, name) {
			return false
		}
	}
	return (len(o.want.red) > 0) == (o.run.ExitCode == 1) && o.run.ExitCode <= 1
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
