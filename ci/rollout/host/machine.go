package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
)

// attempts is how often a question is asked when the connection breaks.
const attempts = 3

// again is the wait before a connection is opened once more.
const again = 200 * time.Millisecond

// longestAnswer is how long an answer may be.
const longestAnswer = 16 << 20

// machine is a host with its connection.
type machine struct {
	host    Host
	options Options
	turn    chan struct{} // held by who opens the connection, or looks at it
	conn    remote.Machine
	what    identity
}

func newMachine(host Host, o Options) *machine {
	return &machine{host: host, options: o, turn: make(chan struct{}, 1)}
}

// question is something to ask a helper.
type question struct {
	request protocol.Request
	body    func() (io.ReadCloser, error)
	lines   io.Writer
	once    bool // it is not asked again
	// done says whether what was asked for has happened, when there was no answer. Without it, the question is asked again.
	done func(context.Context) bool
}

// insist asks, on a new connection when the one there is breaks. Without an answer it first finds out whether it is done.
func (m *machine) insist(ctx context.Context, q question) (response protocol.Response, err error) {
	if q.once {
		return m.try(ctx, q)
	}
	err = persist(ctx, func() error {
		response, err = m.try(ctx, q)
		if errors.Is(err, remote.ErrBroken) && q.done != nil && q.done(ctx) {
			return nil
		}
		return err
	})
	return response, err
}

// persist tries again what failed because of the connection.
func persist(ctx context.Context, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		connection := errors.Is(err, remote.ErrBroken) || errors.Is(err, remote.ErrUnreachable)
		if !connection || attempt == attempts || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * again):
		case <-ctx.Done():
			return err
		}
	}
}

// try asks once.
func (m *machine) try(ctx context.Context, q question) (protocol.Response, error) {
	conn, what, err := m.connect(ctx)
	if err != nil {
		return protocol.Response{}, err
	}
	answer, err := m.send(ctx, conn, what, q)
	var exit *remote.ExitError
	if errors.As(err, &exit) && exit.Code == noHelper {
		if err := m.install(ctx, conn, what); err != nil {
			return protocol.Response{}, err
		}
		answer, err = m.send(ctx, conn, what, q)
	}
	if err != nil {
		return protocol.Response{}, m.explain(err, what)
	}
	return m.read(answer)
}

// send runs the helper. Its path is all that a shell gets to see.
func (m *machine) send(ctx context.Context, conn remote.Machine, what identity, q question) ([]byte, error) {
	q.request.Version = protocol.Version
	line, err := json.Marshal(q.request)
	if err != nil {
		return nil, fmt.Errorf("%s: write request: %w", m.host.Name, err)
	}
	input := io.Reader(bytes.NewReader(append(line, '\n')))
	if q.body != nil {
		body, err := q.body()
		if err != nil {
			return nil, fmt.Errorf("%s: read what is to be uploaded: %w", m.host.Name, err)
		}
		defer body.Close()
		input = io.MultiReader(input, body)
	}
	answer := &bounded{limit: longestAnswer}
	err = conn.Run(ctx, what.call(), remote.Streams{Stdin: input, Stdout: answer, Stderr: q.lines})
	return answer.text, err
}

// read takes the answer, which is the last line: a login's shell may have written others before it.
func (m *machine) read(answer []byte) (protocol.Response, error) {
	answer = bytes.TrimSpace(answer)
	answer = answer[bytes.LastIndexByte(answer, '\n')+1:]
	var response protocol.Response
	if err := json.Unmarshal(answer, &response); err != nil {
		return protocol.Response{}, fmt.Errorf("%s: read the helper's answer %.200q: %w", m.host.Name, answer, err)
	}
	if response.Error != nil {
		return response, m.refusal(*response.Error)
	}
	return response, nil
}

// refusal makes errors that a rollout knows of a helper's.
func (m *machine) refusal(e protocol.Error) error {
	switch {
	case e.Kind == protocol.Fenced:
		return fmt.Errorf("%s: %w", m.host.Name, rollout.ErrFenced)
	case e.Kind == protocol.Held && e.Lease != nil:
		return &rollout.HeldError{Target: m.host.Name, Lease: *e.Lease}
	case e.Kind == protocol.Refused && e.Next != "":
		return &remote.RefusedError{Address: m.host.Name, What: e.Message, Next: e.Next}
	case e.Next != "":
		return fmt.Errorf("%s: %s: %s", m.host.Name, e.Message, e.Next)
	}
	return fmt.Errorf("%s: %s", m.host.Name, e.Message)
}

// connect is a connection that is not lost, and what the machine is.
func (m *machine) connect(ctx context.Context) (remote.Machine, identity, error) {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, identity{}, fmt.Errorf("%s: %w: %w", m.host.Name, remote.ErrUnreachable, context.Cause(ctx))
	}
	defer func() { <-m.turn }()
	if m.conn != nil && !lost(m.conn) {
		return m.conn, m.what, nil
	}
	conn, err := m.options.Open(ctx, m.host.Address, m.options.Remote)
	if err != nil {
		return nil, identity{}, m.named(err)
	}
	what, err := m.identify(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, identity{}, m.named(err)
	}
	m.conn, m.what = conn, what
	return conn, what, nil
}

func lost(conn remote.Machine) bool {
	select {
	case <-conn.Lost():
		return true
	default:
		return false
	}
}

// named says which host it is about, where the address does not.
func (m *machine) named(err error) error {
	if strings.Contains(m.host.Address, m.host.Name) && strings.HasPrefix(err.Error(), m.host.Address) {
		return err
	}
	return fmt.Errorf("%s: %w", m.host.Name, err)
}

func (m *machine) close() {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	if m.conn != nil {
		m.conn.Close()
	}
}

// bounded keeps what is written, up to a limit.
type bounded struct {
	text  []byte
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > b.limit {
		return 0, fmt.Errorf("the answer is longer than %d bytes", b.limit)
	}
	b.text = append(b.text, p...)
	return len(p), nil
}
