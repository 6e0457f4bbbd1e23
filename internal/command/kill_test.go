//go:build linux

package command_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// slowModule unpacks testdata/slow.txtar.
func slowModule(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	archive, err := txtar.ParseFile(filepath.Join("testdata", "slow.txtar"))
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "slow")
	for _, file := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(file.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, file.Data, 0o644))
	}
	return dir
}

// slipway is the command as a process, marked so that it and what it starts can be found.
func slipway(dir string) *exec.Cmd {
	cmd := exec.Command("slipway", "ship", "-C", dir, "--engine", testEngine(), "--skip", "staticcheck,vulnerabilities,vet,mod tidy,mod verify,gofmt")
	cmd.Env = append(os.Environ(), mark(dir), "CI=true")
	return cmd
}

func mark(dir string) string { return "SLIPWAY_TEST_MARK=" + dir }

// startSlow starts the command and waits until it has built: its tests run then, and do not end.
func startSlow(t *testing.T, dir string) (cmd *exec.Cmd, rest *bytes.Buffer, read chan struct{}) {
	t.Helper()
	cmd = slipway(dir)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(stderr)
	rest = &bytes.Buffer{}
	for lines.Scan() {
		rest.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "build") && strings.Contains(lines.Text(), "linux/amd64") {
			break
		}
	}
	require.DirExists(t, filepath.Join(dir, "dist"), rest.String())
	require.NotEmpty(t, staging(t, dir), "the run is in the middle: %s", rest.String())
	read = make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			rest.WriteString(lines.Text() + "\n")
		}
	}()
	return cmd, rest, read
}

func staging(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "dist", ".staging*"))
	require.NoError(t, err)
	return found
}

// marked lists the processes that were started by a run.
func marked(dir string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well-formed
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err == nil && bytes.Contains(environ, []byte(mark(dir))) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")) // it may be gone by now
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return found
}

// lasting is what is left of a run beside the engine that it may have started, which stays for the next one.
func lasting(dir string) (found []string) {
	for _, line := range marked(dir) {
		if strings.Contains(line, " session ") || strings.Contains(line, "slipway ship") {
			found = append(found, line)
		}
	}
	return found
}

func TestKilledInTheMiddle(t *testing.T) {
	dir := slowModule(t)
	cmd, _, read := startSlow(t, dir)
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	<-read
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return len(lasting(dir)) == 0 }, 15*time.Second, 50*time.Millisecond, "nothing that the run started outlives it")
	require.NotEmpty(t, staging(t, dir), "nobody could tidy up")

	require.NoError(t, os.Remove(filepath.Join(dir, "wait", "wait_test.go")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "wait", "wait.go"), []byte("// Package wait is empty.\npackage wait\n"), 0o644))
	again := slipway(dir)
	out, err := again.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Empty(t, staging(t, dir))
	assert.FileExists(t, filepath.Join(dir, "dist", "linux_amd64", "slow"))
	assert.FileExists(t, filepath.Join(dir, "dist", "checksums.txt"))
}

func TestInterruptedInTheMiddle(t *testing.T) {
	dir := slowModule(t)
	cmd, printed, read := startSlow(t, dir)
	begun := time.Now()
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	<-read
	_ = cmd.Wait() // the exit code is looked at below
	assert.Equal(t, ship.ExitInterrupted, cmd.ProcessState.ExitCode(), printed.String())
	assert.Less(t, time.Since(begun), 5*time.Second)
	lines := strings.Split(strings.TrimSpace(printed.String()), "\n")
	assert.Contains(t, lines[len(lines)-1], "(exit 130)", "the last line repeats the code")
	assert.Empty(t, staging(t, dir))
	assert.Empty(t, lasting(dir))

	data, err := os.ReadFile(filepath.Join(dir, "dist", "reports", "run.json"))
	require.NoError(t, err)
	var run report.Run
	require.NoError(t, json.Unmarshal(data, &run))
	assert.Equal(t, ship.ExitInterrupted, run.ExitCode)
	assert.NoFileExists(t, filepath.Join(dir, "dist", "checksums.txt"))
}
