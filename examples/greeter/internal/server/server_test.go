package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/examples/greeter/internal/health"
	"github.com/slipway-ci/slipway/examples/greeter/internal/server"
)

// memory is a listener without a network. Inside a synctest bubble, where time is not real, a real connection would
// keep the clock from moving.
type memory struct {
	connections chan net.Conn
	closed      chan struct{}
}

func listenInMemory() *memory {
	return &memory{connections: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case connection := <-m.connections:
		return connection, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case m.connections <- theirs:
		return ours, nil
	case <-m.closed:
		return nil, errors.New("connection refused")
	}
}

func (m *memory) Close() error {
	select {
	case <-m.closed:
	default:
		close(m.closed)
	}
	return nil
}

func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// running is a server under test. A GET of /slow sends on entered and then waits for release.
type running struct {
	client  *http.Client
	stop    chan struct{}        // close it to ask for the end
	abort   context.CancelFunc   // ends it at once
	result  chan error           // what Run returned
	entered chan struct{}        // a slow request has arrived
	release chan struct{}        // close it to let slow requests finish
	health  func() health.Status // what the service says about itself
	get     func(path string) (string, error)
	log     *bytes.Buffer // read it after result
}

func start(t *testing.T, drain, grace time.Duration) *running {
	t.Helper()
	checker := health.New("1.2.3")
	listener := listenInMemory()
	r := &running{
		client:  &http.Client{Transport: &http.Transport{DialContext: listener.Dial}},
		stop:    make(chan struct{}),
		result:  make(chan error, 1),
		entered: make(chan struct{}, 1),
		release: make(chan struct{}),
		log:     &bytes.Buffer{},
	}
	r.health = func() health.Status { return checker.Report(t.Context()).Status }
	r.get = func(path string) (string, error) {
		answer, err := r.client.Get("http://greeter" + path)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("/quick", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "quick") }) //nolint:errcheck // a test
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		r.entered <- struct{}{}
		<-r.release
		io.WriteString(w, "finished") //nolint:errcheck // a test
	})
	srv := server.Server{Handler: mux, Stopping: checker.Stop, Drain: drain, Grace: grace, Log: slog.New(slog.NewTextHandler(r.log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	r.abort = cancel
	go func() { r.result <- srv.Run(ctx, r.stop, listener) }()
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

type answer struct {
	body string
	err  error
}

// slow sends a request and returns once it is in flight.
func (r *running) slow() <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		body, err := r.get("/slow")
		answers <- answer{body, err}
	}()
	<-r.entered
	return answers
}

func TestRequestInFlightIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 0, time.Minute)
		inFlight := r.slow()

		close(r.stop)
		synctest.Wait() // until everybody waits for the request
		assert.Equal(t, health.Stopping, r.health())
		_, err := r.get("/quick")
		assert.ErrorContains(t, err, "connection refused", "nothing new is taken")
		assert.Empty(t, r.result, "it waits")

		close(r.release)
		assert.Equal(t, answer{body: "finished"}, <-inFlight)
		assert.NoError(t, <-r.result)
		assert.Contains(t, r.log.String(), "msg=stopped")
	})
}

func TestDrainServesOnAsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 5*time.Second, time.Minute)
		assert.Equal(t, health.OK, r.health())
		asked := time.Now()
		close(r.stop)
		synctest.Wait()

		assert.Equal(t, health.Stopping, r.health())
		body, err := r.get("/quick")
		require.NoError(t, err, "whoever has not noticed yet still gets an answer")
		assert.Equal(t, "quick", body)

		require.NoError(t, <-r.result)
		assert.Equal(t, 5*time.Second, time.Since(asked))
	})
}

func TestGraceIsNotExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, time.Second, 8*time.Second)
		inFlight := r.slow()
		asked := time.Now()
		close(r.stop)

		assert.ErrorIs(t, <-r.result, server.ErrGraceExceeded)
		assert.Equal(t, 9*time.Second, time.Since(asked))
		assert.Error(t, (<-inFlight).err, "its connection is cut")
		close(r.release)
	})
}

func TestAbort(t *testing.T) {
	tests := map[string]func(r *running){
		"while serving": func(*running) {},
		"while draining": func(r *running) {
			close(r.stop)
			synctest.Wait()
		},
		"during the grace period": func(r *running) {
			close(r.stop)
			<-time.After(time.Hour + time.Second)
		},
	}
	for name, before := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, time.Hour, time.Hour)
				inFlight := r.slow()
				before(r)
				aborted := time.Now()
				r.abort()

				assert.ErrorIs(t, <-r.result, context.Canceled)
				assert.Zero(t, time.Since(aborted), "at once")
				assert.Error(t, (<-inFlight).err)
				close(r.release)
			})
		})
	}
}

func TestListenerThatBreaksEndsTheServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	srv := server.Server{Handler: http.NotFoundHandler(), Stopping: func() {}, Grace: time.Second, Log: slog.New(slog.DiscardHandler)}
	assert.ErrorIs(t, srv.Run(t.Context(), nil, listener), net.ErrClosed)
}

// A client that opens a connection and says nothing must not hold it forever.
func TestSilentClientIsHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := listenInMemory()
		srv := server.Server{Handler: http.NotFoundHandler(), Stopping: func() {}, Grace: time.Second, Log: slog.New(slog.DiscardHandler)}
		stop := make(chan struct{})
		result := make(chan error, 1)
		go func() { result <- srv.Run(t.Context(), stop, listener) }()

		connection, err := listener.Dial(t.Context(), "", "")
		require.NoError(t, err)
		opened := time.Now()
		_, err = connection.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, 5*time.Second, time.Since(opened))

		close(stop)
		assert.NoError(t, <-result)
	})
}
