package keyless

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/testing/data"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/attest/keyless/keylesstest"
)

func TestSignAndVerify(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Options){
		"log and timestamp":   func(*Options) {},
		"log alone":           func(o *Options) { o.Timestamps = "" },
		"checked when signed": func(o *Options) { o.Root = Root{w} },
	} {
		t.Run(name, func(t *testing.T) {
			o := w.options()
			change(&o)
			verified, err := attest.Verify(w.sign(o), w.trust(), want)
			require.NoError(t, err)
			assert.True(t, attest.Same(statement(t), verified.Statement))
			assert.Equal(t, issuer, verified.By.Issuer)
			assert.Equal(t, identity, verified.By.Identity)
			assert.WithinDuration(t, time.Now(), verified.By.Time, time.Minute)
		})
	}
}

// One certificate signs all that one run has to say, and says who trusts it.
func TestOneCertificateForARun(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Root = Root{w}
	signer, err := New(o)
	require.NoError(t, err)
	assert.Zero(t, w.Certified(), "nobody is asked before something is signed")
	trust, err := signer.Trust(t.Context())
	require.NoError(t, err)
	assert.Equal(t, w.trust().String(), trust.String())
	for range 3 {
		bundle, err := attest.Sign(t.Context(), signer, statement(t))
		require.NoError(t, err)
		_, err = attest.Verify(bundle, trust, want)
		require.NoError(t, err)
	}
	assert.Equal(t, 1, w.Certified())

	w.Age = 8 * time.Minute // so that little is left of what comes next
	signer, err = New(o)
	require.NoError(t, err)
	for range 2 {
		_, err = attest.Sign(t.Context(), signer, statement(t))
		require.NoError(t, err)
	}
	assert.Equal(t, 3, w.Certified(), "one that is about to run out is not used again")
}

func TestSignAndVerifyWithoutALog(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Rekor = ""
	bundle := w.sign(o)
	_, err := attest.Verify(bundle, w.trust(), want)
	assert.ErrorContains(t, isType[*attest.UntrustedError](t, err), "log", "the root has a log, so an entry is asked for")
	w.NoLog = true
	_, err = attest.Verify(bundle, w.trust(), want)
	assert.NoError(t, err)
}

func TestVerifyRefuses(t *testing.T) {
	w := newWorld(t)
	bundle := w.sign(w.options())

	_, err := attest.Verify(bundle, w.trust(), attest.Want{Digest: "sha256:" + fmt.Sprintf("%064x", 1), Predicate: want.Predicate})
	isType[*attest.SubjectError](t, err)
	_, err = attest.Verify(bundle, w.trust(), attest.Want{Digest: digest, Predicate: attest.PredicateSBOM})
	isType[*attest.PredicateError](t, err)

	_, err = attest.Verify(bundle, newWorld(t).trust(), want)
	isType[*attest.UntrustedError](t, err)

	w.Transparency = true
	_, err = attest.Verify(bundle, w.trust(), want)
	assert.ErrorContains(t, isType[*attest.UntrustedError](t, err), "signed certificate timestamp")
	w.Transparency = false

	payload, err := statement(t).Bytes()
	require.NoError(t, err)
	other := bytes.Replace(payload, []byte("publish"), []byte("deceive"), 1)
	changed := replaced(t, bundle, base64.StdEncoding.EncodeToString(payload), base64.StdEncoding.EncodeToString(other))
	_, err = attest.Verify(changed, w.trust(), want)
	isType[*attest.ChangedError](t, err)
}

func TestVerifyRefusesOtherIdentities(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ issuer, identity string }{
		{issuer, "https://git.example.org/team/greeter/.github/workflows/release.yml@refs/heads/main"},
		{issuer, identity + "0"},
		{issuer, "somebody@example.org"},
		{issuer + "/", identity},
		{"https://token.example.com", identity},
	} {
		w.Issuer, w.Identity = c.issuer, c.identity
		_, err := attest.Verify(w.sign(w.options()), w.trust(), want)
		refused := isType[*attest.IdentityError](t, err)
		assert.Equal(t, attest.IdentityError{TrustedIssuer: issuer, TrustedIdentity: identity, SignedIssuer: c.issuer, SignedIdentity: c.identity}, *refused)
	}
	private, err := attest.ReadKey(keyPEM(t), nil)
	require.NoError(t, err)
	bundle, err := attest.Sign(t.Context(), private, statement(t))
	require.NoError(t, err)
	_, err = attest.Verify(bundle, w.trust(), want)
	assert.Equal(t, private.Identity(), isType[*attest.IdentityError](t, err).SignedIdentity)
}

func TestVerifyRefusesWhatIsExpired(t *testing.T) {
	w := newWorld(t)
	w.Age = time.Minute * 30
	w.Intermediate.NotBefore = time.Now().Add(-time.Hour) // for the test's own look at the chain
	_, err := attest.Verify(w.sign(w.options()), w.trust(), want)
	isType[*attest.ExpiredError](t, err)
	w.NoLog = true
	o := w.options()
	o.Rekor = ""
	_, err = attest.Verify(w.sign(o), w.trust(), want)
	isType[*attest.ExpiredError](t, err)
	w.Age, w.NoStamps, w.NoLog = 0, true, false
	_, err = attest.Verify(w.sign(o), w.trust(), want)
	isType[*attest.UntrustedError](t, err)
}

