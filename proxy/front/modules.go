// Package front is what clients talk to: Caddy, with three modules of ours, and a configuration that is made here and nowhere
// on disk.
//
//   - The handler "slipway" chooses an instance and follows the request to its end.
//   - The upstream source "slipway" tells Caddy's reverse proxy which one was chosen, and chooses another when it failed.
//   - The transport "slipway" sends the request over the connections of that instance alone, and counts what comes of it.
package front

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/slipway-ci/slipway/proxy/traffic"
)

// retryAfter is when a client may try again while there is no instance, in seconds.
const retryAfter = "5"

var errNoInstance = errors.New("no instance gets requests now")

// exchangeKey is where a request's context holds its exchange.
type exchangeKey struct{}

func exchangeOf(ctx context.Context) *traffic.Exchange {
	x, _ := ctx.Value(exchangeKey{}).(*traffic.Exchange)
	return x
}

// handler is the module "http.handlers.slipway".
type handler struct {
	traffic *traffic.Traffic
	maxBody int64
}

var _ caddyhttp.MiddlewareHandler = (*handler)(nil)

func (h *handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.slipway", New: func() caddy.Module { return &handler{h.traffic, h.maxBody} }}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.traffic.Retiring() {
		w.Header().Set("Connection", "close")
	}
	if r.ContentLength > h.maxBody {
		return caddyhttp.Error(http.StatusRequestEntityTooLarge, fmt.Errorf("a body of %d bytes: at most %d are taken", r.ContentLength, h.maxBody))
	}
	x, ok := h.traffic.Begin()
	if !ok {
		w.Header().Set("Retry-After", retryAfter)
		return caddyhttp.Error(http.StatusServiceUnavailable, errNoInstance)
	}
	defer x.End()
	stripForwarded(r.Header)
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	if r.Body != nil && r.ContentLength != 0 {
		r.Body = http.MaxBytesReader(w, r.Body, h.maxBody)
	}
	err := next.ServeHTTP(w, r)
	if err != nil && x.ClientError() != nil {
		return clientError(x.ClientError())
	}
	return err
}

// clientError is the status of a body that could not be read.
func clientError(err error) error {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return caddyhttp.Error(http.StatusRequestEntityTooLarge, err)
	}
	return caddyhttp.Error(http.StatusBadRequest, err)
}

// stripForwarded removes what a client says about where it comes from. Caddy then says it anew, from the connection.
func stripForwarded(header http.Header) {
	for name := range header {
		switch {
		case strings.HasPrefix(name, "X-Forwarded-"), name == "Forwarded", name == "X-Real-Ip", name == "X-Client-Ip", name == "True-Client-Ip", name == "X-Cluster-Client-Ip":
			delete(header, name)
		}
	}
}

// source is the module "http.reverse_proxy.upstreams.slipway".
type source struct{}

var _ reverseproxy.UpstreamSource = (*source)(nil)

func (*source) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.slipway", New: func() caddy.Module { return new(source) }}
}

// GetUpstreams is asked before every try.
func (*source) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	x := exchangeOf(r.Context())
	if x == nil || (x.Tried() && !x.Again()) {
		return nil, nil
	}
	return []*reverseproxy.Upstream{{Dial: x.Upstream().Address}}, nil
}

// transport is the module "http.reverse_proxy.transport.slipway".
type transport struct{}

var _ http.RoundTripper = (*transport)(nil)

func (*transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport.slipway", New: func() caddy.Module { return new(transport) }}
}

func (*transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r.Context())
	if x == nil {
		return nil, errNoInstance
	}
	r.URL.Scheme = "http"
	return x.RoundTrip(r)
}
