package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"
	"dagger.io/dagger/engineconn"
)

const (
	openDeadline  = 60 * time.Second // from starting the CLI to its first answer; an image pull counts
	closePatience = 3 * time.Second  // after that the CLI is killed: an engine that died leaves it hanging
)

// Session is an open connection to an engine.
type Session struct {
	Client  *dagger.Client
	Choice  Choice
	Version string // of the engine
	conn    *cliConn
	guard   *watchman
}

// Close ends the session. It does not fail and does not hang: the engine's own work is over by then.
func (s *Session) Close() {
	if s == nil {
		return
	}
	if s.guard != nil {
		s.guard.cancel()
		if s.conn != nil && s.guard.gone() {
			killChild(s.conn.cmd) // it waits for an engine that is not there
		}
	}
	if s.conn == nil { // joined: the session belongs to somebody else
		_ = s.Client.Close()
		return
	}
	_ = s.conn.Close()
}

// Died tells whether an error of a query means that the engine or its session is gone, rather than that the query failed.
func Died(err error) bool {
	if err == nil {
		return false
	}
	var opErr *net.OpError
	if errors.As(err, &opErr) {
		return true
	}
	text := err.Error()
	for _, sign := range []string{"unexpected EOF", "connection refused", "connection reset by peer", "error reading from server: EOF", "transport is closing", "client is closing", "use of closed network connection", "client connection force closed", "returned error 502"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return strings.HasSuffix(text, ": EOF")
}

// join uses the session that the environment offers.
func join(ctx context.Context, choice Choice) (*Session, error) {
	client, err := dagger.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("join the Dagger session: %w", err)
	}
	return greet(ctx, &Session{Client: client, Choice: choice}, nil)
}

// dial starts "dagger session" and waits for its first answer. watch returns when the engine is gone; nil asks it now and then.
func dial(ctx context.Context, choice Choice, cli string, environ []string, watch func(context.Context) error) (*Session, error) {
	conn, err := startCLI(ctx, cli, sessionEnv(environ, choice.Address))
	if err != nil {
		return nil, err
	}
	client, err := dagger.Connect(ctx, dagger.WithConn(conn))
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to the engine: %w", err)
	}
	return greet(ctx, &Session{Client: client, Choice: choice, conn: conn}, watch)
}

func greet(ctx context.Context, s *Session, watch func(context.Context) error) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, openDeadline)
	defer cancel()
	version, err := s.Client.Version(ctx)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("ask the engine for its version: %w", err)
	}
	s.Version = version
	s.guard = s.watched(watch)
	return s, nil
}

// sessionEnv is the environment of the CLI: the user's, quiet, with the address (and no other) named.
func sessionEnv(environ []string, address string) []string {
	env := make([]string, 0, len(environ)+4)
	for _, kv := range environ {
		if strings.HasPrefix(kv, "_EXPERIMENTAL_DAGGER_RUNNER_HOST=") {
			continue
		}
		env = append(env, kv)
	}
	if address != "" {
		env = append(env, "_EXPERIMENTAL_DAGGER_RUNNER_HOST="+address)
	}
	return append(env, "DO_NOT_TRACK=1", "DAGGER_NO_NAG=1", "NO_COLOR=1")
}

// cliConn is an engineconn.EngineConn on a "dagger session" child. The SDK has one of its own, but it waits for the child
// for five minutes when the engine has died, and it cannot be told which CLI to use but through this process's environment.
type cliConn struct {
	*http.Client
	cmd    *exec.Cmd
	stdin  interface{ Close() error }
	exited chan struct{}
	stderr *tail
	once   sync.Once
}

var _ engineconn.EngineConn = (*cliConn)(nil)

func startCLI(ctx context.Context, cli string, env []string) (*cliConn, error) {
	cmd := exec.Command(cli, "session", "--label", "dagger.io/sdk.name:go", "--label", "dagger.io/sdk.version:"+engineconn.CLIVersion)
	cmd.Env = env
	cmd.SysProcAttr = childAttr()
	conn := &cliConn{cmd: cmd, exited: make(chan struct{}), stderr: &tail{max: 8 << 10}}
	cmd.Stderr = conn.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s session: %w", cli, err)
	}
	if conn.stdin, err = cmd.StdinPipe(); err != nil { // the child ends when this closes, also when we are killed
		return nil, fmt.Errorf("start %s session: %w", cli, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s session: %w", cli, err)
	}
	line := make(chan []byte, 1)
	go func() {
		reader := bufio.NewReader(stdout)
		first, _ := reader.ReadBytes('\n')
		line <- first
		_, _ = reader.WriteTo(io.Discard)
		_ = cmd.Wait()
		close(conn.exited)
	}()
	return conn.await(ctx, line)
}

// await reads the child's first line: where it listens and the token it wants.
func (c *cliConn) await(ctx context.Context, line <-chan []byte) (*cliConn, error) {
	ctx, cancel := context.WithTimeout(ctx, openDeadline)
	defer cancel()
	var params engineconn.ConnectParams
	select {
	case <-ctx.Done():
		_ = c.Close()
		return nil, fmt.Errorf("open a session on the engine: %w%s", context.Cause(ctx), c.stderr.quoted())
	case first := <-line:
		if err := json.Unmarshal(bytes.TrimSpace(first), &params); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("open a session on the engine: the CLI ended early%s", c.stderr.quoted())
		}
	}
	c.Client = &http.Client{Transport: &tokenTransport{
		token: params.SessionToken,
		next: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(params.Port)))
			},
			MaxIdleConnsPerHost: 64, // many small queries at once; the default of 2 would close a socket for each
		},
	}}
	return c, nil
}

// Host names the far end in the SDK's URLs.
func (c *cliConn) Host() string { return "dagger" }

// Close ends the child: politely by closing its standard input, by force when that takes too long.
func (c *cliConn) Close() error {
	c.once.Do(func() {
		_ = c.stdin.Close()
		timer := time.NewTimer(closePatience)
		defer timer.Stop()
		select {
		case <-c.exited:
		case <-timer.C:
			killChild(c.cmd)
			<-c.exited
		}
	})
	return nil
}

// tokenTransport adds the session's token to every request.
type tokenTransport struct {
	token string
	next  http.RoundTripper
}

func (t *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(t.token, "")
	return t.next.RoundTrip(r)
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu  sync.Mutex
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

// quoted is what was kept, ready to follow an error's text; empty when nothing was.
func (t *tail) quoted() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.buf))
	if text == "" {
		return ""
	}
	return ":\n" + text
}
