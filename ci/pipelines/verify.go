package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"dagger.io/dagger"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// testLimit ends a test run that hangs; go test's own limit for each package comes first.
const testLimit = 60 * time.Minute

// Verdict is what verify found.
type Verdict struct {
	Tests    report.Tests
	Coverage float64      // percent of statements over all modules; negative when not measured
	Profile  string       // the coverage profile of all modules, as go tool cover reads it
	Page     *dagger.File // the profile as a web page; nil when there is none
	Vulns    Vulns
	Failed   bool
}

// Verify looks at every module of the project: style, vet, go.mod, static analysis, tests. The error is about the engine;
// what is wrong with the project is in the verdict and in the report. skip names checks to leave out.
func (s Stages) Verify(ctx context.Context, skip []string) (Verdict, error) {
	stage := s.Report.Stage("verify")
	v := verifier{Stages: s, stage: stage, skip: set(skip), tests: make([]testOutcome, len(s.Project.Modules)), vulns: &vulnCollector{}}
	group, ctx := errgroup.WithContext(ctx)
	for i, m := range s.Project.Modules {
		if v.isNarrowed(m) {
			group.Go(func() (err error) {
				v.tests[i], err = v.narrowed(ctx, m)
				return err
			})
			continue
		}
		group.Go(func() (err error) {
			v.tests[i], err = v.testPackages(ctx, m, all)
			return err
		})
		for _, c := range checks(m) {
			group.Go(func() error { return v.check(ctx, m, c) })
		}
		group.Go(func() error { return v.vulnerabilities(ctx, m) })
	}
	err := group.Wait()
	verdict := v.verdict()
	if tested, ok := verdict.tested(); ok {
		s.Report.Tested(tested)
	}
	verdict.Failed = stage.Done(verdict.summary()) == report.Failed
	return verdict, err
}

// tested is the verdict on the tests as the report has it; false when there was none to run.
func (v Verdict) tested() (report.Tested, bool) {
	t := report.Tested{Passed: v.Tests.Passed, Failed: v.Tests.Failed, Skipped: v.Tests.Skipped}
	if v.Coverage >= 0 {
		t.Coverage = &v.Coverage
	}
	return t, len(v.Tests.Suites) > 0
}

func (v Verdict) summary() string {
	if len(v.Tests.Suites) == 0 {
		return ""
	}
	summary := v.Tests.Summary()
	if v.Coverage >= 0 {
		summary += fmt.Sprintf(", %.1f %% covered", v.Coverage)
	}
	return summary
}

// verifier is one run of verify.
type verifier struct {
	Stages
	stage *report.StageRecorder
	skip  map[string]bool
	tests []testOutcome
	vulns *vulnCollector
}

// testOutcome is what the tests of one module came to.
type testOutcome struct {
	tests   report.Tests
	profile string
}

// step opens a step; in a project of several modules its name says which.
func (v verifier) step(name string, m project.Module) *report.StepRecorder {
	if len(v.Project.Modules) > 1 {
		return v.stage.AppStep(moduleLabel(v.Project, m), name)
	}
	return v.stage.Step(name)
}

// skipped ends a step that the user left out.
func (v verifier) skipped(name string, m project.Module) bool {
	if !v.skip[name] {
		return false
	}
	v.step(name, m).Done(report.Result{Status: report.Skipped, Summary: "left out by --skip"})
	return true
}

// in is a container in a module's directory.
func (v verifier) in(c *dagger.Container, m project.Module, source *dagger.Directory) *dagger.Container {
	if !m.Workspace {
		c = c.WithEnvVariable("GOWORK", "off")
	}
	return c.WithMountedDirectory(sourceDir, source, dagger.ContainerWithMountedDirectoryOpts{Owner: owner}).
		WithWorkdir(path.Join(sourceDir, m.Dir))
}

func (v verifier) check(ctx context.Context, m project.Module, c check) error {
	if v.skipped(c.name, m) {
		return nil
	}
	step := v.step(c.name, m)
	step.Command(c.argv...)
	o, err := v.run(ctx, v.checkContainer(m, c), command{step: step, argv: c.argv})
	var broken *CommandError
	if c.tool != nil && errors.As(err, &broken) {
		v.unbuilt(step, c, broken)
		return nil
	}
	if err != nil {
		return v.engineFailure(step, c.name, err)
	}
	v.show(ctx, step, o)
	if o.ok() && !c.failsOnFindings {
		step.Done(o.result(""))
		return nil
	}
	output, err := o.output(ctx)
	if err != nil {
		return v.engineFailure(step, c.name, err)
	}
	return v.judge(ctx, step, m, c, o, output)
}

