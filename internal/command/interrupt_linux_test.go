package command_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/ship"
)

// X1: at whatever step a run is interrupted, it ends within five seconds, says so, and leaves nothing half-made.
func TestInterruptedAtAnyStep(t *testing.T) {
	needsEngine(t)
	dir, salt := saltedModule(t)
	require.Zero(t, startShipping(t, dir).ends(t, 10*time.Minute), "the caches are warm then")
	for i, step := range []string{"slipway ship", "prepare", "engine ", "$ go test", "$ go build", "package", "image", "smoke"} {
		t.Run(step, func(t *testing.T) {
			salt(fmt.Sprint(i, time.Now()))
			s := startShipping(t, dir)
			_, heard := s.says(2*time.Minute, step)
			require.True(t, heard, s.output())
			begun := time.Now()
			require.NoError(t, s.cmd.Process.Signal(syscall.SIGINT))
			assert.Equal(t, ship.ExitInterrupted, s.ends(t, time.Minute), s.output())
			assert.Less(t, time.Since(begun), 5*time.Second)
			assert.Contains(t, s.last(), "(exit 130)")
			assert.Empty(t, staging(t, dir))
			assert.Empty(t, lasting(dir))
			t.Logf("ended after %s", time.Since(begun).Round(time.Millisecond))
		})
	}
}

// X3: who stops to listen, or listens and never reads, neither ends the run nor holds it up.
func TestNobodyListens(t *testing.T) {
	needsEngine(t)
	dir, salt := saltedModule(t)
	require.Zero(t, startShipping(t, dir).ends(t, 10*time.Minute), "the caches are warm then")
	cases := map[string]struct {
		closed bool
		json   bool
	}{"closed": {closed: true}, "closed, json": {closed: true, json: true}, "full": {}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			salt(name)
			require.NoError(t, os.RemoveAll(dir+"/dist"))
			reader, writer, err := os.Pipe()
			require.NoError(t, err)
			defer reader.Close()
			args := []string{"ship", "-v", "-C", dir, "--engine", "embedded", "--skip", "staticcheck,vulnerabilities,vet,mod tidy,mod verify,gofmt"}
			if c.json {
				args = append(args, "--json")
			}
			cmd := exec.Command("slipway", args...)
			cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "CI=true"), writer, writer
			if c.closed {
				require.NoError(t, reader.Close())
			} else {
				fillPipe(t, writer)
			}
			require.NoError(t, cmd.Start())
			writer.Close()
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			require.Eventually(t, func() bool {
				_, err := os.Stat(dir + "/dist/reports/run.json")
				return err == nil
			}, 2*time.Minute, 50*time.Millisecond, "the run goes on to its end")
			assert.FileExists(t, dir+"/dist/checksums.txt")
			if !c.closed { // it waits for its reader, and an interrupt ends that
				begun := time.Now()
				require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
				defer func() { assert.Less(t, time.Since(begun), 5*time.Second) }()
			}
			err = cmd.Wait()
			assert.NoError(t, err, "nothing failed")
		})
	}
}

func needsEngine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
}

// fillPipe writes until nothing more goes in.
func fillPipe(t *testing.T, writer *os.File) {
	t.Helper()
	require.NoError(t, writer.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
	_, err := writer.WriteString(strings.Repeat("full\n", 1<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, writer.SetWriteDeadline(time.Time{}))
}
