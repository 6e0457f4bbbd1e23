package render_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "run with -update to make it")
	assert.Equal(t, string(want), got)
}

func TestPlainGolden(t *testing.T) {
	tests := map[string]struct {
		script script
		opts   render.Options
	}{
		"ok":         {},
		"cached":     {script: script{cached: true}},
		"fail":       {script: script{fail: true}},
		"ascii":      {script: script{fail: true}, opts: render.Options{ASCII: true}},
		"color":      {script: script{fail: true}, opts: render.Options{Color: true}},
		"verbose":    {opts: render.Options{Verbose: true}},
		"quiet":      {opts: render.Options{Quiet: true}},
		"quiet-fail": {script: script{fail: true}, opts: render.Options{Quiet: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				tt.script.play(render.NewPlain(&out, tt.opts))
				golden(t, "plain-"+name, out.String())
				if tt.opts.ASCII {
					assert.NotRegexp(t, `[^\x00-\x7f]`, out.String())
				}
				if !tt.opts.Color {
					assert.NotContains(t, out.String(), "\x1b")
				}
			})
		})
	}
}

// fold marks where a log would be folded.
type fold struct{ out *bytes.Buffer }

func (f fold) Open(title string) { fmt.Fprintf(f.out, ">>> %s\n", title) }
func (f fold) Close()            { fmt.Fprintln(f.out, "<<<") }

func TestPlainFolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		script{fail: true}.play(render.NewPlain(&out, render.Options{Fold: fold{&out}}))
		golden(t, "plain-fold", out.String())
	})
}

func TestLiveGolden(t *testing.T) {
	for name, sc := range map[string]script{"ok": {}, "fail": {fail: true}, "cached": {cached: true}} {
		for _, size := range [][2]int{{80, 24}, {40, 15}} {
			t.Run(fmt.Sprintf("%s-%d", name, size[0]), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					term := newVT(size[0], size[1])
					var screens strings.Builder
					sc.look = func(moment string) { fmt.Fprintf(&screens, "=== %s\n%s", moment, term.screen()) }
					sc.play(render.NewLive(term, term.size, render.Options{Color: true}))
					fmt.Fprintf(&screens, "=== all, at the end\n%s", term.all())
					golden(t, fmt.Sprintf("live-%s-%d", name, size[0]), screens.String())
					assertTidy(t, term)
				})
			})
		}
	}
}

// assertTidy checks that a view left the terminal as it was.
func assertTidy(t *testing.T, term *vt) {
	t.Helper()
	assert.True(t, term.visible, "the cursor is shown")
	assert.True(t, term.wrap, "lines are wrapped")
	assert.Zero(t, term.x, "the prompt begins at the left")
	assert.Empty(t, term.unknown)
	for _, mark := range []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"} {
		assert.NotContains(t, term.all(), mark, "no spinner stays")
	}
}

func TestLiveDrawsAtMostTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := newVT(80, 24)
		view := render.NewLive(term, term.size, render.Options{})
		rec := report.NewRecorder(report.Run{}, view, time.Now)
		step := rec.Stage("build").Step("x")
		for i := range 1000 {
			step.Progress(fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		assert.LessOrEqual(t, term.writes, 10)
		assert.GreaterOrEqual(t, term.writes, 9)
		view.Stop()
		assertTidy(t, term)
	})
}

func TestLiveIsQuietWhenNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := newVT(80, 24)
		view := render.NewLive(term, term.size, render.Options{})
		time.Sleep(time.Minute)
		view.Stop()
		assert.Zero(t, term.writes)
	})
}

func TestLiveSurvivesResizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := newVT(100, 24)
		sizes := [][2]int{{30, 24}, {120, 10}, {20, 12}, {80, 24}}
		sc := script{look: func(string) {
			for _, size := range sizes {
				term.resize(size[0], size[1])
				time.Sleep(300 * time.Millisecond)
			}
		}}
		sc.play(render.NewLive(term, term.size, render.Options{}))
		assertTidy(t, term)
		all := term.all()
		assert.Equal(t, 1, strings.Count(all, "✓ engine"), "each stage once")
		assert.Equal(t, 1, strings.Count(all, "! verify    "), "each stage once")
		assert.NotContains(t, all, "unpacking", "no progress stays")
		assert.NotContains(t, all, "compiling", "no progress stays")
		assert.Contains(t, all, "Note: the module cache is new.\n", "notes stay above the block")
	})
}

func TestLiveBlockFitsTheScreen(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 8}, {20, 4}, {12, 2}, {1, 1}} {
		synctest.Test(t, func(t *testing.T) {
			term := newVT(size[0], size[1])
			view := render.NewLive(term, term.size, render.Options{Color: true})
			rec := report.NewRecorder(report.Run{}, view, time.Now)
			for i := range 3 {
				stage := rec.Stage(fmt.Sprintf("stage%d 世界", i))
				for j := range 12 {
					stage.Step(strings.Repeat("世", j)).Progress(strings.Repeat("界", 100))
				}
			}
			for range 20 {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				assert.LessOrEqual(t, strings.Count(term.all(), "\n"), max(size[1], 8), "nothing scrolled away")
				for row := range strings.SplitSeq(term.screen(), "\n") {
					assert.LessOrEqual(t, runewidth.StringWidth(row), size[0])
				}
			}
			view.Stop()
			assert.Equal(t, "slipway", strings.ReplaceAll(term.all(), "\n", ""), "the title, and no trace")
			assertTidy(t, term)
		})
	}
}

func TestLiveStopsTwiceAndOnPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := newVT(80, 24)
		assert.Panics(t, func() {
			view := render.NewLive(term, term.size, render.Options{})
			defer view.Stop()
			rec := report.NewRecorder(report.Run{Verb: "ship"}, view, time.Now)
			rec.Stage("build").Step("linux/amd64").Progress("compiling")
			time.Sleep(time.Second)
			view.Stop()
			view.Observe(report.Note{Text: "late"})
			panic("oh")
		})
		assert.Equal(t, "slipway ship\nlate\n", term.all(), "what comes late is told")
		assertTidy(t, term)
	})
}

// TestEachFrameLeavesTheTerminalTidy is why a kill -9 leaves no hidden cursor.
func TestEachFrameLeavesTheTerminalTidy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := newVT(80, 24)
		check := writerFunc(func(p []byte) (int, error) {
			n, err := term.Write(p)
			assert.True(t, term.visible)
			assert.True(t, term.wrap)
			assert.Zero(t, term.x)
			return n, err
		})
		script{}.play(render.NewLive(check, term.size, render.Options{}))
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestViewsStopWritingAtTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		broken := writerFunc(func([]byte) (int, error) { calls++; return 0, errors.New("gone") })
		script{}.play(render.NewLive(broken, func() (int, int) { return 0, 0 }, render.Options{}))
		assert.Equal(t, 1, calls)
		script{}.play(render.NewPlain(broken, render.Options{}))
		assert.Equal(t, 2, calls)
	})
}

func TestViewsAreSafeForManyGoroutines(t *testing.T) {
	term := newVT(80, 24)
	var log bytes.Buffer
	live := render.NewLive(term, term.size, render.Options{Verbose: true})
	rec := report.NewRecorder(report.Run{}, report.Observers{live, render.NewPlain(&log, render.Options{})}, time.Now)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			stage := rec.Stage(fmt.Sprint(i))
			for j := range 20 {
				step := stage.Step(fmt.Sprint(j))
				step.Progress("working")
				step.Output("line\n")
				step.Done(report.Result{})
			}
			stage.Done("")
		})
	}
	wg.Wait()
	rec.Finish(0)
	live.Stop()
	assertTidy(t, term)
	assert.Contains(t, log.String(), "slipway: ok in")
}