// unbuilt ends the step of a check whose tool cannot be built, as it happens without a network. Nothing was looked at, which
// only a strict project takes for a failure.
func (v verifier) unbuilt(step *report.StepRecorder, c check, broken *CommandError) {
	if !v.Project.Verify.Strict {
		step.Done(report.Result{Status: report.NotChecked, Summary: lastOf(report.Tail(broken.Output))})
		return
	}
	step.Fail(report.Failure{
		Title: c.name + " cannot be built", Command: broken.Command, ExitCode: broken.ExitCode, Tail: report.Tail(broken.Output),
		Next: "see that the module proxy can be reached, or leave it out with --skip " + c.name,
	})
}

// moduleLabel names a module in a step.
func moduleLabel(p project.Project, m project.Module) string {
	if m.Dir == "." {
		return p.Name
	}
	return m.Dir
}

// checkContainer is where a check runs: with a C compiler when there is one, since packages may need cgo.
func (v verifier) checkContainer(m project.Module, c check) *dagger.Container {
	source := v.made.source()
	if c.light {
		source = v.part([]string{"**/go.mod", "**/go.sum", "go.work", "go.work.sum"})
	}
	container := v.in(v.made.tests(), m, source)
	if c.tool != nil {
		container = container.WithMountedFile("/usr/local/bin/"+c.tool.name, v.built(*c.tool))
	}
	return container
}

// judge decides what the findings of a check mean for the run.
func (v verifier) judge(ctx context.Context, step *report.StepRecorder, m project.Module, c check, o outcome, output string) error {
	var found []report.Finding
	if c.read != nil {
		found = v.own(c.read(output, m), m)
	}
	if c.failsOnFindings && o.ok() && len(found) == 0 {
		step.Done(o.result(""))
		return nil
	}
	if c.style && !v.Project.Verify.Strict {
		step.Done(styleResult(c, o, found, output))
		return nil
	}
	failure := o.failure(ctx, c.title)
	failure.Findings, failure.Next = found, c.next
	failure.Command = c.argv
	failure.Reproduce = reproduce(m, c.argv)
	if len(found) == 0 { // it did not get as far as looking
		failure.Title, failure.Next = c.name+" could not run", "see the lines above"
	}
	step.Fail(failure)
	return nil
}

// styleResult is how a check of style ends that found something, or that could not look: go mod tidy needs modules that a
// workspace has and no proxy.
func styleResult(c check, o outcome, found []report.Finding, output string) report.Result {
	if len(found) == 0 {
		return report.Result{Status: report.NotChecked, Summary: "it could not run: " + lastOf(report.Tail(output))}
	}
	result := o.result(fmt.Sprintf("%s: %d", c.title, len(found)))
	result.Status, result.Findings = report.Warned, found
	return result
}

// own leaves out what lies in a nested module, whether verify covers that one or not.
func (v verifier) own(found []report.Finding, m project.Module) []report.Finding {
	var kept []report.Finding
	for _, f := range inOtherModule(found, m, v.Project.Modules) {
		if !nested(v.Project.Root, f.File, m.Dir) {
			kept = append(kept, f)
		}
	}
	return kept
}

// nested tells whether there is a go.mod between a file and its module's directory.
func nested(root, file, module string) bool {
	for dir := path.Dir(file); dir != module && dir != "." && dir != "/"; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir), "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// engineFailure ends a step that the engine let down. Where the time is over, nothing was found out, and that is all.
func (s Stages) engineFailure(step *report.StepRecorder, what string, err error) error {
	if s.Over != nil {
		if why := s.Over(); why != "" {
			step.Done(report.Result{Status: report.NotChecked, Summary: why})
			return nil
		}
	}
	step.Cancel()
	return fmt.Errorf("%s: %w", what, err)
}

func reproduce(m project.Module, argv []string) string {
	line := report.Shell(argv...)
	if m.Dir != "." {
		return report.Shell("cd", m.Dir) + " && " + line
	}
	return line
}

