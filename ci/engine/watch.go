package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// askEvery, askPatience and askTimes find out that an engine that tells nothing about itself is gone.
	askEvery    = 10 * time.Second
	askPatience = 20 * time.Second
	askTimes    = 3
	// lastWordPatience is how long the reason of a failure may come after the failure.
	lastWordPatience = 3 * time.Second
)

// LostError says that the engine of a session is gone, or answers no more.
type LostError struct{ Cause error }

func (e *LostError) Error() string { return e.Cause.Error() }
func (e *LostError) Unwrap() error { return e.Cause }

// watchman looks after a session's engine: the SDK waits for an answer for ever.
type watchman struct {
	lost   chan struct{} // closed when it is lost; err says why then
	err    *LostError
	cancel context.CancelFunc
}

// watched begins to watch the session's engine, and the CLI that leads to it.
func (s *Session) watched(watch func(context.Context) error) *watchman {
	if watch == nil {
		watch = s.ask
	}
	if s.conn == nil {
		return watchOver(watch)
	}
	return watchOver(watch, s.conn.ended)
}

// watchOver begins to watch. Each watch returns when it has found the engine gone, or with nil when its context ends.
func watchOver(watches ...func(context.Context) error) *watchman {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watchman{lost: make(chan struct{}), cancel: cancel}
	found := make(chan error, len(watches))
	for _, watch := range watches {
		go func() { found <- watch(ctx) }()
	}
	go func() {
		defer cancel()
		for range watches {
			if err := <-found; err != nil && ctx.Err() == nil {
				w.err = &LostError{Cause: err}
				close(w.lost)
				return
			}
		}
	}()
	return w
}

// gone tells whether the engine is known to be lost.
func (w *watchman) gone() bool {
	select {
	case <-w.lost:
		return true
	default:
		return false
	}
}

// While returns a context that ends as soon as the engine is lost, with a [*LostError] as its cause. What asks the engine
// something must run under it, or it may wait for ever.
func (s *Session) While(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-ctx.Done():
		case <-s.guard.lost:
			cancel(s.guard.err)
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// Lost tells whether err came about because the engine is gone, and why it is. Other errors look like that too: a registry
// that refuses a connection for one. So the engine itself is asked.
func (s *Session) Lost(err error) *LostError {
	if err == nil {
		return nil
	}
	if s.guard.gone() {
		return s.guard.err
	}
	if !Died(err) {
		return nil
	}
	select {
	case <-s.guard.lost:
		return s.guard.err
	case <-time.After(lastWordPatience):
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWordPatience)
	defer cancel()
	if _, silent := s.Client.Version(ctx); silent != nil {
		return &LostError{Cause: err}
	}
	return nil
}

// ask finds out whether an engine that cannot be watched otherwise still answers.
func (s *Session) ask(ctx context.Context) error {
	for missed := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(askEvery):
		}
		attempt, cancel := context.WithTimeout(ctx, askPatience)
		_, err := s.Client.Version(attempt)
		cancel()
		if err == nil {
			missed = 0
			continue
		}
		if missed++; missed == askTimes {
			return fmt.Errorf("it has not answered %d times in a row", missed)
		}
	}
}

// ended waits for the end of the CLI, through which every question to the engine goes.
func (c *cliConn) ended(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.exited:
		return errors.New("the session on it, a dagger process, ended" + c.stderr.quoted())
	}
}
