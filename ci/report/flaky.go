package report

import (
	"fmt"
	"slices"
	"strings"
)

// Retryable names the tests that failed, without subtests, by package. It is
// false where to run them again proves nothing: a package did not build, ended in
// the middle of its tests or failed outside of them, or there was a data race,
// which is one whether it shows each time or not.
func (t Tests) Retryable() (map[string][]string, bool) {
	failed := map[string][]string{}
	if len(t.Races()) > 0 {
		return nil, false
	}
	for _, s := range t.Suites {
		if s.NoBuild || s.Status == Canceled || s.Status == Failed && !s.caseFailed() {
			return nil, false
		}
		for _, c := range s.Cases {
			if c.Status == Canceled {
				return nil, false
			}
			name, _, _ := strings.Cut(c.Name, "/")
			if c.Status == Failed && !slices.Contains(failed[s.Package], name) {
				failed[s.Package] = append(failed[s.Package], name)
			}
		}
	}
	return failed, len(failed) > 0
}

// Retried is the outcome after tests that failed were run again: those that
// passed then are flaky. runs is how often they had failed.
func (t Tests) Retried(again Tests, runs int) Tests {
	passed := map[[2]string]bool{}
	for _, s := range again.Suites {
		for _, c := range s.Cases {
			passed[[2]string{s.Package, c.Name}] = c.Status == OK
		}
	}
	var all Tests
	for _, s := range t.Suites {
		s.Cases = slices.Clone(s.Cases)
		for i, c := range s.Cases {
			if c.Status == Failed && passed[[2]string{s.Package, c.Name}] {
				s.Cases[i].Status, s.Cases[i].Flaky = OK, runs
			}
		}
		if s.Status == Failed && !s.NoBuild && !s.caseFailed() {
			s.Status, s.Output = OK, ""
		}
		all.add(s)
	}
	all.Suites = full(all.Suites)
	return all
}

// Flaky names the tests that failed and then passed: "TestBusy failed 1 of 2".
func (t Tests) Flaky() []string {
	var flaky []string
	for _, s := range t.Suites {
		for _, c := range s.Cases {
			if c.Flaky > 0 && !c.Parent {
				flaky = append(flaky, fmt.Sprintf("%s failed %d of %d", c.Name, c.Flaky, c.Flaky+1))
			}
		}
	}
	return flaky
}
