package pipelines

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/moby/patternmatcher"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

func TestOutcome(t *testing.T) {
	ran := outcome{DurationMS: 1500}
	assert.True(t, ran.ok())
	assert.Equal(t, report.Result{Status: report.OK, Summary: "x", Duration: 1500 * time.Millisecond}, ran.result("x"))
	ran.Cached = true
	assert.Equal(t, report.Result{Status: report.Cached, Saved: 1500 * time.Millisecond}, ran.result(""))
	assert.False(t, outcome{ExitCode: 1}.ok())
	assert.False(t, outcome{TimedOut: true}.ok(), "whatever it exits with")
	for want, o := range map[string]outcome{
		"":                                     {ExitCode: 1},
		"it did not end within its time limit": {TimedOut: true, Signal: "killed"},
		"it ran out of memory and the kernel killed it":                       {OOM: true, Signal: "killed"},
		"it ran out of memory and the kernel killed it: its limit is 512 MiB": {OOM: true, ExitCode: 1, Limit: 512 << 20},
		"it was ended by the signal segmentation violation":                   {Signal: "segmentation violation"},
	} {
		assert.Equal(t, want, o.cause())
	}
}

func TestCommandArgs(t *testing.T) {
	assert.Equal(t, []string{"/slipway/inbox", "run", "-dir", "/slipway/result", "--", "go", "vet", "--x"}, command{argv: []string{"go", "vet", "--x"}}.args())
	assert.Equal(t, []string{"/slipway/inbox", "run", "-dir", "/slipway/result", "-timeout", "1h0m0s", "-sum", "/out/app", "--", "go"}, command{argv: []string{"go"}, limit: time.Hour, makes: "/out/app"}.args())
}

func TestPrinted(t *testing.T) {
	events := "{\"Action\":\"output\",\"Output\":\"=== RUN TestA\\n\"}\n{\"Action\":\"pass\"}\n# a line of the compiler\n{\"Output\":\"ok\\n\"}\n"
	assert.Equal(t, "=== RUN TestA\n# a line of the compiler\nok\n", printed(events))
	assert.Empty(t, printed(""))
}

func TestExplain(t *testing.T) {
	plain := errors.New("plain")
	assert.Equal(t, plain, explain(plain))
	require.NoError(t, explain(nil))
	exec := &dagger.ExecError{Cmd: []string{"go", "build"}, ExitCode: 3, Stderr: " said on stderr\n", Stdout: "said on stdout"}
	err := explain(exec)
	assert.EqualError(t, err, "go build: exit code 3: said on stderr")
	exec.Stderr = ""
	assert.EqualError(t, explain(exec), "go build: exit code 3: said on stdout")
	exec.Stdout = ""
	assert.EqualError(t, explain(exec), "go build: exit code 3")
	var command *CommandError
	require.ErrorAs(t, err, &command)
	assert.ErrorIs(t, err, exec)
}

func TestSlots(t *testing.T) {
	s := New(Config{})
	step := report.NewRecorder(report.Run{}, nil, time.Now).Stage("build").Step("linux/amd64")
	release, err := s.slot(t.Context(), step)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	_, err = s.slot(ctx, step)
	require.ErrorIs(t, err, stop, "there is one place, and it is taken")
	release()
	release, err = s.slot(t.Context(), step)
	require.NoError(t, err)
	release()
	assert.Equal(t, 1, cap(New(Config{}).slots), "never none")
	assert.False(t, s.HasTestRoot())
}

// The engine matches names as Docker does.
func TestLiteralMatchesOneNameOnly(t *testing.T) {
	names := []string{"a.go", "*.go", "a?c", "[ab].txt", `back\slash`, "!important", "{x}", "a b", "ümlaut.go", "**", "a^b", "#1", "x]y", "^!", "c++ [1].txt", "(a|b)!", "{1}*"}
	for _, name := range names {
		matcher, err := patternmatcher.New([]string{literal(name)})
		require.NoError(t, err, name)
		for _, other := range append(names, "b.go", "abc", "a.txt", "important", "deep/a.go") {
			matched, err := matcher.MatchesOrParentMatches(other)
			require.NoError(t, err)
			assert.Equal(t, name == other, matched, "pattern %q for %q, name %q", literal(name), name, other)
		}
	}
}