// No byte of a bundle can be changed so that something else is believed.
func TestVerifyRefusesChangedBytes(t *testing.T) {
	w := newWorld(t)
	bundle := w.sign(w.options())
	said, err := statement(t).Bytes()
	require.NoError(t, err)
	step := 1
	if testing.Short() {
		step = 13
	}
	for at := 0; at < len(bundle); at += step {
		changed := bytes.Clone(bundle)
		changed[at] ^= 1
		verified, err := attest.Verify(changed, w.trust(), want)
		if err == nil {
			got, _ := verified.Statement.Bytes()
			require.Equal(t, string(said), string(got), "byte %d", at)
		}
	}
}

func TestReadRoot(t *testing.T) {
	w := newWorld(t)
	bundle := w.sign(w.options())
	read, err := ReadRoot(w.RootJSON())
	require.NoError(t, err)
	trust, err := NewTrust(issuer, identity, read)
	require.NoError(t, err)
	_, err = attest.Verify(bundle, trust, want)
	assert.NoError(t, err)
	_, err = ReadRoot([]byte("{}"))
	assert.ErrorContains(t, err, "read trusted root: ")
}

// What GitHub Actions and the public Sigstore made of a release of npm: real certificates, logs and transparency. It is about
// a SHA-512, so it is the signature alone that is looked at.
func TestVerifyThePublicSigstore(t *testing.T) {
	const (
		github  = "https://token.actions.githubusercontent.com"
		release = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
	)
	public := Root{data.TrustedRoot(t, "public-good.json")}
	published := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json")
	published.MediaType = attest.MediaType // of version 0.1, which has a chain in place of the certificate
	published.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: published.VerificationMaterial.GetX509CertificateChain().Certificates[0]}
	bundle, err := published.MarshalJSON()
	require.NoError(t, err)

	trust, err := NewTrust(github, release, public)
	require.NoError(t, err)
	payload, by, err := trust.verify(bundle)
	require.NoError(t, err)
	assert.Contains(t, string(payload), "pkg:npm/sigstore@2.0.0")
	assert.Equal(t, release, by.Identity)
	assert.Equal(t, 2023, by.Time.Year())

	trust, err = NewTrust(github, release+"x", public)
	require.NoError(t, err)
	_, _, err = trust.verify(bundle)
	assert.Equal(t, release, isType[*attest.IdentityError](t, err).SignedIdentity)
	w := newWorld(t)
	_, _, err = w.trust().verify(bundle)
	isType[*attest.UntrustedError](t, err)
}

func TestNewTrustRefuses(t *testing.T) {
	w := newWorld(t)
	for _, pattern := range []string{"", "*", "https://git.example.org/*", ".*", "^x$", "a|b", "x y", "https://git.example.org/[a-z]", `\w`, "a\n"} {
		_, err := NewTrust(issuer, pattern, Root{w})
		assert.ErrorContains(t, err, "trust an identity: the identity", pattern)
		_, err = NewTrust(pattern, identity, Root{w})
		assert.ErrorContains(t, err, "trust an identity: the issuer", pattern)
	}
	_, err := NewTrust(issuer, identity, Root{})
	assert.ErrorContains(t, err, "no certificate authority")
	w.NoLog, w.NoStamps = true, true
	_, err = NewTrust(issuer, identity, Root{w})
	assert.ErrorContains(t, err, "nothing would prove when")
}

func TestNewRefuses(t *testing.T) {
	whole := Options{Fulcio: "https://fulcio.example.org", Rekor: "https://rekor.example.org", Token: StaticToken(keylesstest.Token)}
	signer, err := New(whole)
	require.NoError(t, err)
	assert.Equal(t, "a certificate of https://fulcio.example.org", signer.Identity())
	for want, change := range map[string]func(*Options){
		"no certificate authority":   func(o *Options) { o.Fulcio = "" },
		"a token is needed":          func(o *Options) { o.Token = nil },
		"neither a log nor":          func(o *Options) { o.Rekor = "" },
		"name a timestamp authority": func(o *Options) { o.RekorVersion = 2 },
	} {
		o := whole
		change(&o)
		_, err := New(o)
		assert.ErrorContains(t, err, want)
	}
}

// A service that quotes the token does not get it into an error.
func TestErrorsHideTheToken(t *testing.T) {
	w := newWorld(t)
	w.Answer = func(out http.ResponseWriter, in *http.Request) {
		http.Error(out, in.Header.Get("Authorization"), http.StatusForbidden)
	}
	signer, err := New(w.options())
	require.NoError(t, err)
	_, err = attest.Sign(t.Context(), signer, statement(t))
	require.ErrorContains(t, err, "403")
	assert.ErrorContains(t, err, "sign provenance with a certificate of "+w.URL())
	assert.NotContains(t, err.Error(), keylesstest.Token)

	o := w.options()
	o.Token = StaticToken("secret")
	signer, err = New(o)
	require.NoError(t, err)
	_, err = attest.Sign(t.Context(), signer, statement(t))
	require.ErrorContains(t, err, "is no OIDC token")
	assert.NotContains(t, err.Error(), "secret")
}