func TestModes(t *testing.T) {
	tests := []struct {
		tty   bool
		env   map[string]string
		mode  render.Mode
		color bool
	}{
		{true, map[string]string{"TERM": "xterm"}, render.Live, true},
		{false, map[string]string{"TERM": "xterm"}, render.Plain, false},
		{true, map[string]string{"TERM": "dumb"}, render.Plain, false},
		{true, map[string]string{"TERM": "xterm", "CI": "true"}, render.Plain, false},
		{true, map[string]string{"TERM": "xterm", "CI": "false"}, render.Live, true},
		{true, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, render.Live, false},
	}
	for _, tt := range tests {
		getenv := func(name string) string { return tt.env[name] }
		assert.Equal(t, tt.mode, render.ModeOf(tt.tty, getenv), "%v", tt)
		assert.Equal(t, tt.color, render.ColorOf(tt.tty, getenv), "%v", tt)
	}
	assert.IsType(t, &render.PlainView{}, render.New(&bytes.Buffer{}, render.Live, nil, render.Options{Quiet: true}))
}

func TestUTF8(t *testing.T) {
	for _, tt := range []struct {
		all, ctype, lang string
		want             bool
	}{
		{"", "", "C.UTF-8", true}, {"", "", "en_US.utf8", true}, {"", "", "C", false}, {"", "", "", false},
		{"C", "", "en_US.UTF-8", false}, {"de_DE.UTF-8", "", "C", true}, {"", "en_US.UTF-8", "C", true},
	} {
		env := map[string]string{"LC_ALL": tt.all, "LC_CTYPE": tt.ctype, "LANG": tt.lang}
		assert.Equal(t, tt.want, render.UTF8(func(name string) string { return env[name] }), "%v", tt)
	}
}

func TestLastLine(t *testing.T) {
	failed := report.Failure{Stage: "verify", Title: "2 tests failed"}
	tests := []struct {
		run  report.Run
		want string
	}{
		{report.Run{Duration: report.Duration(2100 * time.Millisecond), Dist: "dist", Artifacts: []report.Artifact{
			{Kind: "binary"}, {Kind: "binary"}, {Kind: "image"},
		}}, "slipway: ok in 2.1s · 2 binaries, 1 image · dist/ (exit 0)"},
		{report.Run{Duration: report.Duration(59999 * time.Millisecond)}, "slipway: ok in 1m00s (exit 0)"},
		{report.Run{Warnings: []string{"x"}}, "slipway: ok in 0ms · 1 warning (exit 0)"},
		{report.Run{ExitCode: 1, Failures: []report.Failure{failed}}, "slipway: failed: verify: 2 tests failed (exit 1)"},
		{report.Run{ExitCode: 1, Failures: []report.Failure{failed, failed, failed}}, "slipway: failed: verify: 2 tests failed, and 2 more (exit 1)"},
		{report.Run{ExitCode: 2, Failures: []report.Failure{{Title: "slipway.yaml has 3 problems"}}}, "slipway: usage or configuration: slipway.yaml has 3 problems (exit 2)"},
		{report.Run{ExitCode: 3}, "slipway: no engine, or this machine lacks something (exit 3)"},
		{report.Run{ExitCode: 4}, "slipway: rollout failed, everything is back as it was (exit 4)"},
		{report.Run{ExitCode: 5}, "slipway: a person is needed (exit 5)"},
		{report.Run{ExitCode: 130}, "slipway: interrupted, left safe (exit 130)"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, render.LastLine(tt.run))
	}
}

