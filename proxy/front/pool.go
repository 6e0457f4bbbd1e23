package front

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/slipway-ci/slipway/proxy/traffic"
)

const (
	// idleInstance is how long a connection to an instance is kept unused. An instance that closes an idle connection does so
	// while a request may be on its way on it, which is lost then if it may not be sent twice. So it ends here first: the
	// shortest default of the servers that people use is 2 s (gunicorn), most have 5 s or more.
	idleInstance = time.Second
	// answerWithin is how long an instance may take to begin an answer.
	answerWithin = time.Minute
	// dialWithin is long for a connection on one machine: on one that has too much to do, a shorter limit is over before the
	// connection is even looked at.
	dialWithin = 10 * time.Second
)

// pools makes the connections to each instance. They are Caddy's, because its errors say whether a request was sent at all.
func pools() (connect func(address string) traffic.Pool, err error) {
	ctx, _ := caddy.NewContext(caddy.Context{Context: context.Background()}) // they live as long as the process
	make := func() (*http.Transport, error) {
		no := false
		t, err := (&reverseproxy.HTTPTransport{
			KeepAlive:             &reverseproxy.KeepAlive{IdleConnTimeout: caddy.Duration(idleInstance), MaxIdleConnsPerHost: 512},
			Compression:           &no, // what the instance answers is passed on as it is
			DialTimeout:           caddy.Duration(dialWithin),
			ResponseHeaderTimeout: caddy.Duration(answerWithin),
			Versions:              []string{"1.1"},
		}).NewTransport(ctx)
		if err != nil {
			return nil, fmt.Errorf("make connections to instances: %w", err)
		}
		t.Proxy = nil // instances are on this machine
		return t, nil
	}
	if _, err := make(); err != nil {
		return nil, err
	}
	return func(string) traffic.Pool {
		t, err := make()
		if err != nil {
			panic(err) // the same call succeeded before
		}
		return t
	}, nil
}
