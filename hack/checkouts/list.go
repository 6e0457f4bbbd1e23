package main

import (
	"path"
	"strings"
)

// expectation is a public repository at a commit, and what a run without configuration must come to.
type expectation struct {
	repository, commit string
	red                []string // what the cards must name; empty: the run is green
}

func (e expectation) name() string { return path.Base(e.repository) }

func (e expectation) verdict() string {
	if len(e.red) == 0 {
		return "ok"
	}
	return "red: " + strings.Join(e.red, ", ")
}

// expected finds what the list says of a checkout; nil when it is not on it.
func expected(name, commit string) *expectation {
	for _, e := range expectations {
		if e.name() == name && e.commit == commit {
			return &e
		}
	}
	return nil
}

var expectations = []expectation{}
