package keyless

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-ci/slipway/ci/attest"
)

// timeout and retries of each request to a service.
const (
	timeout = 30 * time.Second
	retries = 2
)

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

// Signer signs with a new key each time, for which it gets a certificate.
type Signer struct{ options Options }

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
	return &Signer{o}, nil
}

// Identity says which service vouches.
func (s *Signer) Identity() string { return "a certificate of " + s.options.Fulcio }

// Sign gets a token, a certificate, and a log entry or a timestamp.
func (s *Signer) Sign(ctx context.Context, statement []byte) ([]byte, error) {
	token, err := s.options.Token(ctx)
	if err != nil {
		return nil, err
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	bundle, err := sign.Bundle(&sign.DSSEData{Data: statement, PayloadType: attest.PayloadType}, pair, s.services(ctx, token))
	if err != nil {
		return nil, errors.New(withoutToken(err.Error(), token))
	}
	written, err := protojson.Marshal(bundle)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer // protojson puts spaces in at random
	err = json.Compact(&compact, written)
	return compact.Bytes(), err
}

func (s *Signer) services(ctx context.Context, token string) sign.BundleOptions {
	o := s.options
	b := sign.BundleOptions{
		Context:                    ctx,
		CertificateProvider:        sign.NewFulcio(&sign.FulcioOptions{BaseURL: strings.TrimSuffix(o.Fulcio, "/"), Timeout: timeout, Retries: retries, Transport: o.Transport}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
	}
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