// vulnerabilities says whether reachable vulnerabilities are known.
func (v verifier) vulnerabilities(ctx context.Context, m project.Module) error {
	const name = vulnerabilitiesCheck
	if v.skipped(name, m) {
		v.vulns.missed("left out by --skip")
		return nil
	}
	step := v.step(name, m)
	db := v.VulnDB()
	if db.Modified == "" {
		v.vulnerabilitiesUnknown(step, db.Why)
		return nil
	}
	argv := []string{"govulncheck", "-json", "-db", db.inside(), "./..."}
	step.Command(argv...)
	o, err := v.run(ctx, v.vulnRoot(m, db), command{step: step, argv: argv})
	if err != nil {
		return v.engineFailure(step, name, err)
	}
	return v.judgeVulnerabilities(ctx, step, m, o)
}

func (v verifier) judgeVulnerabilities(ctx context.Context, step *report.StepRecorder, m project.Module, o outcome) error {
	if !o.ok() {
		failure := o.failure(ctx, "")
		v.vulnerabilitiesUnknown(step, "govulncheck could not run: "+lastOf(failure.Tail))
		return nil
	}
	output, err := o.stdout(ctx)
	if err != nil {
		return v.engineFailure(step, vulnerabilitiesCheck, err)
	}
	found, err := reachable(output, m.Dir, v.Project.Verify.Vuln.Ignore, v.Started)
	if err != nil {
		return v.engineFailure(step, vulnerabilitiesCheck, err)
	}
	v.vulns.add(found)
	result := o.result("")
	if len(found) == 0 {
		step.Done(result)
		return nil
	}
	title := plural(len(found), "reachable vulnerability", "reachable vulnerabilities")
	if !v.Project.Verify.Strict && !v.Publishing {
		result.Status, result.Summary, result.Findings = report.Warned, title, found
		step.Done(result)
		return nil
	}
	step.Fail(report.Failure{Title: title, Findings: found, Command: o.Command, Next: "raise the modules above, or list an id under verify.vuln.ignore with a reason and an end", Reproduce: reproduce(m, []string{"govulncheck", "./..."})})
	return nil
}

// vulnerabilitiesUnknown ends a step that could not look. Only a strict project that is about to be published insists on it.
func (v verifier) vulnerabilitiesUnknown(step *report.StepRecorder, why string) {
	v.vulns.missed(why)
	if !v.Publishing || !v.Project.Verify.Strict {
		step.Done(report.Result{Status: report.NotChecked, Summary: why})
		return
	}
	step.Fail(report.Failure{
		Title: "nobody knows whether there are reachable vulnerabilities", Cause: why,
		Next: "make the database reachable (GOVULNDB names another one), or publish without verify.strict",
	})
}

// testPackages runs the tests of packages of a module.
func (v verifier) testPackages(ctx context.Context, m project.Module, what tested) (testOutcome, error) {
	name := what.name
	if v.skipped(name, m) {
		return testOutcome{}, nil
	}
	race := v.Project.Verify.Race && v.HasTestRoot()
	argv := testArgs(v.Project.Verify, what, race, v.NoCache)
	step := v.step(name, m)
	step.Command(argv...)
	container := v.in(v.made.tests(), m, v.made.source())
	o, tests, err := v.goTest(ctx, step, m, container, argv)
	if err == nil {
		tests, err = v.again(ctx, step, m, container, tests, race)
	}
	if err != nil {
		return testOutcome{}, v.engineFailure(step, name, err)
	}
	got := testOutcome{tests: tests}
	if !tests.OK() || !o.ok() && len(tests.Flaky()) == 0 {
		step.Fail(v.testFailure(ctx, m, o, tests))
		return got, nil
	}
	return v.passed(ctx, step, o, got, race, what.covered)
}

// goTest runs go test and reads what it said.
func (v verifier) goTest(ctx context.Context, step *report.StepRecorder, m project.Module, c *dagger.Container, argv []string) (outcome, report.Tests, error) {
	o, err := v.run(ctx, c, command{step: step, argv: argv, limit: testLimit})
	if err != nil {
		return o, report.Tests{}, err
	}
	v.show(ctx, step, o)
	output, err := o.output(ctx)
	if err != nil {
		return o, report.Tests{}, err
	}
	tests, err := report.ParseGoTest(strings.NewReader(output), report.Dirs{m.Path: m.Dir})
	if err != nil && !o.ok() {
		return o, report.Tests{}, nil // go test did not get as far as a test: its card shows what it said
	}
	return o, tests, err
}

