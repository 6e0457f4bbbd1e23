//go:build linux

package engine

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"dagger.io/dagger/engineconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script writes a shell script that stands for a command. It names what it needs by path: the tests set PATH.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

const hello = `echo '{"port": 1, "session_token": "secret"}'` + "\n"

func gone(t *testing.T, pid int) {
	t.Helper()
	assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "process %d is still there", pid)
}

func TestSessionEndsWhenItsInputCloses(t *testing.T) {
	conn, err := startCLI(t.Context(), script(t, t.TempDir(), "dagger", hello+"/bin/cat >/dev/null"), os.Environ())
	require.NoError(t, err)
	begun := time.Now()
	require.NoError(t, conn.Close())
	assert.Less(t, time.Since(begun), closePatience)
	gone(t, conn.cmd.Process.Pid)
	require.NoError(t, conn.Close(), "a second time is fine")
	assert.Equal(t, "dagger", conn.Host())
}

// An engine that has died leaves its CLI hanging.
func TestSessionThatHangsIsKilled(t *testing.T) {
	conn, err := startCLI(t.Context(), script(t, t.TempDir(), "dagger", hello+"exec /bin/sleep 600"), os.Environ())
	require.NoError(t, err)
	closes(t, conn)
	gone(t, conn.cmd.Process.Pid)
}

// What the CLI has started (a "docker exec" for one) may outlive it and keep its output open.
func TestSessionWhoseChildrenHangIsKilled(t *testing.T) {
	conn, err := startCLI(t.Context(), script(t, t.TempDir(), "dagger", hello+"/bin/sleep 600\necho end"), os.Environ())
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(-conn.cmd.Process.Pid, syscall.SIGKILL) })
	closes(t, conn)
}

func closes(t *testing.T, conn *cliConn) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		_ = conn.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closePatience + 5*time.Second):
		require.Fail(t, "closing a session must end, whatever the engine does")
	}
}

func TestSessionThatDiesEarlySaysWhy(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":   "echo 'no such engine' >&2; exit 3",
		"garbage":   "echo 'this is no JSON'; echo 'no such engine' >&2; exec /bin/cat >/dev/null",
		"cut short": `printf '{"port":'; echo 'no such engine' >&2`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := startCLI(t.Context(), script(t, t.TempDir(), "dagger", text), os.Environ())
			require.ErrorContains(t, err, "open a session on the engine")
			assert.ErrorContains(t, err, "no such engine")
		})
	}
}

func TestSessionThatNeverAnswersIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	impatient := errors.New("nobody waits any more")
	time.AfterFunc(100*time.Millisecond, func() { cancel(impatient) })
	_, err := startCLI(ctx, script(t, t.TempDir(), "dagger", "echo 'pulling' >&2; exec /bin/cat"), os.Environ())
	require.ErrorIs(t, err, impatient)
	assert.ErrorContains(t, err, "pulling")
}

func TestOpenWithoutACLI(t *testing.T) {
	_, err := startCLI(t.Context(), filepath.Join(t.TempDir(), "missing"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOpenTriesInOrder(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	options := Options{
		Getenv: environment(nil), Progress: func(string) {},
		Own:      func(context.Context) (string, string, error) { return "", "", errors.New("needs root") },
		BuildCLI: func(context.Context) (string, error) { return "", errors.New("no network") },
	}
	_, err := Open(t.Context(), options)
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.Len(t, unavailable.Attempts, 2)
	assert.Equal(t, "no container runtime answers (looked for docker, podman, nerdctl)", unavailable.Attempts[0].Cause)
	assert.NotEmpty(t, unavailable.Attempts[0].Fix)
	assert.Equal(t, Attempt{Kind: Embedded, Cause: "needs root"}, unavailable.Attempts[1])

	script(t, bin, "docker", "exit 0") // answers, but there is no CLI to go with it
	_, err = Open(t.Context(), options)
	require.ErrorAs(t, err, &unavailable)
	assert.Equal(t, "no network", unavailable.Attempts[0].Cause)

	options.Want = "tcp://127.0.0.1:1"
	_, err = Open(t.Context(), options)
	require.ErrorAs(t, err, &unavailable)
	require.Len(t, unavailable.Attempts, 1, "a named engine is never replaced by another one")
	assert.Contains(t, unavailable.Attempts[0].Cause, "nothing answers at tcp://127.0.0.1:1")
	assert.NotEmpty(t, unavailable.Attempts[0].Fix)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	options.Want = "tcp://" + listener.Addr().String()
	options.BuildCLI = func(context.Context) (string, error) {
		return script(t, bin, "cli", "echo 'that is no engine' >&2"), nil
	}
	_, err = Open(t.Context(), options)
	require.ErrorAs(t, err, &unavailable)
	assert.Contains(t, unavailable.Attempts[0].Cause, "that is no engine")
	assert.Contains(t, unavailable.Attempts[0].Fix, options.Want)

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	_, err = Open(ctx, options)
	assert.ErrorIs(t, err, stop)
}

func TestCLIOnPath(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	built := Options{BuildCLI: func(context.Context) (string, error) { return "built", nil }}
	path, err := built.cli(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "built", path)

	script(t, bin, "dagger", "echo dagger v0.1.0")
	path, err = built.cli(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "built", path, "another version is not used")

	pinned := script(t, bin, "dagger", "echo dagger v"+engineconn.CLIVersion)
	path, err = built.cli(t.Context())
	require.NoError(t, err)
	assert.Equal(t, pinned, path)
}

func TestTailKeepsTheEnd(t *testing.T) {
	kept := &tail{max: 5}
	for _, text := range []string{"one", "two", "three"} {
		n, err := kept.Write([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, len(text), n)
	}
	assert.Equal(t, ":\nthree", kept.quoted())
	assert.Empty(t, (&tail{max: 5}).quoted())
}

func TestDiagnoseAsksTheRuntimes(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	script(t, bin, "docker", "exit 1")
	silent := runtimeNeeds(t.Context())
	assert.True(t, silent[0].Found)
	assert.Equal(t, Need{Name: "a daemon that answers", Detail: "docker does not answer", Fix: "service docker start"}, silent[1])

	script(t, bin, "podman", "exit 0")
	answering := runtimeNeeds(t.Context())
	assert.Equal(t, "docker, podman", answering[0].Detail)
	assert.Equal(t, "podman answers", answering[1].Detail)
}

func TestReachable(t *testing.T) {
	for _, address := range []string{"", "docker-container://engine", "kube-pod://engine", "ssh://host"} {
		assert.NoError(t, reachable(t.Context(), address), "only the CLI can try %q", address)
	}
	socket := filepath.Join(t.TempDir(), "engine.sock")
	require.ErrorContains(t, reachable(t.Context(), "unix://"+socket), "nothing answers at unix://"+socket)
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer listener.Close()
	assert.NoError(t, reachable(t.Context(), "unix://"+socket))
}
