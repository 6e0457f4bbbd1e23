package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxSessions is how many commands run at once on one connection. sshd allows ten.
const maxSessions = 8

// missed is how many times in a row a machine may not answer.
const missed = 3

// connection is a Machine over SSH.
type connection struct {
	chain *chain
	slots chan struct{}
	lost  chan struct{}
	once  sync.Once
}

func newConnection(c *chain, every time.Duration) *connection {
	m := &connection{chain: c, slots: make(chan struct{}, maxSessions), lost: make(chan struct{})}
	go func() { _ = c.last().Wait(); m.Close() }()
	go m.keepAlive(every)
	return m
}

// Lost is closed when the connection is.
func (m *connection) Lost() <-chan struct{} { return m.lost }

// Close ends the connection, and with it what waits for an answer.
func (m *connection) Close() error {
	m.once.Do(func() { close(m.lost); m.chain.Close() })
	return nil
}

// keepAlive asks whether the machine is there, and ends the connection when nothing at all comes from it any more.
func (m *connection) keepAlive(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	asking := make(chan struct{}, 1)
	silent, before := 0, int64(0)
	for {
		select {
		case asking <- struct{}{}:
			go func() {
				_, _, _ = m.chain.last().SendRequest("keepalive@openssh.com", true, nil)
				<-asking
			}()
		default: // the one before has no answer yet
		}
		select {
		case <-m.lost:
			return
		case <-ticker.C:
		}
		silent++
		if now := m.chain.last().conn.last.Load(); now != before {
			silent, before = 0, now
		}
		if silent >= missed {
			m.Close()
			return
		}
	}
}

// Run runs a command.
func (m *connection) Run(ctx context.Context, command string, streams Streams) error {
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnreachable, context.Cause(ctx))
	case <-m.lost:
		return fmt.Errorf("%w: the connection is lost", ErrUnreachable)
	}
	release := func() { <-m.slots }
	session, err := m.session(ctx, release)
	if err != nil {
		return err
	}
	out, fail := &gate{w: streams.Stdout}, &gate{w: streams.Stderr}
	var last tail
	session.Stdout, session.Stderr = out, io.MultiWriter(&last, fail)
	ended := make(chan error, 1)
	go func() {
		defer release()
		defer session.Close()
		ended <- run(session, command, streams.Stdin)
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
		go session.Close() // it may wait for a connection that does not move
	case <-m.lost:
		select {
		case err = <-ended: // its result came before the end
		default:
			err = io.ErrUnexpectedEOF
		}
	}
	out.shut()
	fail.shut()
	return outcome(err, &last)
}

// run runs a command. One that ends before it has read all of its input does so on purpose: that is no error.
func run(session *ssh.Session, command string, input io.Reader) error {
	stdin, err := session.StdinPipe()
	if err != nil {
		return err
	}
	if err := session.Start(command); err != nil {
		return err
	}
	go func() {
		if input != nil {
			_, _ = io.Copy(stdin, input)
		}
		stdin.Close()
	}()
	return session.Wait()
}

// session opens a session, which is not yet a command.
func (m *connection) session(ctx context.Context, release func()) (*ssh.Session, error) {
	type opened struct {
		session *ssh.Session
		err     error
	}
	done := make(chan opened, 1)
	go func() {
		session, err := m.chain.last().NewSession()
		done <- opened{session, err}
	}()
	abandon := func(why error) error {
		go func() {
			if o := <-done; o.err == nil {
				o.session.Close()
			}
			release()
		}()
		return fmt.Errorf("%w: %w", ErrUnreachable, why)
	}
	select {
	case o := <-done:
		if o.err != nil {
			release()
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, o.err)
		}
		return o.session, nil
	case <-ctx.Done():
		return nil, abandon(context.Cause(ctx))
	case <-m.lost:
		return nil, abandon(errors.New("the connection is lost"))
	}
}

// outcome makes of what the library says what a caller can act on.
func outcome(err error, last *tail) error {
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		code := exit.ExitStatus()
		if exit.Signal() != "" {
			code = -1
		}
		return &ExitError{Code: code, Stderr: last.String()}
	case errors.As(err, &missing):
		return fmt.Errorf("%w: the machine closed it", ErrBroken)
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// gate passes on what is written, until it is shut: a command that nobody waits for any more writes nowhere.
type gate struct {
	mu   sync.Mutex
	w    io.Writer
	over bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.w == nil || g.over {
		return len(p), nil
	}
	return g.w.Write(p)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
}

// tailSize is how much of what a command says last is kept for an error.
const tailSize = 4 << 10

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
