package deploytest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/ship"
)

// ended is a step of a rollout that has ended, in a log without a terminal.
var ended = regexp.MustCompile(`^✓ rollout `)

// safeSoon is how long the command may take to leave everything safe.
const safeSoon = 5 * time.Second

// The command is ended by each signal after each step of each strategy, on three machines. What answers is always a whole release,
// no request fails, and the same command again leads to the new one without anything done by hand.
func TestEndedAfterEveryStep(t *testing.T) {
	soak(t)
	f, now, rows := start(t, "rolling", posts), "rolling", ""
	f.deploy(0)
	for _, strategy := range []string{"rolling", "blue-green", "canary"} {
		f.replace("slipway.yaml", "strategy: "+now, "strategy: "+strategy)
		now = strategy
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
			l, slowest, steps := f.load(100), time.Duration(0), 0
			for ; ; steps++ {
				greeting := fmt.Sprintf("%s %d %d", strategy, signal, steps)
				took, reached := f.endsAfter(signal, steps+1, greeting)
				f.converges(greeting)
				if !reached {
					break
				}
				slowest = max(slowest, took)
			}
			requests, failed := l.stop(t)
			assert.Zero(t, failed, "%s, %s", strategy, signal)
			assert.Greater(t, steps, 5)
			rows += fmt.Sprintf("| %s | %s | %d | %s | %d | %d |\n", strategy, signal, steps, slowest.Round(10*time.Millisecond), requests, failed)
		}
	}
	t.Log(rows)
	if dir := os.Getenv("SLIPWAY_SOAK_TABLES"); dir != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "signals.md"), []byte(rows), 0o644))
	}
}

// endsAfter deploys, and ends that with a signal once so many steps have ended. It tells how long the command took to end then, and
// whether it got there.
func (f *fleet) endsAfter(signal syscall.Signal, steps int, greeting string) (took time.Duration, reached bool) {
	f.Helper()
	cmd := f.command("deploy", "prod", "--skip", skipped, "-e", "GREETER_GREETING="+greeting)
	stderr, err := cmd.StderrPipe()
	require.NoError(f, err)
	require.NoError(f, cmd.Start())
	var said strings.Builder
	var sent time.Time
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if ended.MatchString(lines.Text()) {
			if steps--; steps == 0 {
				sent = time.Now()
				require.NoError(f, cmd.Process.Signal(signal))
			}
		}
	}
	_ = cmd.Wait() // its exit code says it
	took, code := time.Since(sent), cmd.ProcessState.ExitCode()
	f.Logf("%s: exit code %d after %s", signal, code, took.Round(time.Millisecond))
	switch {
	case sent.IsZero():
		require.Zero(f, code, said.String())
		return 0, false
	case signal == syscall.SIGKILL:
		require.Equal(f, -1, code, said.String())
	default:
		require.Contains(f, []int{ship.ExitOK, rollout.RolledBack.ExitCode(), ship.ExitInterrupted}, code, said.String())
		assert.Less(f, took, safeSoon, said.String())
	}
	return took, true
}

// converges runs the same command again until its release is everywhere. A killed one's lease has to end first.
func (f *fleet) converges(greeting string) {
	f.Helper()
	require.Eventually(f, func() bool {
		again := f.command("deploy", "prod", "--skip", skipped, "-e", "GREETER_GREETING="+greeting)
		output, err := again.CombinedOutput()
		if err != nil {
			f.Logf("again: %s", output)
		}
		return err == nil
	}, 2*time.Minute, time.Second)
	f.serves("1.0.0", greeting)
}