func TestCard(t *testing.T) {
	compile := report.Failure{
		Stage: "build", Step: "greeter linux/arm64", Title: "does not compile", Command: []string{"go", "build", "."}, ExitCode: 1,
		Findings:  report.ParseCompile("# greeter\nmain.go:12:3: undefined: x\nmain.go:14:3: undefined: y\n", "examples/greeter"),
		Tail:      []string{"# greeter", "./main.go:12:3: undefined: x", "./main.go:14:3: undefined: y"},
		Reproduce: "slipway build --target linux/arm64",
	}
	many := report.Failure{Stage: "verify", Title: "many"}
	for i := range 14 {
		many.Findings = append(many.Findings, report.Finding{File: "a.go", Line: i + 1, Message: "bad"})
	}
	cards := map[string]report.Failure{
		"tests": failure(), "compile": compile, "many": many, "bare": {Title: "no engine", Tail: []string{"only this"}}, "empty": {},
	}
	for name, f := range cards {
		for _, width := range []int{0, 40} {
			var out bytes.Buffer
			require.NoError(t, render.Card(&out, f, render.Options{Width: width}))
			golden(t, fmt.Sprintf("card-%s-%d", name, width), out.String())
		}
	}
}

func TestSummaryOfSeveralApps(t *testing.T) {
	var artifacts []report.Artifact
	for _, app := range []string{"one", "two"} {
		artifacts = append(artifacts,
			report.Artifact{Name: app, Kind: report.KindBinary, Target: "linux/amd64", Size: 999, Digest: "sha256:11"},
			report.Artifact{Name: app, Kind: report.KindBinary, Target: "windows/amd64", Size: 1_500_000_000, Digest: "sha256:22"})
	}
	for _, app := range []string{"two", "one"} {
		artifacts = append(artifacts, report.Artifact{
			Name: app + "_1.0.0_linux_amd64.tar.gz", Kind: report.KindArchive, Target: "linux/amd64", Size: 100_000, Digest: "sha256:" + app,
		})
	}
	artifacts = append(artifacts, report.Artifact{Name: "extra.zip", Kind: report.KindArchive, Target: "plan9/386", Size: 10})
	var out bytes.Buffer
	require.NoError(t, render.Summary(&out, report.Run{Artifacts: artifacts}, render.Options{}))
	golden(t, "summary-apps", out.String())
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, render.JSON(&out, report.Run{Project: "a <b>"}))
	assert.Contains(t, out.String(), `"project": "a <b>"`)
	var back report.Run
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	assert.Equal(t, report.Schema, back.Schema)
}

// GitHub Actions takes "##[" anywhere in a line for a command.
func TestJSONHoldsNoCommandForALog(t *testing.T) {
	run := report.Run{Warnings: []string{"##[error]no", "\n::error::no", "###[group]"}}
	var out bytes.Buffer
	require.NoError(t, render.JSON(&out, run))
	assert.NotContains(t, out.String(), "##[")
	assert.NotRegexp(t, `(?m)^\s*::`, out.String())
	var back report.Run
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	assert.Equal(t, run.Warnings, back.Warnings)
}

func TestJUnit(t *testing.T) {
	data, err := os.ReadFile("../testdata/gotest/mixed.json")
	require.NoError(t, err)
	tests, err := report.ParseGoTest(bytes.NewReader(data), report.Dirs{"example.com/fix": "."})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, render.JUnit(&out, tests))
	golden(t, "junit.xml", out.String())

	var doc struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	require.NoError(t, xml.Unmarshal(out.Bytes(), &doc))
	assert.Equal(t, 1, doc.Errors, "the package that does not build")
	assert.Equal(t, tests.Skipped, doc.Skipped)
	require.NoError(t, render.JUnit(&bytes.Buffer{}, report.Tests{}))
}

func TestRemindersOfSlowStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		rec := report.NewRecorder(report.Run{Verb: "build"}, render.NewPlain(&out, render.Options{}), time.Now)
		stage := rec.Stage("build")
		for i := range 6 {
			stage.Step(fmt.Sprintf("target%d", i))
		}
		time.Sleep(150 * time.Second)
		rec.Finish(130)
		assert.Equal(t, 1, strings.Count(out.String(), "› build    running · target0, target1, target2, target3, and 2 others\n"))
		assert.Contains(t, out.String(), "› build    running for 1m03s · ")
		assert.Contains(t, out.String(), "› build    running for 2m03s · ")
	})
}
