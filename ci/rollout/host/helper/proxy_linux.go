package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// proxyDeadline is how long our proxy may take to answer.
const proxyDeadline = 10 * time.Second

// defaultDrain is how long an instance gets for the requests that it still has.
const defaultDrain = 30 * time.Second

// proxy is that of a service, over a socket.
type proxy struct {
	socket string
}

// proxy is the one that serves.
func (s *service) proxy() proxy { return s.proxyAt("proxy.sock") }

// proxyAt is one of the two, which both have a socket of their own beside the name that the serving one has.
func (s *service) proxyAt(socket string) proxy {
	return proxy{socket: s.path(protocol.RunDir, s.name, socket)}
}

// upstream is an instance as the proxy knows it.
type upstream struct {
	Name     string           `json:"name"`
	Address  string           `json:"address"`
	Weight   int              `json:"weight"`
	Active   int              `json:"active,omitempty"`
	Requests int              `json:"requests,omitempty"`
	Errors   int              `json:"errors,omitempty"`
	P99      rollout.Duration `json:"p99,omitempty"`
}

// routes is what the proxy is told.
type routes struct {
	Upstreams []upstream `json:"upstreams"`
	Domains   []string   `json:"domains,omitempty"`
	TLS       string     `json:"tls,omitempty"`
	Cert      string     `json:"cert,omitempty"`
	Key       string     `json:"key,omitempty"`
	Health    string     `json:"health,omitempty"`
}

type proxyStatus struct {
	Upstreams []upstream `json:"upstreams"`
}

func (p proxyStatus) split() rollout.Split {
	split := rollout.Split{}
	for _, u := range p.Upstreams {
		if u.Weight > 0 {
			split[u.Name] = u.Weight
		}
	}
	return split
}

func (p proxyStatus) upstream(name, address string) (upstream, bool) {
	for _, u := range p.Upstreams {
		if u.Name == name && u.Address == address {
			return u, true
		}
	}
	return upstream{}, false
}

func (p proxy) status(ctx context.Context) (proxyStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyDeadline)
	defer cancel()
	var status proxyStatus
	err := p.send(ctx, http.MethodGet, "/slipway/v1", nil, &status)
	return status, err
}

// set changes weights, and reads back that they are what requests follow now.
func (p proxy) set(ctx context.Context, r protocol.Release, list []upstream) error {
	config := r.Traffic.Proxy
	wanted := routes{Upstreams: list, Domains: config.Domains, TLS: config.TLS, Cert: config.Cert, Key: config.Key, Health: r.Health}
	ctx, cancel := context.WithTimeout(ctx, proxyDeadline)
	defer cancel()
	var got proxyStatus
	if err := p.send(ctx, http.MethodPut, "/slipway/v1", wanted, &got); err != nil {
		return fmt.Errorf("shift: %w", err)
	}
	if want := (proxyStatus{Upstreams: list}).split(); want.String() != got.split().String() {
		return fmt.Errorf("shift: the proxy was told %s, and says %s", want, got.split())
	}
	return nil
}

func (p proxy) drain(ctx context.Context, name string, limit rollout.Duration) error {
	limit = cmp.Or(limit, rollout.Duration(defaultDrain))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(limit)+proxyDeadline)
	defer cancel()
	return p.send(ctx, http.MethodPost, "/slipway/v1/drain", map[string]string{"name": name, "timeout": limit.String()}, nil)
}

// retire asks it to leave, which it does once its connections have ended.
func (p proxy) retire(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, proxyDeadline)
	defer cancel()
	return p.send(ctx, http.MethodPost, "/slipway/v1/retire", map[string]string{"timeout": limit.String()}, nil)
}

func (p proxy) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", p.socket)
	}}}
}

func (p proxy) send(ctx context.Context, method, path string, ask, answer any) error {
	var body []byte
	if ask != nil {
		text, err := json.Marshal(ask)
		if err != nil {
			return fmt.Errorf("ask the proxy: %w", err)
		}
		body = text
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := p.client().Do(request)
	if err != nil {
		return fmt.Errorf("the proxy does not answer: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("the proxy does not answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy says %s: %.300s", response.Status, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return errors.Join(errors.New("the proxy's answer cannot be read"), err)
	}
	return nil
}
