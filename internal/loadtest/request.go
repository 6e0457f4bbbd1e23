package loadtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How a request may fail.
const (
	Refused = "refused" // no connection
	Reset   = "reset"   // the connection was reset
	EOF     = "eof"     // it ended before an answer
	Timeout = "timeout" // there was no whole answer in time
	Status  = "status"  // it was not 2xx
	Short   = "short"   // the body ended early
	Wrong   = "wrong"   // Check says so
	Stray   = "stray"   // there was more than one answer
	Garbled = "garbled" // what came is no HTTP
)

// failure is an error of a class.
type failure struct {
	class string
	cause error
}

func (f *failure) Error() string { return f.class + ": " + f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

func class(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.class
	}
	return Garbled
}

// connection is one of ours.
type connection struct {
	net.Conn
	reader *bufio.Reader
	gone   func()
}

func (c *connection) Close() error {
	c.gone()
	return c.Conn.Close()
}

// pool keeps connections for the next request. The one that has been unused the longest comes first: a server that closes idle
// connections is to be found out.
type pool struct {
	mu   sync.Mutex
	list []*connection
}

func (p *pool) take() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return nil
	}
	first := p.list[0]
	p.list = p.list[1:]
	return first
}

func (p *pool) put(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, c)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.list {
		c.Close()
	}
	p.list = nil
}

// ask sends one request, once.
func (l *Load) ask(k Kind) error {
	deadline := time.Now().Add(l.plan.Timeout)
	conn, err := l.connect(k, deadline)
	if err != nil {
		return err
	}
	again, err := l.exchange(conn, k, deadline)
	if err != nil || !again || !k.KeepAlive {
		conn.Close()
		return err
	}
	l.idle.put(conn)
	return nil
}

func (l *Load) connect(k Kind, deadline time.Time) (*connection, error) {
	if k.KeepAlive {
		if conn := l.idle.take(); conn != nil {
			return conn, nil
		}
	}
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", l.plan.Address)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &failure{Timeout, err}
	case err != nil:
		return nil, &failure{Refused, err}
	}
	l.open.Add(1)
	return &connection{conn, bufio.NewReader(conn), sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

// exchange sends a request and reads its answer. It says whether the connection can be used again.
func (l *Load) exchange(conn *connection, k Kind, deadline time.Time) (again bool, err error) {
	if err := conn.SetDeadline(deadline); err != nil {
		return false, &failure{EOF, err}
	}
	if _, err := io.WriteString(conn, l.text(k)); err != nil {
		return false, l.broken(err)
	}
	response, err := http.ReadResponse(conn.reader, &http.Request{Method: k.Method})
	if err != nil {
		return false, l.broken(err)
	}
	body, err := io.ReadAll(response.Body)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return false, &failure{Short, fmt.Errorf("%d bytes: %w", len(body), err)}
	case err != nil:
		return false, l.broken(err)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return false, &failure{Status, fmt.Errorf("%s: %.100q", response.Status, body)}
	case conn.reader.Buffered() > 0:
		return false, &failure{Stray, fmt.Errorf("%d bytes after the answer", conn.reader.Buffered())}
	}
	if l.plan.Check != nil {
		if err := l.plan.Check(k, body); err != nil {
			return false, &failure{Wrong, err}
		}
	}
	return !response.Close, nil
}

// broken says how a connection failed.
func (l *Load) broken(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{Timeout, err}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &failure{Reset, err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &failure{EOF, err}
	}
	return &failure{Garbled, err}
}

// text is the request as it is sent.
func (l *Load) text(k Kind) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: slipway-loadtest\r\n", k.Method, l.plan.Path, l.plan.Host)
	if !k.KeepAlive {
		b.WriteString("Connection: close\r\n")
	}
	if k.Method == http.MethodPost {
		b.WriteString("Content-Type: text/plain\r\nContent-Length: " + strconv.Itoa(l.plan.Body) + "\r\n\r\n" + strings.Repeat("x", l.plan.Body))
		return b.String()
	}
	b.WriteString("\r\n")
	return b.String()
}
