// Package keylesstest is a Sigstore for tests: a certificate authority, a log and a timestamp authority behind real addresses,
// with sigstore's own virtual log in it.
package keylesstest

import (
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Who signs in a new world, and who says so.
const (
	Issuer   = "https://token.example.org"
	Identity = "https://git.example.org/team/greeter/.github/workflows/release.yml@refs/tags/v1.2.3"
)

// Token is what the issuer gives: only its middle is ever read.
var Token = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+Issuer+`","sub":"repo:team/greeter"}`)) + ".c2VjcmV0"

// jobSecret is what a job asks for its token with.
const jobSecret = "job-secret-0123456789"

// GitHubJob is the environment of a job of GitHub Actions that is given the token, and no other.
func GitHubJob(t testing.TB) map[string]string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer "+jobSecret, r.Header.Get("Authorization"))
		assert.Equal(t, "sigstore", r.URL.Query().Get("audience"))
		_, _ = io.WriteString(w, `{"value":"`+Token+`"}`)
	}))
	t.Cleanup(server.Close)
	return map[string]string{"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": server.URL + "/token?api-version=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": jobSecret}
}

// World is a Sigstore: an authority, a log and a timestamp authority, each with
// the address of a real one. It is trusted material itself.
type World struct {
	root.BaseTrustedMaterial
	t testing.TB

	Intermediate          *x509.Certificate // which gives the certificates
	authority             *x509.Certificate
	intermediateKey       *ecdsa.PrivateKey
	stamper, stamperAbove *x509.Certificate
	stamperKey            *ecdsa.PrivateKey
	log                   *ca.VirtualSigstore
	server                *httptest.Server
	certified             atomic.Int64

	Issuer, Identity string           // whom it certifies
	Age              time.Duration    // of the certificates that it gives
	Answer           http.HandlerFunc // in place of the authority's

	NoLog, NoStamps, Transparency bool // what the root has
}

// New starts a world that ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{t: t, Issuer: Issuer, Identity: Identity}
	authority, key, err := ca.GenerateRootCa()
	require.NoError(t, err)
	w.authority = authority
	w.Intermediate, w.intermediateKey, err = ca.GenerateFulcioIntermediate(authority, key)
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

// URL is the address of the authority and of the log.
func (w *World) URL() string { return w.server.URL }

// Timestamps is the whole address of the timestamp authority.
func (w *World) Timestamps() string { return w.server.URL + "/api/v1/timestamp" }

// Certified says how many certificates it has given.
func (w *World) Certified() int { return int(w.certified.Load()) }

// RootJSON is the trusted material as a trusted_root.json.
func (w *World) RootJSON() []byte {
	w.t.Helper()
	logs := w.RekorLogs()
	for name, log := range logs {
		id, err := hex.DecodeString(name) // as real ones have it; the virtual one has text
		require.NoError(w.t, err)
		log.ID = id
	}
	written, err := root.NewTrustedRoot(root.TrustedRootMediaType01, w.FulcioCertificateAuthorities(), w.CTLogs(), w.TimestampingAuthorities(), logs)
	require.NoError(w.t, err)
	text, err := json.Marshal(written)
	require.NoError(w.t, err)
	return text
}

// The trusted material of this world.

func (w *World) FulcioCertificateAuthorities() []root.CertificateAuthority {
	return []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: w.authority, Intermediates: []*x509.Certificate{w.Intermediate}, ValidityPeriodStart: time.Now().Add(-5 * time.Hour), URI: w.server.URL,
	}}
}

func (w *World) TimestampingAuthorities() []root.TimestampingAuthority {
	if w.NoStamps {
		return nil
	}
	return []root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
		Root: w.authority, Intermediates: []*x509.Certificate{w.stamperAbove}, Leaf: w.stamper, ValidityPeriodStart: time.Now().Add(-5 * time.Hour), URI: w.server.URL,
	}}
}

func (w *World) RekorLogs() map[string]*root.TransparencyLog {
	if w.NoLog {
		return nil
	}
	return w.log.RekorLogs()
}

func (w *World) CTLogs() map[string]*root.TransparencyLog {
	if !w.Transparency {
		return nil
	}
	return w.log.CTLogs()
}

// certify is Fulcio: it believes the token, and looks at the proof.
func (w *World) certify(out http.ResponseWriter, in *http.Request) {
	if w.Answer != nil {
		w.Answer(out, in)
		return
	}
	w.certified.Add(1)
	assert.Equal(w.t, "Bearer "+Token, in.Header.Get("Authorization"))
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

func (w *World) leaf(key crypto.PublicKey) []byte {
	began := time.Now().Add(-w.Age - time.Minute)
	value, err := asn1.MarshalWithParams(w.Issuer, "utf8")
	require.NoError(w.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: began, NotAfter: began.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: value}},
	}
	if name, err := url.Parse(w.Identity); err == nil && name.Host != "" {
		template.URIs = []*url.URL{name}
	} else {
		template.EmailAddresses = []string{w.Identity}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, w.Intermediate, key, w.intermediateKey)
	require.NoError(w.t, err)
	return der
}

// stamp is a timestamp authority.
func (w *World) stamp(out http.ResponseWriter, in *http.Request) {
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
func (w *World) enter(out http.ResponseWriter, in *http.Request) {
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
