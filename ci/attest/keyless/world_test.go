package keyless

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest"
)

const (
	issuer   = "https://token.example.org"
	identity = "https://git.example.org/team/greeter/.github/workflows/release.yml@refs/tags/v1.2.3"
)

// token is what the issuer gives: only its middle is ever read.
var token = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuer+`","sub":"repo:team/greeter"}`)) + ".c2VjcmV0"

var digest = "sha256:" + strings.Repeat("a", 64)

// world is a Sigstore: an authority, a log and a timestamp authority, each with
// the address of a real one.
type world struct {
	root.BaseTrustedMaterial
	t testing.TB

	authority, intermediate *x509.Certificate
	intermediateKey         *ecdsa.PrivateKey
	stamper, stamperAbove   *x509.Certificate
	stamperKey              *ecdsa.PrivateKey
	log                     *ca.VirtualSigstore
	server                  *httptest.Server

	issuer, identity string        // whom it certifies
	age              time.Duration // of the certificates that it gives
	answer           http.HandlerFunc

	noLog, noStamps, transparency bool // what the root has
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, issuer: issuer, identity: identity}
	authority, key, err := ca.GenerateRootCa()
	require.NoError(t, err)
	w.authority = authority
	w.intermediate, w.intermediateKey, err = ca.GenerateFulcioIntermediate(authority, key)
	require.NoError(t, err)
	above, aboveKey, err := ca.GenerateTSAIntermediate(authority, key)
	require.NoError(t, err)
	w.stamperAbove = above
	w.stamperKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	w.stamper, err = ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), w.stamperKey, above, aboveKey)
	require.NoError(t, err)
	w.log, err = ca.NewVirtualSigstore()
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/signingCert", w.certify)
	mux.HandleFunc("POST /api/v1/timestamp", w.stamp)
	mux.HandleFunc("POST /api/v1/log/entries", w.enter)
	w.server = httptest.NewServer(mux)
	t.Cleanup(w.server.Close)
	return w
}

// The trusted material of this world.

func (w *world) FulcioCertificateAuthorities() []root.CertificateAuthority {
	return []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: w.authority, Intermediates: []*x509.Certificate{w.intermediate}, ValidityPeriodStart: time.Now().Add(-5 * time.Hour), URI: w.server.URL,
	}}
}

func (w *world) TimestampingAuthorities() []root.TimestampingAuthority {
	if w.noStamps {
		return nil
	}
	return []root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
		Root: w.authority, Intermediates: []*x509.Certificate{w.stamperAbove}, Leaf: w.stamper, ValidityPeriodStart: time.Now().Add(-5 * time.Hour), URI: w.server.URL,
	}}
}

func (w *world) RekorLogs() map[string]*root.TransparencyLog {
	if w.noLog {
		return nil
	}
	return w.log.RekorLogs()
}

func (w *world) CTLogs() map[string]*root.TransparencyLog {
	if !w.transparency {
		return nil
	}
	return w.log.CTLogs()
}

// certify is Fulcio: it believes the token, and looks at the proof.
func (w *world) certify(out http.ResponseWriter, in *http.Request) {
	if w.answer != nil {
		w.answer(out, in)
		return
	}
	assert.Equal(w.t, "Bearer "+token, in.Header.Get("Authorization"))
	var asked struct {
		PublicKeyRequest struct {
			PublicKey         struct{ Content string }
			ProofOfPossession []byte
		}
	}
	require.NoError(w.t, json.NewDecoder(in.Body).Decode(&asked))
	block, _ := pem.Decode([]byte(asked.PublicKeyRequest.PublicKey.Content))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(w.t, err)
	sum := sha256.Sum256([]byte("repo:team/greeter"))
	assert.True(w.t, ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], asked.PublicKeyRequest.ProofOfPossession))
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.leaf(key)})
	require.NoError(w.t, json.NewEncoder(out).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": []string{string(leaf)}}}}))
}

func (w *world) leaf(key crypto.PublicKey) []byte {
	began := time.Now().Add(-w.age - time.Minute)
	value, err := asn1.MarshalWithParams(w.issuer, "utf8")
	require.NoError(w.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: began, NotAfter: began.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: value}},
	}
	if name, err := url.Parse(w.identity); err == nil && name.Host != "" {
		template.URIs = []*url.URL{name}
	} else {
		template.EmailAddresses = []string{w.identity}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, w.intermediate, key, w.intermediateKey)
	require.NoError(w.t, err)
	return der
}

