package keyless

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-ci/slipway/ci/attest"
)

// timeout and retries of each request to a service.
const (
	timeout = 30 * time.Second
	retries = 2
)

// Audience is whom a token must be for: any Fulcio.
const Audience = "sigstore"

// Options say which services sign.
type Options struct {
	Fulcio string // address of the certificate authority
	// Rekor is the address of a log, Timestamps the whole one of a timestamp
	// authority. One of both is needed, as the certificate is short-lived.
	Rekor        string
	RekorVersion uint32 // 1 or 2; 0 is 1. The second one needs Timestamps too
	Timestamps   string
	// Token gives the OIDC token that proves who signs.
	Token func(context.Context) (string, error)
	// Root, if it is there, checks the bundle before anybody else sees it.
	Root Root
	// Transport makes the requests to Fulcio and to the timestamp authority.
	Transport http.RoundTripper
}

// Signer signs with a key that it makes for the occasion, and with a certificate
// for it. One certificate serves for as long as it is good: what a run has to say
// is signed within minutes. Several may use it at once.
type Signer struct {
	options Options

	mu  sync.Mutex
	own *credential
}

// credential is a key with its certificate.
type credential struct {
	pair        sign.Keypair
	certificate *x509.Certificate
}

// spare is what must be left of a certificate's time when something is signed.
const spare = 3 * time.Minute

var _ attest.Signer = (*Signer)(nil)

// New makes a signer. It asks nobody before something is signed.
func New(o Options) (*Signer, error) {
	switch {
	case o.Fulcio == "":
		return nil, errors.New("sign keyless: no certificate authority is named")
	case o.Token == nil:
		return nil, errors.New("sign keyless: there is nothing that says who signs: a token is needed")
	case o.Rekor == "" && o.Timestamps == "":
		return nil, errors.New("sign keyless: neither a log nor a timestamp authority is named: nothing would prove when it was signed")
	case o.RekorVersion == 2 && o.Timestamps == "":
		return nil, errors.New("sign keyless: the second version of the log tells no time: name a timestamp authority")
	}
	return &Signer{options: o}, nil
}

// Identity says which service vouches.
func (s *Signer) Identity() string { return "a certificate of " + s.options.Fulcio }

// Trust is the trust in whoever signs here: the one that the certificate names.
func (s *Signer) Trust(ctx context.Context) (Trust, error) {
	own, err := s.credential(ctx)
	if err != nil {
		return Trust{}, err
	}
	named, err := certificate.SummarizeCertificate(own.certificate)
	if err != nil {
		return Trust{}, fmt.Errorf("read the certificate of %s: %w", s.options.Fulcio, err)
	}
	return NewTrust(named.Issuer, named.SubjectAlternativeName, s.options.Root)
}

// Sign gets a log entry or a timestamp, and before that a certificate if it has
// none.
func (s *Signer) Sign(ctx context.Context, statement []byte) ([]byte, error) {
	own, err := s.credential(ctx)
	if err != nil {
		return nil, err
	}
	bundle, err := sign.Bundle(&sign.DSSEData{Data: statement, PayloadType: attest.PayloadType}, own.pair, s.services(ctx, own))
	if err != nil {
		return nil, err
	}
	written, err := protojson.Marshal(bundle)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer // protojson puts spaces in at random
	err = json.Compact(&compact, written)
	return compact.Bytes(), err
}

// credential is the one there is, or a new one.
func (s *Signer) credential(ctx context.Context) (*credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own != nil && time.Until(s.own.certificate.NotAfter) > spare {
		return s.own, nil
	}
	own, err := s.enrol(ctx)
	if err != nil {
		return nil, err
	}
	s.own = own
	return own, nil
}

// enrol makes a key and shows the token to the authority.
func (s *Signer) enrol(ctx context.Context) (*credential, error) {
	token, err := s.options.Token(ctx)
	if err != nil {
		return nil, err
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	authority := sign.NewFulcio(&sign.FulcioOptions{BaseURL: strings.TrimSuffix(s.options.Fulcio, "/"), Timeout: timeout, Retries: retries, Transport: s.options.Transport})
	der, err := authority.GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token})
	if err != nil {
		return nil, errors.New(withoutToken(err.Error(), token))
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of %s: %w", s.options.Fulcio, err)
	}
	return &credential{pair, leaf}, nil
}

// GetCertificate gives Sigstore's library the certificate that is there already.
func (c *credential) GetCertificate(context.Context, sign.Keypair, *sign.CertificateProviderOptions) ([]byte, error) {
	return c.certificate.Raw, nil
}

func (s *Signer) services(ctx context.Context, own *credential) sign.BundleOptions {
	o := s.options
	b := sign.BundleOptions{Context: ctx, CertificateProvider: own}
	if o.Timestamps != "" {
		authority := sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: o.Timestamps, Timeout: timeout, Retries: retries, Transport: o.Transport})
		b.TimestampAuthorities = []*sign.TimestampAuthority{authority}
	}
	if o.Rekor != "" {
		b.TransparencyLogs = []sign.Transparency{sign.NewRekor(&sign.RekorOptions{BaseURL: o.Rekor, Timeout: timeout, Retries: retries, Version: o.RekorVersion})}
	}
	if o.Root.material != nil {
		b.TrustedRoot = o.Root.material
	}
	return b
}

// withoutToken takes the token out of what a service answered.
func withoutToken(text, token string) string {
	if token == "" {
		return text
	}
	return strings.ReplaceAll(text, token, "(the token)")
}

// StaticToken is a token that is there already.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if strings.Count(token, ".") != 2 {
			return "", fmt.Errorf("the token is no OIDC token (a JWT has three parts, this has %d)", strings.Count(token, ".")+1)
		}
		return token, nil
	}
}
