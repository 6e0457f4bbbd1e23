// Package sshtest is for tests: SSH servers in this process, which run commands and can be cut off at any of them.
//
//	server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell})
//	machine, err := remote.Open(ctx, server.Address(), server.Client(t))
package sshtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// User is who may log in.
const User = "deploy"

// Call is one command that a client asked for.
type Call struct {
	Command string
	// Line is the first line of its input, as far as it fits into a megabyte.
	Line   []byte
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Fault is what happens to a connection at a call.
type Fault string

// The faults. In a black hole nothing arrives any more, and nobody is told.
const (
	None       Fault = ""
	CutBefore  Fault = "reset before"
	CutAfter   Fault = "reset after"
	HoleBefore Fault = "black hole before"
	HoleAfter  Fault = "black hole after"
)

// Faults are all of them.
func Faults() []Fault { return []Fault{CutBefore, CutAfter, HoleBefore, HoleAfter} }

// Options say what a server does.
type Options struct {
	// Exec carries a command out, and returns its exit code.
	Exec func(ctx context.Context, call Call) int
	// Fault is asked before each command.
	Fault func(call Call) Fault
	// HostKeys are what the server shows. Without any it makes one.
	HostKeys []ssh.Signer
	// Login may refuse keys. Without it the key of Client alone is accepted.
	Login func(key ssh.PublicKey) bool
	// Rate is how many bytes a second it sends, 0 for as many as there are.
	Rate int
}

// Server is an SSH server on 127.0.0.1.
type Server struct {
	Options
	Key    ssh.Signer // that Client logs in with
	secret ed25519.PrivateKey
	listen net.Listener
	ctx    context.Context
	mu     sync.Mutex
	conns  map[*conn]bool
	dials  int
	all    sync.WaitGroup
}

// Start starts a server. It ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if len(o.HostKeys) == 0 {
		key, _ := NewKey(t)
		o.HostKeys = []ssh.Signer{key}
	}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{Options: o, listen: listen, ctx: ctx, conns: map[*conn]bool{}}
	s.Key, s.secret = NewKey(t)
	s.all.Go(s.accept)
	t.Cleanup(func() {
		cancel()
		listen.Close()
		s.Cut()
		s.all.Wait()
	})
	return s
}

// NewKey makes a key.
func NewKey(t testing.TB) (ssh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(secret)
	require.NoError(t, err)
	return signer, secret
}

// Host is its host and port.
func (s *Server) Host() string { return s.listen.Addr().String() }

// Address is its address, with a user.
func (s *Server) Address() string { return "ssh://" + User + "@" + s.Host() }

// Connections is how many were opened so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Cut resets all connections.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.reset()
	}
}

// Shell is an Exec that runs commands for real.
func Shell(ctx context.Context, call Call) int {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", call.Command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = call.Stdin, call.Stdout, call.Stderr
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return 255
}

func (s *Server) accept() {
	for {
		raw, err := s.listen.Accept()
		if err != nil {
			return
		}
		c := newConn(raw, s.Rate)
		s.mu.Lock()
		s.conns[c] = true
		s.dials++
		s.mu.Unlock()
		s.all.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Server) serve(c *conn) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		accepted := bytes.Equal(key.Marshal(), s.Key.PublicKey().Marshal())
		if s.Login != nil {
			accepted = s.Login(key)
		}
		if !accepted {
			return nil, errors.New("not this key")
		}
		return nil, nil
	}}
	for _, key := range s.HostKeys {
		config.AddHostKey(key)
	}
	server, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	defer server.Close()
	go ssh.DiscardRequests(requests) // it answers keepalives
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for opened := range channels {
		sessions.Go(func() { s.channel(c, opened) })
	}
}

func (s *Server) channel(c *conn, opened ssh.NewChannel) {
	switch opened.ChannelType() {
	case "session":
		if channel, requests, err := opened.Accept(); err == nil {
			s.session(c, channel, requests)
		}
	case "direct-tcpip":
		s.forward(opened)
	default:
		_ = opened.Reject(ssh.UnknownChannelType, "there are sessions and forwards")
	}
}

func (s *Server) session(c *conn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for request := range requests {
		var asked struct{ Command string }
		if request.Type != "exec" || ssh.Unmarshal(request.Payload, &asked) != nil {
			_ = request.Reply(false, nil)
			continue
		}
		_ = request.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		s.run(c, channel, asked.Command)
		return
	}
}

// run carries a command out. One that was begun goes on when the connection ends, as with sshd.
func (s *Server) run(c *conn, channel ssh.Channel, command string) {
	input := bufio.NewReaderSize(channel, 1<<20)
	call := Call{Command: command, Line: firstLine(input), Stdin: input, Stdout: channel, Stderr: channel.Stderr()}
	fault := None
	if s.Fault != nil {
		fault = s.Fault(call)
	}
	switch fault {
	case CutBefore:
		c.reset()
		return
	case HoleBefore:
		c.sink()
		return
	case CutAfter, HoleAfter:
		call.Stdout, call.Stderr = io.Discard, io.Discard
	}
	code := s.Exec(s.ctx, call)
	switch fault {
	case CutAfter:
		c.reset()
	case HoleAfter:
		c.sink()
	default:
		_, _ = channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, uint32(code)))
	}
}

// firstLine looks at the first line without taking it.
func firstLine(r *bufio.Reader) []byte {
	for size := 1; ; size = min(max(size+1, r.Buffered()), r.Size()) {
		text, err := r.Peek(size)
		if at := bytes.IndexByte(text, '\n'); at >= 0 {
			return slices.Clone(text[:at])
		}
		if err != nil || size == r.Size() {
			return slices.Clone(text)
		}
	}
}

func (s *Server) forward(opened ssh.NewChannel) {
	var asked struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(opened.ExtraData(), &asked); err != nil {
		_ = opened.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	target, err := (&net.Dialer{}).DialContext(s.ctx, "tcp", net.JoinHostPort(asked.Host, itoa(asked.Port)))
	if err != nil {
		_ = opened.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer target.Close()
	channel, requests, err := opened.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	go func() { _, _ = io.Copy(target, channel); target.Close() }()
	_, _ = io.Copy(channel, target)
}