// again runs tests that failed once more, as often as the project asks for: those that pass then are flaky. It never takes the
// answer of an earlier run.
func (v verifier) again(ctx context.Context, step *report.StepRecorder, m project.Module, c *dagger.Container, tests report.Tests, race bool) (report.Tests, error) {
	for n := 1; n <= v.Project.Verify.Retry && !tests.OK(); n++ {
		failed, ok := tests.Retryable()
		if !ok {
			return tests, nil
		}
		step.Progress(fmt.Sprintf("%s; once more, %d of %d", tests.Title(), n, v.Project.Verify.Retry))
		attempt := c.WithEnvVariable(attemptVariable, fmt.Sprintf("%s, %d", v.RunID, n))
		_, second, err := v.goTest(ctx, step, m, attempt, retryArgs(v.Project.Verify, failed, race))
		if err != nil {
			return tests, err
		}
		tests = tests.Retried(second, n)
	}
	return tests, nil
}

func (v verifier) testFailure(ctx context.Context, m project.Module, o outcome, tests report.Tests) report.Failure {
	failure := o.failure(ctx, tests.Title())
	failure.Findings = tests.Findings()
	if tail := tests.Tail(); len(tail) > 0 {
		failure.Tail = tail
	}
	if failure.Title == "" {
		failure.Title = "go test could not run"
	}
	failure.Next = "mend what failed; dist/reports/junit.xml has every test"
	if v.Only != nil { // its reports are not where the user looks
		failure.Next = "mend what failed"
	}
	failure.Reproduce = reproduce(m, plainTest(o.Command))
	return failure
}

// plainTest is the test command as a person types it.
func plainTest(argv []string) []string {
	var plain []string
	for _, arg := range argv {
		if arg != "-json" && arg != raceTimeout && !strings.HasPrefix(arg, "-cover") {
			plain = append(plain, arg)
		}
	}
	return plain
}

// passed ends a test step that went well: it reads the coverage and says what was not looked at.
func (v verifier) passed(ctx context.Context, step *report.StepRecorder, o outcome, got testOutcome, race, covered bool) (testOutcome, error) {
	result := o.result(got.tests.Summary())
	if got.tests.Cached() && result.Status == report.OK {
		result.Status = report.Cached // go test answered from its own cache
	}
	if len(got.tests.Flaky()) > 0 {
		result.Status, result.Findings = report.Warned, got.tests.Findings()
	}
	if !race && v.Project.Verify.Race {
		result.Summary += ", race: not checked (" + v.NoTestRoot + ")"
	}
	if got.tests.Passed+got.tests.Skipped == 0 {
		result.Status, result.Summary = report.Warned, "no tests"
		step.Done(result)
		return got, nil
	}
	if !covered {
		step.Done(result)
		return got, nil
	}
	profile, err := o.After.File(resultDir + "/coverage.out").Contents(ctx)
	if err != nil {
		return got, v.engineFailure(step, "read the coverage", explain(err))
	}
	got.profile = profile
	step.Done(result)
	return got, nil
}

// verdict joins what the modules' tests came to, and holds the coverage against the minimum.
func (v verifier) verdict() Verdict {
	var all Verdict
	var runs []report.Tests
	var profiles []string
	for _, t := range v.tests {
		runs = append(runs, t.tests)
		if t.profile != "" {
			profiles = append(profiles, t.profile)
		}
	}
	all.Tests = report.JoinTests(runs...)
	all.Profile = joinProfiles(profiles)
	all.Coverage = coverage(all.Profile)
	all.Page = v.coveragePage(all.Profile)
	all.Vulns = v.vulns.value(v.VulnDB())
	if min := v.Project.Verify.Coverage.Min; min > 0 && v.Only == nil && all.Coverage >= 0 && all.Coverage < min {
		v.stage.Fail(report.Failure{Title: fmt.Sprintf("coverage is %.1f %%, the project asks for %.1f %%", all.Coverage, min), Next: "add tests, or lower verify.coverage.min"})
	}
	return all
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}
