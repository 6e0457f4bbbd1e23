package report_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

// clock moves a second each time it is read.
func clock() func() time.Time {
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		defer func() { at = at.Add(time.Second) }()
		return at
	}
}

type log struct{ events []report.Event }

func (l *log) Observe(e report.Event) { l.events = append(l.events, e) }

func (l *log) kinds() []string {
	var out []string
	for _, e := range l.events {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%T", e), "report."))
	}
	return out
}

func TestRecorderTellsEventsInOrder(t *testing.T) {
	var l log
	rec := report.NewRecorder(report.Run{Project: "greeter", Verb: "ship"}, &l, clock())
	verify := rec.Stage("verify")
	vet := verify.Step("vet")
	vet.Command("go", "vet", "./...")
	vet.Progress("loading\npackages")
	vet.Output("# greeter\n")
	vet.Done(report.Result{Saved: 2 * time.Second, Status: report.Cached})
	assert.Equal(t, report.Cached, verify.Done("clean"))
	run := rec.Finish(0)

	assert.Equal(t, []string{
		"RunStarted", "StageStarted", "StepStarted", "CommandStarted", "Progress", "Output",
		"StepFinished", "StageFinished", "RunFinished",
	}, l.kinds())
	assert.Equal(t, report.Progress{ID: 1, Stage: "verify", Step: "vet", Text: "packages"}, l.events[4])
	require.Len(t, run.Stages, 1)
	assert.Equal(t, "clean", run.Stages[0].Summary)
	assert.Equal(t, report.Duration(2*time.Second), run.Stages[0].Steps[0].Saved)
	assert.Equal(t, report.Duration(time.Second), run.Stages[0].Steps[0].Duration)
	assert.Equal(t, report.Schema, run.Schema)
}

func TestFailTakesCommandAndTailFromTheStep(t *testing.T) {
	rec := report.NewRecorder(report.Run{}, nil, clock())
	build := rec.Stage("build")
	step := build.AppStep("greeter", "linux/arm64")
	step.Command("go", "build", ".")
	step.Output("one\n")
	step.Output("\x1b[31mtwo\x1b[0m\n")
	step.Fail(report.Failure{Title: "does not compile", ExitCode: 1})
	step.Done(report.Result{})
	assert.Equal(t, report.Failed, build.Done(""))

	run := rec.Finish(1)
	require.Len(t, run.Failures, 1)
	assert.Equal(t, report.Failure{
		Stage: "build", Step: "greeter linux/arm64", Title: "does not compile",
		Command: []string{"go", "build", "."}, Findings: []report.Finding{}, Tail: []string{"one", "two"}, ExitCode: 1,
	}, run.Failures[0])
	assert.Equal(t, report.Failed, run.Stages[0].Steps[0].Status, "the first end of a step counts")
	assert.Equal(t, "does not compile", run.Stages[0].Steps[0].Summary)
}

func TestStatusOfStage(t *testing.T) {
	tests := []struct {
		steps []report.Status
		want  report.Status
	}{
		{nil, report.OK},
		{[]report.Status{report.OK, report.Cached}, report.OK},
		{[]report.Status{report.Cached, report.Skipped}, report.Cached},
		{[]report.Status{report.Cached, report.NotChecked}, report.Cached},
		{[]report.Status{report.NotChecked, report.Skipped}, report.NotChecked},
		{[]report.Status{report.Skipped}, report.Skipped},
		{[]report.Status{report.OK, report.Warned}, report.Warned},
		{[]report.Status{report.Warned, report.Canceled}, report.Canceled},
		{[]report.Status{report.Canceled, report.Failed}, report.Failed},
	}
	for _, tt := range tests {
		rec := report.NewRecorder(report.Run{}, nil, clock())
		stage := rec.Stage("s")
		for _, status := range tt.steps {
			stage.Step("x").Done(report.Result{Status: status})
		}
		assert.Equal(t, tt.want, stage.Done(""), "%v", tt.steps)
	}
}

