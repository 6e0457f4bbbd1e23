package pipelines

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/reach"
	"github.com/slipway-ci/slipway/ci/report"
)

// mostFiles is how many files gofmt is given by name: a command line has an end.
const mostFiles = 1000

// narrowed looks at what a change reaches of a module: first at the packages that have changed, then at those that depend on
// them. What is not looked at is said.
func (v verifier) narrowed(ctx context.Context, m project.Module) (testOutcome, error) {
	part, reached := v.Only.Modules[m.Dir]
	if !reached {
		v.step("packages", m).Done(report.Result{Status: report.NotChecked, Summary: "no change reaches this module"})
		return testOutcome{}, nil
	}
	packages := slices.Concat(part.Changed, part.Dependents)
	if rest := part.Packages - len(packages); rest > 0 {
		v.step("other packages", m).Done(report.Result{Status: report.NotChecked, Summary: fmt.Sprintf("%d of %d: no change reaches them", rest, part.Packages)})
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range checks(m) {
		argv, why := narrowedArgs(c, part, packages)
		if c.argv = argv; argv == nil {
			v.unreached(c.name, m, why)
			continue
		}
		group.Go(func() error { return v.check(groupCtx, m, c) })
	}
	v.unreached(vulnerabilitiesCheck, m, unchangedModules)
	var got testOutcome
	group.Go(func() (err error) {
		got, err = v.narrowedTests(groupCtx, m, part)
		return err
	})
	return got, group.Wait()
}

// unchangedModules is why what asks about modules is not asked.
const unchangedModules = "go.mod and go.sum are as they were"

// narrowedArgs is the command of a check for a part of a module; nil and why when there is nothing for it to look at.
func narrowedArgs(c check, part reach.Part, packages []string) (argv []string, why string) {
	switch {
	case c.argv[len(c.argv)-1] == "./...":
		if len(packages) == 0 {
			return nil, "no package is reached"
		}
		return append(slices.Clone(c.argv[:len(c.argv)-1]), packages...), ""
	case c.failsOnFindings && len(part.Files) > mostFiles:
		return c.argv, ""
	case c.failsOnFindings:
		if len(part.Files) == 0 {
			return nil, "no Go file has changed"
		}
		return append(slices.Clone(c.argv[:len(c.argv)-1]), part.Files...), ""
	}
	return nil, unchangedModules
}

// unreached says that a check is left out.
func (v verifier) unreached(name string, m project.Module, why string) {
	if !v.skipped(name, m) {
		v.step(name, m).Done(report.Result{Status: report.NotChecked, Summary: why})
	}
}

// narrowedTests runs the tests of what has changed, and of what depends on it once these pass: whoever waits hears of the most
// likely failures first.
func (v verifier) narrowedTests(ctx context.Context, m project.Module, part reach.Part) (testOutcome, error) {
	if v.skipped(testCheck, m) {
		return testOutcome{}, nil
	}
	var outcomes []report.Tests
	for _, some := range []struct {
		name     string
		packages []string
	}{{testCheck, part.Changed}, {"test of dependents", part.Dependents}} {
		if len(some.packages) == 0 {
			continue
		}
		got, err := v.testPackages(ctx, m, tested{name: some.name, packages: some.packages})
		outcomes = append(outcomes, got.tests)
		if err != nil || !got.tests.OK() {
			return testOutcome{tests: report.JoinTests(outcomes...)}, err
		}
	}
	return testOutcome{tests: report.JoinTests(outcomes...)}, nil
}

// tested is which packages are tested in one go.
type tested struct {
	name     string
	packages []string
	covered  bool
}

// all are the packages of a module.
var all = tested{name: testCheck, packages: []string{"./..."}, covered: true}

// isNarrowed tells whether only a part of a module is looked at.
func (v verifier) isNarrowed(m project.Module) bool {
	return v.Only != nil && v.Only.Modules[m.Dir].Whole == ""
}
