package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// What a client may take before the server gives up on it. Without these, one slow client after the other would keep
// a connection forever.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 15 * time.Second
	// Longer than the 60 seconds of most proxies: the side that sends the next request should be the one that closes.
	idleTimeout    = 75 * time.Second
	maxHeaderBytes = 16 << 10
)

// ErrGraceExceeded means that requests were cut off because they took longer than the grace period.
var ErrGraceExceeded = errors.New("requests were still in flight when the grace period ended")

// Server runs a handler from its first request to an orderly end. All fields but Drain are required.
type Server struct {
	Handler  http.Handler
	Stopping func()        // called first on the way down; makes the service report itself as not healthy
	Drain    time.Duration // then requests are answered for this long, until all who watch our health have noticed
	Grace    time.Duration // then new connections are refused, and requests in flight have this long to finish
	Log      *slog.Logger
}

// Run serves on listener until stop is closed, and then stops in order. It returns nil when every request got its
// answer. When ctx is done it ends at once and returns the cause.
func (s Server) Run(ctx context.Context, stop <-chan struct{}, listener net.Listener) error {
	server := s.httpServer()
	defer server.Close() // cuts off what Shutdown could not wait for
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()

	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-stop:
	}

	s.Stopping() // before the log says so: who reads it may ask at once
	s.Log.Info("stopping", "drain", s.Drain.String(), "grace", s.Grace.String())
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(s.Drain):
	}
	return s.shutdown(ctx, server)
}

func (s Server) shutdown(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Grace, ErrGraceExceeded)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("close listener: %w", err)
	}
	s.Log.Info("stopped")
	return nil
}

func (s Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
}