func TestFinishClosesWhatIsOpen(t *testing.T) {
	var l log
	rec := report.NewRecorder(report.Run{}, &l, clock())
	verify := rec.Stage("verify")
	open := verify.Step("test")
	assert.Equal(t, report.Running, rec.Snapshot().Stages[0].Steps[0].Status)

	run := rec.Finish(130)
	assert.Equal(t, report.Canceled, run.Stages[0].Status)
	assert.Equal(t, report.Canceled, run.Stages[0].Steps[0].Status)

	before := len(l.events)
	open.Progress("late")
	open.Fail(report.Failure{Title: "late"})
	verify.Step("late").Done(report.Result{})
	verify.Fail(report.Failure{Title: "late"})
	rec.Stage("late").Step("late").Fail(report.Failure{Title: "late"})
	rec.Warn("late")
	rec.Note("late")
	rec.Artifact(report.Artifact{Name: "late"})
	rec.Fact(report.Fact{What: "late"})
	assert.Equal(t, run, rec.Finish(0), "what comes late changes nothing")
	assert.Len(t, l.events, before)
}

func TestStageFailsWithoutStep(t *testing.T) {
	rec := report.NewRecorder(report.Run{}, nil, clock())
	engine := rec.Stage("engine")
	engine.Fail(report.Failure{Title: "no engine"})
	assert.Equal(t, report.Failed, engine.Done(""))
	assert.Equal(t, "engine", rec.Finish(3).Failures[0].Stage)
}

func TestJSONForm(t *testing.T) {
	rec := report.NewRecorder(report.Run{Project: "greeter", Verb: "verify"}, nil, clock())
	stage := rec.Stage("verify")
	stage.Step("vet").Done(report.Result{Duration: 1500400 * time.Microsecond})
	stage.Step("test").Fail(report.Failure{Title: "1 test failed"})
	data, err := json.Marshal(rec.Finish(1))
	require.NoError(t, err)
	assert.NotContains(t, string(data), "null")
	assert.Contains(t, string(data), `"schema":1`)
	assert.Contains(t, string(data), `"duration_ms":1500`)
	assert.Contains(t, string(data), `"saved_ms":0`)

	var back report.Run
	require.NoError(t, json.Unmarshal(data, &back))
	again, err := json.Marshal(back)
	require.NoError(t, err)
	assert.JSONEq(t, string(data), string(again))

	empty, err := json.Marshal(report.Run{})
	require.NoError(t, err)
	assert.NotContains(t, string(empty), "null", "the zero run too")
}

// TestMaskSeesEveryText fills every text that can be told with a secret.
func TestMaskSeesEveryText(t *testing.T) {
	const secret = "hunter2"
	var l log
	filled := fill(reflect.TypeFor[report.Run](), secret).Interface().(report.Run)
	filled.Stages = nil // stages are told, never given
	rec := report.NewRecorder(filled, &l, clock())
	rec.Mask = func(s string) string { return strings.ReplaceAll(s, secret, "***") }

	failure := fill(reflect.TypeFor[report.Failure](), secret).Interface().(report.Failure)
	result := fill(reflect.TypeFor[report.Result](), secret).Interface().(report.Result)
	result.Status = report.OK
	rec.Note(secret)
	rec.Warn(secret)
	rec.Fact(fill(reflect.TypeFor[report.Fact](), secret).Interface().(report.Fact))
	rec.Engine(fill(reflect.TypeFor[report.Engine](), secret).Interface().(report.Engine))
	rec.Parallel(fill(reflect.TypeFor[report.Parallel](), secret).Interface().(report.Parallel))
	rec.Artifact(fill(reflect.TypeFor[report.Artifact](), secret).Interface().(report.Artifact))
	stage := rec.Stage(secret)
	step := stage.AppStep(secret, secret)
	step.Progress("hun\x1b[1mter2")
	step.Command(secret, "--password="+secret)
	step.Output("hunter2\n")
	step.Done(result)
	stage.Step(secret).Fail(failure)
	quiet := stage.Step("tail from output")
	quiet.Output("hunt")
	quiet.Output("er2\n")
	quiet.Fail(report.Failure{})
	stage.Fail(failure)
	stage.Done(secret)
	data, err := json.Marshal(rec.Finish(1))
	require.NoError(t, err)

	assert.NotContains(t, string(data), secret)
	assert.Contains(t, string(data), "***")
	for _, e := range l.events {
		assert.NotContains(t, fmt.Sprintf("%+v", e), secret, "%T", e)
	}
}

