package loadtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/loadtest"
)

// echo answers with what was sent, and once, for the hundredth request, with what else it is given.
func echo(t *testing.T, once func(http.ResponseWriter, *http.Request)) string {
	t.Helper()
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) == 100 && once != nil {
			once(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			fmt.Fprintf(w, "%s %d", r.Method, len(body))
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func checked(k loadtest.Kind, body []byte) error {
	want := map[string]string{"GET": "GET 0", "POST": "POST 2048"}[k.Method]
	if string(body) != want {
		return fmt.Errorf("%q, and not %q", body, want)
	}
	return nil
}

func run(t *testing.T, p loadtest.Plan, requests int) loadtest.Report {
	t.Helper()
	load := loadtest.Start(t.Context(), p)
	require.Eventually(t, func() bool { return load.Sent() >= requests }, time.Minute, 10*time.Millisecond)
	return load.Stop()
}

func TestNothingIsLost(t *testing.T) {
	report := run(t, loadtest.Plan{Address: echo(t, nil), Rate: 1000, Check: checked}, 1000)
	assert.Zero(t, report.Failed(), report)
	require.Len(t, report.Kinds, 4)
	for _, k := range report.Kinds {
		assert.InDelta(t, report.Requests()/4, k.Requests, 1)
		assert.Positive(t, k.P50)
		assert.LessOrEqual(t, k.P50, k.P99)
		assert.LessOrEqual(t, k.P99, k.Max)
	}
	t.Log(report)
}

// One request that is dropped is one that is counted, however it is dropped.
func TestOneDropIsFound(t *testing.T) {
	hijack := func(w http.ResponseWriter) net.Conn {
		conn, _, err := w.(http.Hijacker).Hijack()
		assert.NoError(t, err)
		return conn
	}
	for class, drop := range map[string]func(http.ResponseWriter, *http.Request){
		loadtest.Reset: func(w http.ResponseWriter, _ *http.Request) {
			conn := hijack(w)
			assert.NoError(t, conn.(*net.TCPConn).SetLinger(0))
			conn.Close()
		},
		loadtest.EOF:    func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); hijack(w).Close() },
		loadtest.Status: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		loadtest.Short: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn := hijack(w)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			conn.Close()
		},
		loadtest.Timeout: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client goes
			<-r.Context().Done()
		},
		loadtest.Wrong: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		loadtest.Garbled: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn := hijack(w)
			_, _ = io.WriteString(conn, "hello\r\n\r\n")
			conn.Close()
		},
		loadtest.Stray: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn := hijack(w)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n")
			conn.Close()
		},
	} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			timeout := 20 * time.Second
			if class == loadtest.Timeout {
				timeout = 3 * time.Second
			}
			report := run(t, loadtest.Plan{Address: echo(t, drop), Rate: 500, Timeout: timeout, Check: checked}, 200)
			assert.Equal(t, map[string]int{class: 1}, report.Failures(), report)
			assert.Contains(t, report.String(), "1 "+class)
			assert.Len(t, report.Errors, 1)
		})
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	report := run(t, loadtest.Plan{Address: address, Rate: 100}, 10)
	assert.Equal(t, map[string]int{loadtest.Refused: report.Requests()}, report.Failures())
}

// A connection that the server closed while it was idle is not replaced in silence.
func TestIdleConnectionsThatAreClosedAreFailures(t *testing.T) {
	var closing sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)
	load := loadtest.Start(t.Context(), loadtest.Plan{Address: strings.TrimPrefix(server.URL, "http://"), Rate: 200, Kinds: []loadtest.Kind{{Method: "GET", KeepAlive: true}}})
	require.Eventually(t, func() bool {
		if load.Sent() > 100 {
			closing.Do(server.CloseClientConnections)
		}
		return load.Failed() > 0
	}, time.Minute, 10*time.Millisecond)
	report := load.Stop()
	for class := range report.Failures() {
		assert.Contains(t, []string{loadtest.EOF, loadtest.Reset}, class)
	}
}

// The rate does not depend on the answers: a server that answers late is asked as often as one that answers at once.
func TestTheLoopIsOpen(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	load := loadtest.Start(t.Context(), loadtest.Plan{Address: strings.TrimPrefix(server.URL, "http://"), Rate: 200})
	require.Eventually(t, func() bool { return load.Sent() >= 100 }, time.Minute, 10*time.Millisecond)
	close(release)
	report := load.Stop()
	assert.Zero(t, report.Failed(), report)
	assert.GreaterOrEqual(t, report.Kinds[0].Max, 100*time.Millisecond, "a time counts from when a request was due")
}

func TestTheContextEndsIt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	load := loadtest.Start(ctx, loadtest.Plan{Address: echo(t, nil), Rate: 100})
	require.Eventually(t, func() bool { return load.Sent() >= 10 }, time.Minute, 10*time.Millisecond)
	cancel(errors.New("enough"))
	assert.Zero(t, load.Stop().Failed())
}
