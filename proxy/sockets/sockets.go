// Package sockets is the listening sockets that systemd hands to a service. They stay open when this process ends, so that
// nobody is refused while another takes over.
package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// first is the number of the first socket that systemd passes on.
const first = 3

// Set is the sockets of a service.
type Set struct {
	listeners []*net.TCPListener

	mu      sync.Mutex
	stopped bool
	count   int // connections, and those that are waited for
	once    sync.Once
	none    chan struct{} // closed when no connection is open after Stop
	taken   map[*Listener]struct{}
}

// Inherited takes the sockets that this process was started with.
func Inherited(getenv func(string) string, pid int) (*Set, error) {
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count < 1 || getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, errors.New("there are no sockets: systemd starts this program, by its .socket unit")
	}
	var listeners []*net.TCPListener
	for i := range count {
		syscall.CloseOnExec(first + i)
		file := os.NewFile(uintptr(first+i), "socket "+strconv.Itoa(i))
		listener, err := net.FileListener(file)
		file.Close() // the listener has a copy
		if err != nil {
			return nil, fmt.Errorf("use socket %d: %w", i, err)
		}
		tcp, ok := listener.(*net.TCPListener)
		if !ok {
			return nil, fmt.Errorf("use socket %d: it is not of TCP", i)
		}
		listeners = append(listeners, tcp)
	}
	return New(listeners...), nil
}

// New is a set of sockets that listen already.
func New(listeners ...*net.TCPListener) *Set {
	return &Set{listeners: listeners, none: make(chan struct{}), taken: map[*Listener]struct{}{}}
}

// Ports are those of the sockets, in order.
func (s *Set) Ports() []int {
	ports := make([]int, len(s.listeners))
	for i, l := range s.listeners {
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// Listen gives a listener on the socket of a number. Several may listen on one, and closing one leaves the others.
func (s *Set) Listen(number int) (*Listener, error) {
	if number < 0 || number >= len(s.listeners) {
		return nil, fmt.Errorf("listen on socket %d: there are %d", number, len(s.listeners))
	}
	file, err := s.listeners[number].File()
	if err != nil {
		return nil, fmt.Errorf("listen on socket %d: %w", number, err)
	}
	defer file.Close()
	copied, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("listen on socket %d: %w", number, err)
	}
	l := &Listener{TCPListener: copied.(*net.TCPListener), set: s, closed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[l] = struct{}{}
	if s.stopped {
		l.interrupt()
	}
	return l, nil
}

// Stop accepts no more connections: whoever else has these sockets does. One that was being accepted in this moment may still
// be taken; it counts for Closed.
func (s *Set) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for l := range s.taken {
		l.interrupt()
	}
	s.tellNone()
}

// Closed is closed when, after Stop, the last connection is.
func (s *Set) Closed() <-chan struct{} { return s.none }

// begin counts a connection before it is accepted, so that none is overlooked. It is false after Stop.
func (s *Set) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.count++
	return true
}

func (s *Set) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count--
	s.tellNone()
}

func (s *Set) tellNone() {
	if s.stopped && s.count == 0 {
		s.once.Do(func() { close(s.none) })
	}
}

func (s *Set) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// Listener accepts connections from a socket that others may listen on too.
type Listener struct {
	*net.TCPListener
	set    *Set
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a connection. After Stop it waits until it is closed, and takes none.
func (l *Listener) Accept() (net.Conn, error) {
	if l.set.begin() {
		conn, err := l.AcceptTCP()
		if err == nil {
			return &connection{TCPConn: conn, set: l.set}, nil
		}
		l.set.end()
		if !l.set.isStopped() {
			return nil, err
		}
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close ends this listener. The socket goes on listening.
func (l *Listener) Close() error {
	l.set.mu.Lock()
	delete(l.set.taken, l)
	l.set.mu.Unlock()
	l.once.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
}

func (l *Listener) interrupt() { _ = l.SetDeadline(time.Unix(1, 0)) }

// connection is counted until it is closed.
type connection struct {
	*net.TCPConn
	set  *Set
	once sync.Once
}

func (c *connection) Close() error {
	defer c.once.Do(c.set.end)
	return c.TCPConn.Close()
}
