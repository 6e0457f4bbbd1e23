package report

import (
	"fmt"
	"strings"
)

// Tests is the outcome of a test run. A case is counted once: a test with
// subtests is counted through them.
type Tests struct {
	Suites  []Suite `json:"suites"`
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Skipped int     `json:"skipped"`
}

// Suite is the outcome of one package.
type Suite struct {
	Package  string    `json:"package"`
	Dir      string    `json:"dir"`    // relative to the project's root, where known
	Status   Status    `json:"status"` // OK, Cached, Failed, Skipped (no tests), Canceled (no end was seen)
	Duration Duration  `json:"duration_ms"`
	Coverage *float64  `json:"coverage"` // percent of statements; nil: not measured
	NoTests  bool      `json:"no_tests"`
	NoBuild  bool      `json:"no_build"` // did not compile, so that nothing ran
	Cases    []Case    `json:"cases"`
	Findings []Finding `json:"findings"` // what belongs to no case
	Output   string    `json:"output"`   // what belongs to no case; only of a suite that failed
}

// Case is the outcome of one test, subtest, example, fuzz seed or benchmark.
type Case struct {
	Name     string    `json:"name"`
	Status   Status    `json:"status"`
	Duration Duration  `json:"duration_ms"`
	Parent   bool      `json:"parent"` // has subtests
	Findings []Finding `json:"findings"`
	Output   string    `json:"output"`          // not of a case that passed at once
	Flaky    int       `json:"flaky,omitempty"` // how often it failed before it passed; then findings and output are of that
}

// JoinTests returns the outcome of several test runs as one.
func JoinTests(runs ...Tests) Tests {
	var all Tests
	for _, run := range runs {
		all.Suites = append(all.Suites, run.Suites...)
		all.Passed += run.Passed
		all.Failed += run.Failed
		all.Skipped += run.Skipped
	}
	all.Suites = full(all.Suites)
	return all
}

// OK reports whether no test and no package failed.
func (t Tests) OK() bool {
	for _, s := range t.Suites {
		if s.Status == Failed || s.Status == Canceled {
			return false
		}
	}
	return true
}

// Cached reports whether every package with tests was answered from Go's own
// test cache.
func (t Tests) Cached() bool {
	cached := false
	for _, s := range t.Suites {
		if s.Status != Cached && s.Status != Skipped {
			return false
		}
		cached = cached || s.Status == Cached
	}
	return cached
}

// Findings returns what went wrong and where, each place once, in the order of
// the packages.
func (t Tests) Findings() []Finding {
	seen := map[Finding]bool{}
	var out []Finding
	add := func(findings []Finding) {
		for _, f := range findings {
			key := f
			if isRace(f) || f.Test == "" {
				key.Test, key.Package = "", ""
			}
			if !seen[key] {
				seen[key] = true
				out = append(out, f)
			}
		}
	}
	for _, s := range t.Suites {
		add(s.Findings)
		for _, c := range s.Cases {
			add(c.Findings)
		}
	}
	return full(out)
}

// Races returns the data races among the findings.
func (t Tests) Races() []Finding {
	var out []Finding
	for _, f := range t.Findings() {
		if isRace(f) {
			out = append(out, f)
		}
	}
	return full(out)
}

// Summary returns the outcome in a few words: "214 passed, 3 skipped".
func (t Tests) Summary() string {
	var parts []string
	if t.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", t.Failed))
	}
	parts = append(parts, fmt.Sprintf("%d passed", t.Passed))
	if flaky := t.Flaky(); len(flaky) > 0 {
		parts = append(parts, fmt.Sprintf("%d flaky: %s", len(flaky), strings.Join(flaky, ", ")))
	}
	if t.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", t.Skipped))
	}
	return strings.Join(parts, ", ")
}

// Title returns what failed, for a card and for the last line, or "".
func (t Tests) Title() string {
	var parts []string
	add := func(n int, one, many string) {
		if n == 1 {
			parts = append(parts, "1 "+one)
		}
		if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	noBuild, packages := t.failedSuites()
	add(noBuild, "package does not build", "packages do not build")
	add(t.Failed, "test failed", "tests failed")
	add(packages, "package failed outside of its tests", "packages failed outside of their tests")
	add(len(t.Races()), "data race", "data races")
	return strings.Join(parts, ", ")
}

// failedSuites counts the packages that did not compile, and those that failed
// although none of their cases did.
func (t Tests) failedSuites() (noBuild, other int) {
	for _, s := range t.Suites {
		switch {
		case s.NoBuild:
			noBuild++
		case (s.Status == Failed || s.Status == Canceled) && !s.caseFailed():
			other++
		}
	}
	return noBuild, other
}

func (s Suite) caseFailed() bool {
	for _, c := range s.Cases {
		if c.Status == Failed {
			return true
		}
	}
	return false
}

// Tail returns what the first failed case, or else package, printed: its end, or
// the beginning of a crash without the frames of the standard library.
func (t Tests) Tail() []string {
	for _, s := range t.Suites {
		for _, c := range s.Cases {
			if c.Status == Failed && strings.TrimSpace(c.Output) != "" {
				return crashTail(c.Output)
			}
		}
		if s.Status == Failed || s.Status == Canceled {
			return crashTail(s.Output)
		}
	}
	return []string{}
}

// Map returns a copy in which each text went through f. A Recorder's MaskTests
// is the usual caller.
func (t Tests) Map(f func(string) string) Tests {
	t.Suites = full(t.Suites)
	for i, s := range t.Suites {
		s.Package, s.Dir, s.Output = f(s.Package), f(s.Dir), f(s.Output)
		s.Findings = mapFindings(s.Findings, f)
		s.Cases = full(s.Cases)
		for j, c := range s.Cases {
			c.Name, c.Output, c.Findings = f(c.Name), f(c.Output), mapFindings(c.Findings, f)
			s.Cases[j] = c
		}
		t.Suites[i] = s
	}
	return t
}

func mapFindings(in []Finding, f func(string) string) []Finding {
	out := make([]Finding, len(in))
	for i, x := range in {
		x.File, x.Message, x.Tool, x.Test, x.Package = f(x.File), f(x.Message), f(x.Tool), f(x.Test), f(x.Package)
		out[i] = x
	}
	return out
}

func isRace(f Finding) bool { return f.Tool == toolRace }
