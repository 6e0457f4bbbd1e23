package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	maxBody   = 1 << 20 // certificates are in it
	maxHeader = 8 << 10
	// patience is how long a connection may say nothing. Who replaces a proxy opens one to the old process before it starts the
	// new one, and speaks on it after that.
	patience = 5 * time.Minute
)

// Listen makes the socket at a path. Only its owner and root may open it, which the file's mode says and each connection is
// asked for too.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace the control socket: %w", err)
	}
	mask := syscall.Umask(0o177) // so that it is never open to others, not for a moment
	listener, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	return peers{listener.(*net.UnixListener), []uint32{0, uint32(os.Geteuid())}}, nil
}

// Publish makes a name lead to a socket, in the place of the one that it led to.
func Publish(socket, name string) error {
	next := name + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("publish the control socket: %w", err)
	}
	if err := os.Symlink(filepath.Base(socket), next); err != nil {
		return fmt.Errorf("publish the control socket: %w", err)
	}
	if err := os.Rename(next, name); err != nil {
		return fmt.Errorf("publish the control socket: %w", err)
	}
	return nil
}

// Reachable tells whether a process answers under a name.
func Reachable(name string) bool {
	conn, err := net.DialTimeout("unix", name, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// peers takes connections of some users alone.
type peers struct {
	*net.UnixListener
	allowed []uint32
}

func (p peers) Accept() (net.Conn, error) {
	for {
		conn, err := p.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(conn); err == nil && p.allows(uid) {
			return conn, nil
		}
		conn.Close()
	}
}

func (p peers) allows(uid uint32) bool {
	for _, allowed := range p.allowed {
		if uid == allowed {
			return true
		}
	}
	return false
}

// peer is the user at the other end, as the kernel knows it.
func peer(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *syscall.Ucred
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		credentials, optErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if optErr != nil {
		return 0, optErr
	}
	return credentials.Uid, nil
}

// Serve answers on the socket until the context is done.
func (a *API) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: a.Handler(), ReadHeaderTimeout: patience, ReadTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}
