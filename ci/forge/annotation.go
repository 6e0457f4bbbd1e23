package forge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
)

// perLevel is how many annotations of a level GitHub shows for one step. More would push the first ones out of sight.
const perLevel = 10

// Level says how bad an annotation is.
type Level string

// The levels.
const (
	Error   Level = "error"
	Warning Level = "warning"
)

// Annotation is a remark at a line of the source, or at none.
type Annotation struct {
	Level        Level
	File         string // as in the report; "" where no file is known
	Line, Column int
	Title        string
	Message      string
}

// Annotations are what a run has to remark: what failed, then what it warns of. No more of each level than are shown; the last
// one then says how many there are.
func Annotations(run report.Run) []Annotation {
	var errors, warnings []Annotation
	for _, f := range run.Failures {
		errors = append(errors, ofFailure(f)...)
	}
	for _, text := range run.Warnings {
		warnings = append(warnings, Annotation{Level: Warning, Title: "slipway", Message: text})
	}
	for _, s := range run.Stages {
		for _, step := range s.Steps {
			if step.Status == report.Warned {
				warnings = append(warnings, ofStep(s.Name, step)...)
			}
		}
	}
	return slices.Concat(limited(errors), limited(warnings))
}

func ofFailure(f report.Failure) []Annotation {
	where := strings.Trim(f.Stage+": "+f.Step, ": ")
	if len(f.Findings) == 0 {
		message := f.Title
		for _, more := range []string{strings.Join(f.Tail, "\n"), f.Cause, f.Next} {
			if more != "" {
				message += "\n" + more
			}
		}
		return []Annotation{{Level: Error, Title: where, Message: message}}
	}
	return ofFindings(Error, where, f.Findings)
}

func ofStep(stage string, s report.Step) []Annotation {
	where := stage + ": " + s.Title()
	if len(s.Findings) == 0 {
		return []Annotation{{Level: Warning, Title: where, Message: cmp.Or(s.Summary, "warned")}}
	}
	return ofFindings(Warning, where, s.Findings)
}

func ofFindings(level Level, where string, findings []report.Finding) []Annotation {
	out := make([]Annotation, len(findings))
	for i, f := range findings {
		title := where
		if what := cmp.Or(f.Test, f.Package); what != "" {
			title += " " + what
		}
		out[i] = Annotation{Level: level, File: f.File, Line: f.Line, Column: f.Column, Title: title, Message: f.Message}
	}
	return out
}

func limited(all []Annotation) []Annotation {
	if len(all) <= perLevel {
		return all
	}
	more := Annotation{
		Level: all[0].Level, Title: "slipway",
		Message: fmt.Sprintf("and %d more: the summary and reports/run.json have all of them", len(all)-perLevel+1),
	}
	return append(slices.Clone(all[:perLevel-1]), more)
}
