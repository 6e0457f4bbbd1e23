package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialer makes the connection for one address.
type dialer struct {
	Options
	address string
}

// maxJumps is how many machines may be between, also when their configuration leads in a circle.
const maxJumps = 8

// route opens a connection, through the jump hosts that the configuration names. The last client keeps those before it: when
// it ends, they end.
func (d dialer) route(ctx context.Context, asked hop) (*chain, error) {
	target, err := d.resolve(asked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.address, err)
	}
	if target.command != "" {
		return nil, &RefusedError{Address: d.address, What: "its SSH configuration has a ProxyCommand, which is not run", Next: "use ProxyJump for it"}
	}
	way, err := d.jumps(target)
	if err != nil {
		return nil, err
	}
	route := &chain{}
	for _, s := range append(way, target) {
		client, err := d.connect(ctx, s, route.last())
		if err != nil {
			route.Close()
			return nil, err
		}
		route.clients = append(route.clients, client)
	}
	return route, nil
}

// jumps are the machines between, the nearest first. A jump host may itself be behind others: those come first.
func (d dialer) jumps(target settings) ([]settings, error) {
	var way []settings
	for _, text := range target.jumps {
		asked, err := parseJump(text)
		if err != nil {
			return nil, fmt.Errorf("%s: ProxyJump: %w", d.address, err)
		}
		s, err := d.resolve(asked)
		if err != nil {
			return nil, fmt.Errorf("%s: ProxyJump: %w", d.address, err)
		}
		if len(way) == 0 && len(s.jumps) > 0 {
			return nil, &RefusedError{Address: d.address, What: "its jump host " + text + " has a jump host itself", Next: "write the whole way into ProxyJump, separated by commas"}
		}
		if s.command != "" {
			return nil, &RefusedError{Address: d.address, What: "its jump host " + text + " has a ProxyCommand, which is not run", Next: "use ProxyJump for it"}
		}
		way = append(way, s)
	}
	if len(way) > maxJumps {
		return nil, &RefusedError{Address: d.address, What: fmt.Sprintf("there are %d jump hosts on the way", len(way)), Next: fmt.Sprintf("use at most %d", maxJumps)}
	}
	return way, nil
}

// connect opens one connection: directly, or through the machine before.
func (d dialer) connect(ctx context.Context, s settings, via *link) (*link, error) {
	id := d.identity(s) // an encrypted key takes its time, and the machine would wait
	defer id.close()
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer for %s", s.timeout))
	defer cancel()
	known, err := d.keys(s, d.address)
	if err != nil {
		return nil, err
	}
	client, err := d.handshake(ctx, s, via, id, known, known.algorithms())
	if err != nil && known.offered == nil && len(known.algorithms()) > 0 && isNegotiation(err) {
		// It has no key of a type that is known. This second time is to learn its fingerprint: any key is refused.
		other := *known
		_, err = d.handshake(ctx, s, via, id, &other, nil)
	}
	return client, err
}

// isNegotiation says whether both sides found no way in common. For keys there may be one, once known types are no limit.
func isNegotiation(err error) bool {
	var none *ssh.AlgorithmNegotiationError
	return errors.As(err, &none)
}

func (d dialer) handshake(ctx context.Context, s settings, via *link, id *identity, known *keys, algorithms []string) (*link, error) {
	opened, err := d.open(ctx, s, via)
	if err != nil {
		return nil, d.unreachable(ctx, s, err)
	}
	conn := &heard{Conn: opened}
	// Not every connection can have a deadline: one through a jump host cannot.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	inner, channels, requests, err := ssh.NewClientConn(conn, known.name, &ssh.ClientConfig{
		User: s.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(id.signers...)},
		HostKeyCallback: known.check, HostKeyAlgorithms: algorithms, ClientVersion: "SSH-2.0-slipway",
	})
	if err == nil {
		return &link{ssh.NewClient(inner, channels, requests), conn}, nil
	}
	conn.Close()
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, refused
	case ctx.Err() == nil && known.offered != nil && isLogin(err):
		return nil, id.refused(s, d.address)
	}
	return nil, d.unreachable(ctx, s, err)
}

// isLogin says whether the machine refused all keys. The library has no value for it. sshd may also end the connection.
func isLogin(err error) bool {
	return strings.Contains(err.Error(), "unable to authenticate") || strings.Contains(err.Error(), "too many authentication failures") ||
		strings.Contains(err.Error(), "Too many authentication failures")
}

func (d dialer) open(ctx context.Context, s settings, via *link) (conn net.Conn, err error) {
	if via == nil {
		return d.Dial(ctx, "tcp", s.address())
	}
	return via.DialContext(ctx, "tcp", s.address())
}

func (d dialer) unreachable(ctx context.Context, s settings, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	where := d.address
	if !strings.Contains(where, s.host) {
		where += " (" + s.address() + ")"
	}
	return fmt.Errorf("%s: %w: %w: look whether the machine runs, its name is right, and a firewall lets port %s through", where, ErrUnreachable, err, s.port)
}

// chain is a connection and those that it goes through.
type chain struct{ clients []*link }

func (c *chain) last() *link {
	if len(c.clients) == 0 {
		return nil
	}
	return c.clients[len(c.clients)-1]
}

// Close ends all of them. The first one comes first: what is behind it cannot block then.
func (c *chain) Close() {
	for _, client := range c.clients {
		client.Close()
	}
}

// link is one connection.
type link struct {
	*ssh.Client
	conn *heard
}

// heard is a connection that knows when something arrived last: on a slow line, an answer may be behind much else.
type heard struct {
	net.Conn
	last atomic.Int64
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 {
		h.last.Store(time.Now().UnixNano())
	}
	return n, err
}
