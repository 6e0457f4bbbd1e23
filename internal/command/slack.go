package command

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	// slackSize is how much output waits for a reader before the run waits for it too.
	slackSize = 32 << 20
	// lastWords is how long an interrupted run waits for its reader.
	lastWords = time.Second
)

// slack is a writer that does not wait for its reader: a pager that nobody scrolls, or a log that stands still, must not
// stop a run in the middle of writing dist. A reader that has gone makes writes fail, and the run goes on without.
type slack struct {
	to    io.Writer
	mu    sync.Mutex
	moved *sync.Cond // the queue or the error has changed
	queue []byte
	busy  bool // something is being written
	err   error
}

func newSlack(to io.Writer) *slack {
	s := &slack{to: to}
	s.moved = sync.NewCond(&s.mu)
	go s.drain()
	return s
}

// Write takes p in. Only a queue that is full makes it wait.
func (s *slack) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && len(s.queue) >= slackSize {
		s.moved.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	s.queue = append(s.queue, p...)
	s.moved.Broadcast()
	return len(p), nil
}

func (s *slack) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil {
		for len(s.queue) == 0 {
			s.moved.Wait()
		}
		next := s.queue
		s.queue, s.busy = nil, true
		s.mu.Unlock()
		_, err := s.to.Write(next)
		s.mu.Lock()
		s.busy, s.err = false, err
		s.moved.Broadcast()
	}
}

// finish waits until all has been read, or the reader has gone. Once ctx has ended it waits a moment only.
func (s *slack) finish(ctx context.Context) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.mu.Lock()
		defer s.mu.Unlock()
		for s.err == nil && (s.busy || len(s.queue) > 0) {
			s.moved.Wait()
		}
	}()
	select {
	case <-read:
		return
	case <-ctx.Done():
	}
	select {
	case <-read:
	case <-time.After(lastWords):
	}
}