// A build sees the files that it reads and no other: each pattern takes its file, and nothing beside it.
func FuzzLiteral(f *testing.F) {
	for _, seed := range [][2]string{
		{"a.go", "b.go"}, {"*", "x"}, {"[", "["}, {"a b/c d.go", "a b/c d_go"}, {"größe/日本.go", "größe/日本.gö"}, {" x ", "x"}, {"a\u00a0", "a"},
		{"a/b", "a"}, {"a", "a/b"}, {"!x", "x"}, {"**/x", "y/x"}, {"a$", "a"}, {"^a", "a"}, {`a\b`, "ab"}, {"a{b,c}", "ab"}, {"#x", "x"}, {"a\nb", "ab"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, other string) {
		if !isFileName(name) || !isFileName(other) {
			t.Skip("no file that go list names is called that")
		}
		matcher, err := patternmatcher.New([]string{literal(name)})
		require.NoError(t, err)
		matched, err := matcher.MatchesOrParentMatches(name)
		require.NoError(t, err)
		assert.True(t, matched, "%q matches itself", name)
		matched, err = matcher.MatchesOrParentMatches(other)
		require.NoError(t, err)
		assert.Equal(t, name == other || strings.HasPrefix(other, name+"/"), matched, "%q and %q", name, other)
	})
}

// isFileName says whether a file of a tree can be called that.
func isFileName(name string) bool {
	return fs.ValidPath(name) && name != "." && !strings.Contains(name, "\x00")
}

func TestSmokeProblem(t *testing.T) {
	service := project.Service{Port: 8080, Health: "/health", Start: 30 * time.Second, Grace: 10 * time.Second}
	for want, r := range map[string]smokeResult{
		"": {Healthy: true},
		"the service ended with exit code 2 before it was healthy":         {Early: true, ExitCode: 2},
		"the service was ended by the signal killed before it was healthy": {Early: true, Signal: "killed", ExitCode: -1},
		"the service was not healthy within 30s":                           {Killed: true, ExitCode: 3},
		"the service did not end within 10s after SIGTERM":                 {Healthy: true, Killed: true, Signal: "killed", ExitCode: -1},
		"the service ended with exit code 127 before it was healthy":       {Early: true, ExitCode: 127, Log: "no such file"},
	} {
		assert.Equal(t, want, r.problem(service))
	}
	for text, r := range map[string]smokeResult{ // it ended, which is all that is asked for
		"with exit code 3":    {Healthy: true, ExitCode: 3},
		"without handling it": {Healthy: true, Signal: "terminated", ExitCode: -1},
	} {
		assert.Empty(t, r.problem(service))
		assert.Contains(t, r.summary(service), text)
	}

	sick := smokeResult{Probes: 12, LastProbe: "503 Service Unavailable no database", Log: "starting\n", Command: []string{"/app"}}
	failure := sick.failure(service, sick.problem(service))
	assert.ElementsMatch(t, []string{"starting", "GET :8080/health, asked 12 times, last answer: 503 Service Unavailable no database"}, failure.Tail)
	assert.Contains(t, failure.Next, "port 8080 of all addresses")
	assert.Equal(t, []string{"/app"}, failure.Command)
	stubborn := smokeResult{Healthy: true, Killed: true}
	assert.Contains(t, stubborn.failure(service, stubborn.problem(service)).Next, "service.grace")
	assert.Equal(t, "/health healthy after 12 ms, ended 3 ms after SIGTERM", smokeResult{ReadyMS: 12, StoppedMS: 3}.summary(service))
	assert.Equal(t, []string{"/slipway/inbox", "smoke", "-port", "8080", "-path", "/health", "-start", "30s", "-grace", "10s", "--"}, smokeArgs(service))
}

func TestStarted(t *testing.T) {
	for _, o := range []outcome{{}, {ExitCode: 1}, {ExitCode: 2}, {ExitCode: 64}, {TimedOut: true, ExitCode: 137, Signal: "killed"}} {
		assert.True(t, started(o, "usage:"), "%+v", o)
	}
	for _, o := range []outcome{{ExitCode: 126}, {ExitCode: 127}, {ExitCode: 139, Signal: "segmentation violation"}, {ExitCode: 137, Signal: "killed", OOM: true}} {
		assert.False(t, started(o, ""), "%+v", o)
	}
	assert.False(t, started(outcome{ExitCode: 2}, "panic: no\n\ngoroutine 1 [running]:\nmain.main()"))
}

func TestSorted(t *testing.T) {
	assert.Equal(t, []string{"a", "b"}, sorted(map[string]string{"b": "", "a": ""}))
	assert.True(t, isTest("a_test.go"))
	assert.False(t, isTest("a_test.go.txt"))
}
