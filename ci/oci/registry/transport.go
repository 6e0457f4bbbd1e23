package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// routes decides how each host is talked to: the registry, its token service,
// and where both send us.
type routes struct {
	hosts   map[string]Host
	usual   *http.Transport
	special map[string]*http.Transport // hosts with authorities of their own
}

func newRoutes(o Options) (*routes, error) {
	r := &routes{hosts: o.Hosts, usual: o.Transport, special: map[string]*http.Transport{}}
	if r.usual == nil {
		r.usual = usualTransport()
	}
	r.usual = r.usual.Clone()
	for host, special := range o.Hosts {
		if special.CAFile == "" {
			continue
		}
		transport, err := withAuthorities(r.usual, special.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificates for %s: %w", host, err)
		}
		r.special[host] = transport
	}
	return r, nil
}

func usualTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   16,
		ForceAttemptHTTP2:     true,
		// A connection for many requests that is dead must not fail each of them.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}

func withAuthorities(from *http.Transport, file string) (*http.Transport, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	known, err := x509.SystemCertPool()
	if err != nil {
		known = x509.NewCertPool()
	}
	if !known.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate as PEM", file)
	}
	transport := from.Clone()
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.RootCAs = known
	return transport, nil
}

// RoundTrip refuses plain HTTP to hosts that are not named for it, whoever
// sends us there.
func (r *routes) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !r.hosts[req.URL.Host].PlainHTTP {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, &HostError{req.URL.Host, "the registry sends us to plain HTTP there", "the registry or the proxy before it must tell its https address (X-Forwarded-Proto); if you mean it, name the host for plain HTTP"}
	}
	if special, ok := r.special[req.URL.Host]; ok {
		return special.RoundTrip(req)
	}
	return r.usual.RoundTrip(req)
}

// scheme is how a registry is talked to.
func (r *routes) scheme(host string) string {
	if r.hosts[host].PlainHTTP {
		return "http"
	}
	return "https"
}

func (r *routes) closeIdle() {
	r.usual.CloseIdleConnections()
	for _, special := range r.special {
		special.CloseIdleConnections()
	}
}

// refusal tells what is wrong with a host's TLS, when that is what failed.
func refusal(registry string, err error) (*HostError, bool) {
	var (
		host      *HostError
		unknown   x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		other     *tls.CertificateVerificationError
		notTLS    tls.RecordHeaderError
		alert     tls.AlertError
		authority = "put the certificate of its authority into a file and name it for this host (CA file)"
	)
	switch {
	case errors.As(err, &host):
		return host, true
	case errors.As(err, &unknown):
		return &HostError{registry, "its certificate is of an authority that is not known here", authority}, true
	case errors.As(err, &name):
		return &HostError{registry, "its certificate is for another name", "use the name that is in it, or have a new one made"}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &HostError{registry, "its certificate has expired or is not valid yet", "have it renewed, or set this machine's clock"}, true
	case errors.As(err, &other), errors.As(err, &invalid):
		return &HostError{registry, "its certificate cannot be verified", authority}, true
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &notTLS):
		return &HostError{registry, "it speaks no TLS", "have it speak TLS; if you mean it, name the host for plain HTTP"}, true
	case errors.As(err, &alert):
		return &HostError{registry, "it refuses TLS with us", "look at its TLS versions, and whether it wants a certificate of ours"}, true
	}
	return nil, false
}

// withoutAddress is the host and the cause of an error: the address of an
// upload may hold what signs it.
func withoutAddress(host string, err error) (string, error) {
	var at *url.Error
	for errors.As(err, &at) {
		err = at.Err
		if u, parsed := url.Parse(at.URL); parsed == nil && u.Host != "" {
			host = u.Host
		}
	}
	return host, err
}