// fill makes a value in which every string is text.
func fill(typ reflect.Type, text string) reflect.Value {
	v := reflect.New(typ).Elem()
	switch {
	case typ == reflect.TypeFor[time.Time]():
	case typ.Kind() == reflect.String:
		v.SetString(text)
	case typ.Kind() == reflect.Slice:
		v = reflect.Append(v, fill(typ.Elem(), text))
	case typ.Kind() == reflect.Struct:
		for i := range typ.NumField() {
			v.Field(i).Set(fill(typ.Field(i).Type, text))
		}
	}
	return v
}

func TestMaskSeesSecretsOfSeveralLines(t *testing.T) {
	const key = "BEGIN\nabc\nEND"
	rec := report.NewRecorder(report.Run{}, nil, clock())
	rec.Mask = func(s string) string { return strings.ReplaceAll(s, key, "***") }
	rec.Stage("s").Step("x").Fail(report.Failure{Tail: []string{"key:", "BEGIN", "abc", "END", "done"}})
	assert.Equal(t, []string{"key:", "***", "done"}, rec.Finish(1).Failures[0].Tail)
}

func TestLongOutputKeepsWholeLinesForTheMask(t *testing.T) {
	rec := report.NewRecorder(report.Run{}, nil, clock())
	rec.Mask = func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }
	step := rec.Stage("s").Step("x")
	step.Output(strings.Repeat("hunter2", 20000) + "\n")
	step.Output("the end\n")
	step.Fail(report.Failure{})
	assert.Equal(t, []string{"the end"}, rec.Finish(1).Failures[0].Tail)
}

func TestRecorderIsSafeForManyGoroutines(t *testing.T) {
	var l log
	rec := report.NewRecorder(report.Run{}, &l, time.Now)
	stage := rec.Stage("build")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				step := stage.Step(fmt.Sprint(i))
				step.Progress("working")
				step.Output("line\n")
				step.Done(report.Result{})
				rec.Note("note")
				rec.Snapshot()
			}
		})
	}
	wg.Wait()
	stage.Done("")
	assert.Len(t, rec.Finish(0).Stages[0].Steps, 400)
	assert.IsType(t, report.RunStarted{}, l.events[0])
	assert.IsType(t, report.RunFinished{}, l.events[len(l.events)-1])
}

// A run that begins again shows its first attempt as canceled, and the report keeps nothing of it but what was inferred.
func TestRecorderRestarts(t *testing.T) {
	var l log
	rec := report.NewRecorder(report.Run{}, &l, clock())
	rec.Fact(report.Fact{What: "image"})
	first := rec.Stage("build")
	left := first.Step("linux/amd64")
	first.Step("darwin/arm64").Fail(report.Failure{Title: "half of it"})
	rec.Artifact(report.Artifact{Name: "half"})
	rec.Restart()
	left.Fail(report.Failure{Title: "late"})
	rec.Fact(report.Fact{What: "image"})
	second := rec.Stage("build")
	second.Step("linux/amd64").Done(report.Result{})
	second.Done("")
	run := rec.Finish(0)

	assert.Empty(t, run.Failures)
	assert.Empty(t, run.Artifacts)
	assert.Len(t, run.Inferred, 1)
	require.Len(t, run.Stages, 1)
	assert.Equal(t, report.OK, run.Stages[0].Status)
	assert.Equal(t, []string{
		"RunStarted", "FactFound", "StageStarted", "StepStarted", "StepStarted", "StepFinished", "StepFinished", "StageFinished",
		"StageStarted", "StepStarted", "StepFinished", "StageFinished", "RunFinished",
	}, l.kinds())
}
