//go:build unix

package main

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary behave as greeter itself, so that signals and exit codes can be tested for real.
const asProgram = "GREETER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

type process struct {
	*exec.Cmd
	log     *bufio.Scanner
	address string
}

func startProcess(t *testing.T, env ...string) process {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), append(env, asProgram+"=1", "GREETER_ADDR=127.0.0.1:0")...)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	log := bufio.NewScanner(stderr)
	return process{Cmd: cmd, log: log, address: listening(t, log)}
}

// until reads the log up to a line with this text.
func (p process) until(t *testing.T, text string) {
	t.Helper()
	for p.log.Scan() {
		if strings.Contains(p.log.Text(), text) {
			return
		}
	}
	require.FailNow(t, "the log ended without "+text)
}

// exit reads the log to its end and returns the exit code: -1 if a signal ended the process.
func (p process) exit() int {
	drain(p.log)
	p.Wait() //nolint:errcheck // the exit code is the result
	return p.ProcessState.ExitCode()
}

func TestSignalEndsInOrder(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			p := startProcess(t)
			code, _ := get(t, "http://"+p.address+"/health")
			assert.Equal(t, http.StatusOK, code)
			require.NoError(t, p.Process.Signal(signal))
			p.until(t, `"stopped"`)
			assert.Equal(t, 0, p.exit())
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startProcess(t, "GREETER_DRAIN=1h")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	p.until(t, `"stopping"`)
	code, body := get(t, "http://"+p.address+"/health")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Contains(t, body, `"status":"stopping"`)

	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	p.until(t, "stopped by a second signal")
	assert.Equal(t, 1, p.exit())
}

func TestExceededGraceIsAFailure(t *testing.T) {
	p := startProcess(t, "GREETER_GRACE=10ms")
	// A request that never ends: its headers are not complete.
	connection, err := net.Dial("tcp", p.address)
	require.NoError(t, err)
	defer connection.Close()
	_, err = connection.Write([]byte("GET / HTTP/1.1\r\n"))
	require.NoError(t, err)
	get(t, "http://"+p.address+"/") // the server has accepted the one before when it answers the next

	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	p.until(t, "still in flight")
	assert.Equal(t, 1, p.exit())
}
