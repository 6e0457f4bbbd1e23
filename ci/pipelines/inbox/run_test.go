//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The test binary is also the commands that the tests run.
func TestMain(m *testing.M) {
	switch os.Getenv("INBOX_TEST_AS") {
	case "":
		os.Exit(m.Run())
	case "inbox":
		main()
	case "streams":
		fmt.Fprintln(os.Stdout, "to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		os.Exit(3)
	case "cat":
		_, _ = new(bytes.Buffer).ReadFrom(os.Stdin)
	case "hang":
		select {}
	case "stubborn":
		signal.Ignore(syscall.SIGQUIT)
		fmt.Println("ready")
		select {}
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// inbox runs "inbox run" on this test binary in the given role.
func inbox(t *testing.T, role string, args ...string) (outcome result, dir string, printed string) {
	t.Helper()
	t.Setenv("INBOX_TEST_AS", role)
	dir = filepath.Join(t.TempDir(), "result")
	var stdout, stderr bytes.Buffer
	args = append(append([]string{"run", "-dir", dir}, args...), "--", os.Args[0])
	require.NoError(t, dispatch(args, &stdout, &stderr))
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &outcome))
	stored, err := os.ReadFile(filepath.Join(dir, resultFile))
	require.NoError(t, err)
	assert.Equal(t, stdout.String(), string(stored), "what is printed is what is stored")
	assert.Empty(t, stderr.String())
	return outcome, dir, stdout.String()
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elements...))
	require.NoError(t, err)
	return string(data)
}

func TestRunKeepsBothStreamsAndTheExitCode(t *testing.T) {
	outcome, dir, printed := inbox(t, "streams")
	assert.Equal(t, 3, outcome.ExitCode)
	assert.False(t, outcome.TimedOut)
	assert.Empty(t, outcome.Signal)
	assert.Equal(t, []string{os.Args[0]}, outcome.Command)
	assert.WithinDuration(t, time.Now(), outcome.Started, time.Minute)
	assert.Equal(t, "to stdout\n", read(t, dir, stdoutFile))
	assert.ElementsMatch(t, []string{"to stdout", "to stderr"}, splitLines(read(t, dir, outputFile)))
	for _, field := range []string{"started", "duration_ms", "exit_code", "timed_out", "signal", "oom", "command"} {
		assert.Contains(t, printed, `"`+field+`":`)
	}
}

func splitLines(text string) []string {
	var lines []string
	for _, line := range bytes.Split(bytes.TrimSpace([]byte(text)), []byte("\n")) {
		lines = append(lines, string(line))
	}
	return lines
}

func TestRunDumpsGoroutinesAtTheTimeLimit(t *testing.T) {
	outcome, dir, _ := inbox(t, "hang", "-timeout", "300ms")
	assert.True(t, outcome.TimedOut)
	assert.Equal(t, 2, outcome.ExitCode, "the Go runtime exits 2 after its dump")
	assert.Contains(t, read(t, dir, outputFile), "goroutine 1")
}

func TestRunKillsWhatIgnoresTheTimeLimit(t *testing.T) {
	outcome, _, _ := inbox(t, "stubborn", "-timeout", "300ms", "-grace", "100ms")
	assert.True(t, outcome.TimedOut)
	assert.Equal(t, "killed", outcome.Signal)
	assert.Equal(t, 137, outcome.ExitCode)
	assert.False(t, outcome.OOM)
}

func TestRunNamesTheSignal(t *testing.T) {
	outcome, _, _ := inbox(t, "killed")
	assert.Equal(t, "killed", outcome.Signal)
	assert.Equal(t, 137, outcome.ExitCode)
	assert.False(t, outcome.TimedOut)
}

func TestRunReadsStdinFromAFile(t *testing.T) {
	outcome, _, _ := inbox(t, "cat", "-stdin", os.Args[0])
	assert.Zero(t, outcome.ExitCode)
	outcome, _, _ = inbox(t, "cat")
	assert.Zero(t, outcome.ExitCode, "without a file the input is empty, not ours")
}

func TestRunReportsACommandThatCannotStart(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	require.NoError(t, dispatch([]string{"run", "-dir", dir, "--", "/no/such/command"}, &stdout, &stderr))
	var outcome result
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &outcome))
	assert.Equal(t, 127, outcome.ExitCode)
	assert.Contains(t, read(t, dir, outputFile), "/no/such/command")
}

func TestRunWithoutADirectoryPassesTheOutputOn(t *testing.T) {
	t.Setenv("INBOX_TEST_AS", "streams")
	var stdout, stderr bytes.Buffer
	require.NoError(t, dispatch([]string{"run", "--", os.Args[0]}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "to stdout")
	assert.Contains(t, stderr.String(), "to stderr")
	assert.True(t, json.Valid(stdout.Bytes()))
}

func TestRunRemovesAnOldResultFirst(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, resultFile), []byte("{}"), 0o644))
	sinks, err := openSinks(dir, nil)
	require.NoError(t, err)
	defer sinks.close()
	assert.NoFileExists(t, filepath.Join(dir, resultFile))
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "name a command"},
		{[]string{"jump"}, 2, `unknown command "jump"`},
		{[]string{"run", "-dir", "x"}, 2, "after --"},
		{[]string{"run", "-sideways"}, 2, "sideways"},
		{[]string{"pack"}, 2, "request file"},
		{[]string{"inputs", "/no/such/file"}, 1, "open request"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, c.code, exitCode(dispatch(c.args, &stdout, &stderr), &stderr), "%v", c.args)
		assert.Contains(t, stderr.String(), c.says)
		assert.Empty(t, stdout.String())
	}
}

func TestOutOfMemory(t *testing.T) {
	killed, failed, fine := result{ExitCode: 137}, result{ExitCode: 1}, result{}
	none, kill, limit := memory{}, memory{kills: 1}, memory{limits: 1}
	assert.True(t, outOfMemory(none, kill, killed))
	assert.True(t, outOfMemory(none, kill, failed), "go itself exits 1 when its compiler is killed")
	assert.False(t, outOfMemory(none, kill, fine))
	assert.False(t, outOfMemory(kill, kill, killed), "an earlier command's count")
	assert.True(t, outOfMemory(none, limit, killed))
	assert.False(t, outOfMemory(none, limit, failed), "meeting the limit only drops caches")
}

func TestReadMemory(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  memory
	}{
		"nothing there": {fstest.MapFS{}, memory{}},
		"version 2, own mount": {fstest.MapFS{
			"proc/self/cgroup":            file("0::/\n"),
			"sys/fs/cgroup/memory.events": file("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"),
		}, memory{kills: 2, limits: 12}},
		"version 2, path on the machine": {fstest.MapFS{
			"proc/self/cgroup":                       file("0::/buildkit/x\n"),
			"sys/fs/cgroup/buildkit/x/memory.events": file("max 1\noom_kill 1\n"),
		}, memory{kills: 1, limits: 1}},
		"version 1": {fstest.MapFS{
			"proc/self/cgroup":                          file("9:name=systemd:/\n4:cpu,memory:/b\nnonsense\n"),
			"sys/fs/cgroup/memory/b/memory.oom_control": file("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"),
			"sys/fs/cgroup/memory/b/memory.failcnt":     file("77\n"),
		}, memory{kills: 4, limits: 77}},
		"garbage": {fstest.MapFS{
			"sys/fs/cgroup/memory.events":         file("oom_kill many\n"),
			"sys/fs/cgroup/memory/memory.failcnt": file(""),
		}, memory{}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, readMemory(c.files)) })
	}
}