// stamp is a timestamp authority.
func (w *world) stamp(out http.ResponseWriter, in *http.Request) {
	data, err := io.ReadAll(in.Body)
	require.NoError(w.t, err)
	asked, err := timestamp.ParseRequest(data)
	require.NoError(w.t, err)
	stamp := timestamp.Timestamp{HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Time: time.Now(), Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}}
	answer, err := stamp.CreateResponseWithOpts(w.stamper, w.stamperKey, crypto.SHA256)
	require.NoError(w.t, err)
	_, _ = out.Write(answer)
}

// enter is Rekor: it answers with the entry of the virtual one's log.
func (w *world) enter(out http.ResponseWriter, in *http.Request) {
	var asked struct {
		Spec struct {
			ProposedContent struct {
				Envelope  string
				Verifiers [][]byte
			}
		}
	}
	require.NoError(w.t, json.NewDecoder(in.Body).Decode(&asked))
	var envelope dsse.Envelope
	require.NoError(w.t, json.Unmarshal([]byte(asked.Spec.ProposedContent.Envelope), &envelope))
	block, _ := pem.Decode(asked.Spec.ProposedContent.Verifiers[0])
	leaf, err := x509.ParseCertificate(block.Bytes)
	require.NoError(w.t, err)
	signature, err := base64.StdEncoding.DecodeString(envelope.Signatures[0].Sig)
	require.NoError(w.t, err)
	entry, err := w.log.GenerateTlogEntry(leaf, &envelope, signature, time.Now().Unix(), true)
	require.NoError(w.t, err)
	e := entry.TransparencyLogEntry()
	proof := map[string]any{
		"checkpoint": e.InclusionProof.Checkpoint.Envelope, "hashes": []string{}, "logIndex": e.InclusionProof.LogIndex,
		"rootHash": hex.EncodeToString(e.InclusionProof.RootHash), "treeSize": e.InclusionProof.TreeSize,
	}
	promise, err := w.log.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(e.CanonicalizedBody), IntegratedTime: e.IntegratedTime, LogIndex: e.LogIndex, LogID: hex.EncodeToString(e.LogId.KeyId),
	})
	require.NoError(w.t, err)
	name := strings.Repeat("1", 64)
	out.Header().Set("ETag", name)
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(http.StatusCreated)
	require.NoError(w.t, json.NewEncoder(out).Encode(map[string]any{name: map[string]any{
		"body": e.CanonicalizedBody, "integratedTime": e.IntegratedTime, "logID": hex.EncodeToString(e.LogId.KeyId), "logIndex": e.LogIndex,
		"verification": map[string]any{"inclusionProof": proof, "signedEntryTimestamp": promise},
	}}))
}

// options sign in this world, with a log and a timestamp authority.
func (w *world) options() Options {
	return Options{Fulcio: w.server.URL, Rekor: w.server.URL, Timestamps: w.server.URL + "/api/v1/timestamp", Token: StaticToken(token)}
}

func (w *world) sign(o Options) []byte {
	w.t.Helper()
	signer, err := New(o)
	require.NoError(w.t, err)
	bundle, err := attest.Sign(context.Background(), signer, statement(w.t))
	require.NoError(w.t, err)
	return bundle
}

func (w *world) trust() Trust {
	w.t.Helper()
	trust, err := NewTrust(issuer, identity, Root{w})
	require.NoError(w.t, err)
	return trust
}

func statement(t testing.TB) attest.Statement {
	t.Helper()
	s, err := attest.Provenance(attest.Build{Verb: "publish", Builder: attest.Where(func(string) string { return "" })}, attest.Subject{Digest: digest})
	require.NoError(t, err)
	return s
}

var want = attest.Want{Digest: digest, Predicate: attest.PredicateProvenance}

// isType says that an error is of a type, and returns it.
func isType[T error](t testing.TB, err error) T {
	t.Helper()
	var is T
	require.ErrorAs(t, err, &is)
	return is
}

// replaced is a bundle with one text in place of another, which must be there.
func replaced(t testing.TB, bundle []byte, from, to string) []byte {
	t.Helper()
	require.Contains(t, string(bundle), from)
	return bytes.Replace(bundle, []byte(from), []byte(to), 1)
}
