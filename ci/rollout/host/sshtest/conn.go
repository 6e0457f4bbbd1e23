package sshtest

import (
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

func itoa(port uint32) string { return strconv.FormatUint(uint64(port), 10) }

// conn is a connection that can be cut, or lead nowhere.
type conn struct {
	net.Conn
	rate   int
	mu     sync.Mutex
	sunk   bool
	closed chan struct{}
	once   sync.Once
}

func newConn(raw net.Conn, rate int) *conn {
	return &conn{Conn: raw, rate: rate, closed: make(chan struct{})}
}

// reset ends it, without anything more being sent.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// sink makes it a black hole: what is sent is lost, and nothing arrives.
func (c *conn) sink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sunk = true
}

func (c *conn) isSunk() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sunk
}

// Read loses what arrives in a black hole, and ends with the connection.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if !c.isSunk() {
			return n, err
		}
		if err != nil {
			// The other side gave up.
			return 0, io.EOF
		}
	}
}

// Write sends, at the rate that is set.
func (c *conn) Write(p []byte) (int, error) {
	if c.isSunk() {
		return len(p), nil
	}
	if c.rate > 0 {
		select {
		case <-time.After(time.Duration(len(p)) * time.Second / time.Duration(c.rate)):
		case <-c.closed:
		}
	}
	return c.Conn.Write(p)
}

// Close ends it.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
