package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ConfigError holds everything that is wrong with a configuration file, in
// the order of the file. It belongs to exit code 2.
type ConfigError struct {
	File     string
	Problems []Problem
}

// Problem is one mistake. Line and Column count from 1.
type Problem struct {
	Line, Column int
	Field        string // apps[0].targets[2]
	Message      string // what is wrong
	Hint         string // what to do, or what was probably meant; may be empty
}

// SourceError says why a directory cannot be shipped, and the next step. It
// belongs to exit code 2.
type SourceError struct {
	Message string
	Next    string
}

// Error lists all problems, one per line, as file:line:column.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%s", e.File, p)
	}
	return strings.Join(lines, "\n")
}

// String is line:column: field: message (hint).
func (p Problem) String() string {
	text := fmt.Sprintf("%d:%d: ", p.Line, p.Column)
	if p.Field != "" {
		text += p.Field + ": "
	}
	text += p.Message
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// Error is the cause and the next step.
func (e *SourceError) Error() string {
	if e.Next == "" {
		return e.Message
	}
	return e.Message + "; " + e.Next
}

// Hint is the next step alone, for those who print it on its own line.
func (e *SourceError) Hint() string {
	return e.Next
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Field, b.Field))
	})
}
