//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// buildService builds testdata/service, once for all tests.
func buildService(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "service")
	out, err := exec.Command("go", "build", "-o", program, "./testdata/service").CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func TestSmoke(t *testing.T) {
	program := buildService(t, t.TempDir())
	healthy := func(t *testing.T, r smokeResult) {
		assert.True(t, r.Healthy)
		assert.False(t, r.Early)
		assert.Equal(t, "200 OK ok", r.LastProbe)
	}
	cases := map[string]func(t *testing.T, r smokeResult){
		"healthy": func(t *testing.T, r smokeResult) {
			healthy(t, r)
			assert.Zero(t, r.ExitCode)
			assert.Empty(t, r.Signal)
			assert.False(t, r.Killed)
			assert.Equal(t, "service: healthy\ngot SIGTERM\n", r.Log)
		},
		"slow": func(t *testing.T, r smokeResult) {
			healthy(t, r)
			assert.GreaterOrEqual(t, r.Probes, 3)
		},
		"sick": func(t *testing.T, r smokeResult) {
			assert.False(t, r.Healthy)
			assert.False(t, r.Early)
			assert.Equal(t, "503 Service Unavailable no database", r.LastProbe)
			assert.Zero(t, r.ExitCode, "it is stopped all the same")
		},
		"exits early": func(t *testing.T, r smokeResult) {
			assert.True(t, r.Early)
			assert.False(t, r.Healthy)
			assert.Equal(t, 4, r.ExitCode)
			assert.Contains(t, r.Log, "no configuration")
		},
		"panics": func(t *testing.T, r smokeResult) {
			assert.True(t, r.Early)
			assert.Equal(t, 2, r.ExitCode)
			assert.Contains(t, r.Log, "panic: no configuration")
		},
		"kills itself": func(t *testing.T, r smokeResult) {
			assert.True(t, r.Early)
			assert.Equal(t, "killed", r.Signal)
		},
		"stubborn": func(t *testing.T, r smokeResult) {
			healthy(t, r)
			assert.True(t, r.Killed)
			assert.Equal(t, "killed", r.Signal)
			assert.GreaterOrEqual(t, r.StoppedMS, int64(300))
		},
		"exits 3": func(t *testing.T, r smokeResult) {
			healthy(t, r)
			assert.False(t, r.Killed)
			assert.Equal(t, 3, r.ExitCode)
		},
		"no handler": func(t *testing.T, r smokeResult) {
			healthy(t, r)
			assert.False(t, r.Killed, "it ended, if not in order")
			assert.Equal(t, "terminated", r.Signal)
		},
		"leaves a child": func(t *testing.T, r smokeResult) {
			healthy(t, r)
			assert.True(t, r.Killed, "a child that keeps the output open counts as the service")
			pid, err := strconv.Atoi(strings.TrimSpace(between(r.Log, "child: ", "\n")))
			require.NoError(t, err, r.Log)
			require.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 10*time.Millisecond, "the child is gone too")
		},
	}
	for mode, check := range cases {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			address := freeAddress(t)
			options := smokeOptions{start: 10 * time.Second, grace: 300 * time.Millisecond, command: []string{program, mode, address}}
			switch mode {
			case "sick":
				options.start = 500 * time.Millisecond
			case "healthy", "slow", "exits 3":
				options.grace = 10 * time.Second
			}
			begun := time.Now()
			result := smoke(options, "http://"+address+"/health")
			assert.Less(t, time.Since(begun), 15*time.Second)
			assert.Equal(t, options.command, result.Command)
			assert.WithinDuration(t, begun, result.Started, 5*time.Second)
			check(t, result)
		})
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}

// alive tells whether a process runs. One that has ended and that nobody has waited for does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ") // without a /proc, what kill says is all there is
}

func TestSmokeOfACommandThatCannotStart(t *testing.T) {
	result := smoke(smokeOptions{start: time.Second, grace: time.Second, command: []string{filepath.Join(t.TempDir(), "missing")}}, "http://127.0.0.1:1/")
	assert.True(t, result.Early)
	assert.Equal(t, notStarted, result.ExitCode)
	assert.Contains(t, result.Log, "no such file")
}

func TestSmokeCommand(t *testing.T) {
	var stdout bytes.Buffer
	require.NoError(t, dispatch([]string{"smoke", "-port", "1", "-start", "1s", "--", filepath.Join(t.TempDir(), "missing")}, &stdout, nil))
	var result smokeResult
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &result))
	assert.Equal(t, notStarted, result.ExitCode)
	for _, field := range []string{"started", "healthy", "ready_ms", "probes", "last_probe", "early", "exit_code", "signal", "killed", "stopped_ms", "log", "command"} {
		assert.Contains(t, stdout.String(), `"`+field+`":`)
	}
}

func TestParseSmoke(t *testing.T) {
	options, err := parseSmoke([]string{"-port", "8080", "-path", "/live", "-start", "5s", "-grace", "2s", "--", "/app", "-port", "9"})
	require.NoError(t, err)
	assert.Equal(t, smokeOptions{port: 8080, path: "/live", start: 5 * time.Second, grace: 2 * time.Second, command: []string{"/app", "-port", "9"}}, options)
	options, err = parseSmoke([]string{"-port", "1", "/app"})
	require.NoError(t, err)
	assert.Equal(t, smokeOptions{port: 1, path: "/", start: 30 * time.Second, grace: 10 * time.Second, command: []string{"/app"}}, options)
	for _, args := range [][]string{nil, {"-port", "1"}, {"--", "/app"}, {"-port", "x", "--", "/app"}, {"-unknown"}} {
		_, err := parseSmoke(args)
		var wrong usageError
		require.ErrorAs(t, err, &wrong, "%v", args)
	}
}

func TestServiceURL(t *testing.T) {
	for _, path := range []string{"/health", "health"} {
		url := serviceURL(smokeOptions{port: 8080, path: path})
		assert.True(t, strings.HasPrefix(url, "http://"))
		assert.True(t, strings.HasSuffix(url, ":8080/health"), url)
	}
}

func TestEndOf(t *testing.T) {
	kept := &endOf{max: 4}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			n, err := kept.Write([]byte("abcdef"))
			assert.NoError(t, err)
			assert.Equal(t, 6, n)
		})
	}
	all.Wait()
	assert.Equal(t, "cdef", kept.String())
}
