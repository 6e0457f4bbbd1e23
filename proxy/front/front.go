package front

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"    // certificates
	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // where they are kept

	"github.com/slipway-ci/slipway/proxy/settings"
	"github.com/slipway-ci/slipway/proxy/sockets"
	"github.com/slipway-ci/slipway/proxy/traffic"
)

// Network is the name under which Caddy finds the sockets of systemd: "systemd/0" is the first.
const Network = "systemd"

// Front is Caddy on sockets that others have too. There is one in a process.
type Front struct{ options Options }

// New registers our modules with Caddy. It is called once.
func New(o Options, set *sockets.Set, maxBody int64) (*Front, *traffic.Traffic, error) {
	connect, err := pools()
	if err != nil {
		return nil, nil, err
	}
	t := traffic.New(connect)
	caddy.RegisterModule(&handler{t, maxBody})
	caddy.RegisterModule(new(source))
	caddy.RegisterModule(new(transport))
	caddy.RegisterNetwork(Network, func(_ context.Context, _, host, _ string, _ uint, _ net.ListenConfig) (any, error) {
		number, err := strconv.Atoi(host)
		if err != nil {
			return nil, fmt.Errorf("listen on socket %q: it has a number", host)
		}
		return set.Listen(number)
	})
	return &Front{o}, t, nil
}

// Load starts to serve as the settings say, or goes on in another way. What is in flight ends as it began.
func (f *Front) Load(s settings.Settings) error {
	data, err := config(f.options, s)
	if err != nil {
		return err
	}
	if err := caddy.Load(data, true); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
