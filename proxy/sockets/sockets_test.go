package sockets

import (
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newSet(t *testing.T) (*Set, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return New(l.(*net.TCPListener)), l.Addr().String()
}

func (s *Set) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Closing a listener leaves the socket, and who else listens on it.
func TestListenersShareASocket(t *testing.T) {
	set, address := newSet(t)
	first, err := set.Listen(0)
	require.NoError(t, err)
	second, err := set.Listen(0)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	_, err = first.Accept()
	assert.Error(t, err)
	client := dial(t, address)
	conn, err := second.Accept()
	require.NoError(t, err)
	assert.Equal(t, client.LocalAddr().String(), conn.RemoteAddr().String())
	require.NoError(t, conn.Close())
	_, err = set.Listen(1)
	assert.ErrorContains(t, err, "there are 1")
}

// After Stop nothing is accepted, what waits is left for another, and Closed says when the last connection is.
func TestStop(t *testing.T) {
	set, address := newSet(t)
	l, err := set.Listen(0)
	require.NoError(t, err)
	dial(t, address)
	conn, err := l.Accept()
	require.NoError(t, err)
	returned := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		returned <- err
	}()
	set.Stop()
	// One that is being accepted while Stop is called may still be taken, and then counts. Only what comes later waits.
	require.Eventually(t, func() bool { return set.open() == 1 }, time.Minute, time.Millisecond)
	waiting := dial(t, address) // it is not refused
	select {
	case <-set.Closed():
		require.Fail(t, "a connection is still open")
	case err := <-returned:
		require.NoError(t, err, "it waits until it is closed")
	default:
	}
	require.NoError(t, conn.Close())
	assert.Error(t, conn.Close(), "and closing twice counts once")
	select {
	case <-set.Closed():
	case <-time.After(time.Minute):
		require.Fail(t, "nobody says that all are closed")
	}
	require.NoError(t, l.Close())
	assert.ErrorIs(t, <-returned, net.ErrClosed)

	other := New(set.listeners...)
	next, err := other.Listen(0)
	require.NoError(t, err)
	taken, err := next.Accept()
	require.NoError(t, err)
	assert.Equal(t, waiting.LocalAddr().String(), taken.RemoteAddr().String())
	go func() {
		_, _ = io.WriteString(taken, "hello")
		taken.Close()
	}()
	got, err := io.ReadAll(waiting)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
}

func TestInherited(t *testing.T) {
	for name, environment := range map[string]map[string]string{
		"nothing":            {},
		"of another process": {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
		"no number":          {"LISTEN_FDS": "x", "LISTEN_PID": strconv.Itoa(os.Getpid())},
		"none":               {"LISTEN_FDS": "0", "LISTEN_PID": strconv.Itoa(os.Getpid())},
	} {
		_, err := Inherited(func(key string) string { return environment[key] }, os.Getpid())
		assert.ErrorContains(t, err, "there are no sockets", name)
	}
}
