package render_test

import (
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

// script plays a run against an observer. It sleeps, so it belongs into a bubble
// of synctest; look is called at the moments that are worth a look.
type script struct {
	fail, cached bool
	look         func(moment string)
}

func (s script) play(observer report.Observer) report.Run {
	if s.look == nil {
		s.look = func(string) {}
	}
	rec := report.NewRecorder(report.Run{
		Verb: "ship", Project: "greeter", Version: "1.2.3-4-gabc1234", VersionWhy: "4 commits after tag v1.2.3", Dist: "dist",
		Inferred: []report.Fact{
			{What: "app greeter", Value: "examples/greeter", Why: "slipway.yaml"},
			{What: "go", Value: "1.26.8", Why: "go.mod says 1.25.5, this release pins 1.26.8"},
		},
	}, observer, time.Now)
	s.engine(rec)
	if s.verify(rec) == report.Failed {
		return rec.Finish(1)
	}
	s.build(rec)
	return rec.Finish(0)
}

func (s script) engine(rec *report.Recorder) {
	stage := rec.Stage("engine")
	start := stage.Step("start")
	start.Progress("unpacking the root")
	time.Sleep(700 * time.Millisecond)
	rec.Engine(report.Engine{Kind: "embedded", Version: "v0.19.10", Reason: "no container runtime answers"})
	rec.Parallel(report.Parallel{Cores: 2, Jobs: 2, Why: "2 cores, 7.6 GiB"})
	start.Done(report.Result{})
	stage.Done("started, stops when idle")
}

func (s script) result(saved time.Duration) report.Result {
	if s.cached {
		return report.Result{Status: report.Cached, Saved: saved}
	}
	return report.Result{}
}

func (s script) verify(rec *report.Recorder) report.Status {
	stage := rec.Stage("verify")
	vet, lint := stage.Step("vet"), stage.Step("staticcheck")
	vet.Command("go", "vet", "./...")
	time.Sleep(450 * time.Millisecond)
	s.look("verify, two steps")
	vet.Output("all is well\n")
	vet.Done(s.result(12400 * time.Millisecond))
	rec.Note("Note: the module cache is new.")
	lint.Done(report.Result{Status: report.Warned, Summary: "1 finding", Findings: []report.Finding{
		{File: "examples/greeter/main.go", Line: 41, Column: 2, Message: "should use strings.Cut (S1000)"},
	}})
	stage.Step("vulnerabilities").Done(report.Result{Status: report.NotChecked, Summary: "no database can be reached"})
	test := stage.Step("test")
	test.Progress("testing a package with a long name and wide runes 世界世界世界世界世界世界世界世界世界世界世界世界世界")
	time.Sleep(4030 * time.Millisecond)
	s.look("verify, tests")
	if s.fail {
		test.Fail(failure())
		return stage.Done("2 of 214 tests failed")
	}
	test.Done(s.result(30 * time.Second))
	return stage.Done("214 tests, 83.1 % covered")
}

func failure() report.Failure {
	return report.Failure{
		Title: "2 tests failed", Command: []string{"go", "test", "-race", "-run", "Test A", "./..."}, ExitCode: 1,
		Findings: []report.Finding{
			{File: "examples/greeter/internal/health/health_test.go", Line: 42, Test: "TestHealth/degraded", Message: "Not equal:\nexpected: 503\nactual  : 200"},
			{File: "examples/greeter/main_test.go", Line: 17, Test: "TestVersion", Message: `got "1.2.3", want "1.2.3 (abc1234)"`},
		},
		Tail:      []string{`level=WARN msg="dependency does not answer" name=database`, "", "FAIL"},
		Cause:     "The database of the test is not there.",
		Next:      "Open the first place above, then run the line below: it runs these two tests only.",
		Reproduce: "slipway verify --skip gofmt,vet,staticcheck",
	}
}

func (s script) build(rec *report.Recorder) {
	stage := rec.Stage("build")
	var steps []*report.StepRecorder
	targets := []string{"linux/amd64", "linux/arm64", "darwin/arm64"}
	for _, target := range targets {
		steps = append(steps, stage.AppStep("greeter", target))
	}
	steps[0].Progress("compiling net/http")
	time.Sleep(65 * time.Second)
	s.look("build")
	for i, step := range steps {
		step.Done(s.result(8 * time.Second))
		rec.Artifact(report.Artifact{Name: "greeter", Kind: report.KindBinary, Target: targets[i], Size: 6_212_345, Digest: "sha256:0123456789abcdef"})
		rec.Artifact(report.Artifact{Name: "greeter_1.2.3.tar.gz", Kind: report.KindArchive, Target: targets[i], Size: 812_345, Digest: "sha256:fedcba9876543210"})
	}
	rec.Artifact(report.Artifact{Name: "greeter", Kind: report.KindImage, Size: 9_100_000, Digest: "sha256:8c1d00f2a9b3ffff"})
	rec.Artifact(report.Artifact{Name: "checksums.txt", Kind: report.KindChecksums, Size: 300})
	stage.Done("")
}
