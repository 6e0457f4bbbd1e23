package attest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var wanted = Want{digestA, PredicateProvenance}

func TestVerify(t *testing.T) {
	for n := range byte(2) {
		key := signerOf(t, n)
		for name, s := range statements(t) {
			verified, err := Verify(signed(t, key, s), key.Public(), Want{digestA, s.Type})
			require.NoError(t, err, name)
			assert.True(t, Same(s, verified.Statement), name)
			assert.Equal(t, Signed{Key: key.Public().Hint()}, verified.By)
			assert.Equal(t, key.Identity(), verified.By.String())
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, other := signerOf(t, 0), signerOf(t, 2)
	bundle := signed(t, key, provenanceOf(t, build()))

	wrong := isType[*KeyError](t, verifyError(t, bundle, other.Public(), wanted))
	assert.Equal(t, KeyError{Trusted: other.Public().Hint(), Signed: key.Identity()}, *wrong)
	assert.ErrorContains(t, wrong, key.Public().Hint())
	assert.ErrorContains(t, wrong, other.Public().Hint())
	isType[*KeyError](t, verifyError(t, bundle, signerOf(t, 1).Public(), wanted))

	subject := isType[*SubjectError](t, verifyError(t, bundle, key.Public(), Want{digestB, PredicateProvenance}))
	assert.Equal(t, SubjectError{Want: digestB, Got: []string{digestA}}, *subject)
	predicate := isType[*PredicateError](t, verifyError(t, bundle, key.Public(), Want{digestA, PredicateSBOM}))
	assert.EqualError(t, predicate, "it is provenance, not bill of materials")

	changed := change(t, bundle, func(b *bundleJSON) {
		b.Envelope.Payload = bytes.Replace(b.Envelope.Payload, []byte("amd64"), []byte("s390x"), 1)
	})
	isType[*ChangedError](t, verifyError(t, changed, key.Public(), wanted))
	hintless := change(t, changed, func(b *bundleJSON) { b.Material.PublicKey.Hint = "" })
	isType[*ChangedError](t, verifyError(t, hintless, key.Public(), wanted))
	certified := change(t, bundle, func(b *bundleJSON) { b.Material = materialJSON{Certificate: &certificateJSON{[]byte("x")}} })
	assert.ErrorContains(t, isType[*KeyError](t, verifyError(t, certified, key.Public(), wanted)), "signed with a certificate")

	isType[*ChangedError](t, verifyError(t, change(t, bundle, func(b *bundleJSON) { b.Material.PublicKey.Hint = "" }), PublicKey{}, wanted))
	assert.ErrorContains(t, verifyError(t, bundle, key.Public(), Want{"", PredicateProvenance}), "is no digest")
	assert.ErrorContains(t, verifyError(t, bundle, key.Public(), Want{digestA, ""}), "not said what is wanted")
	assert.ErrorContains(t, verifyError(t, bundle, nil, wanted), "whom to trust")
}

func TestVerifyRefusesForms(t *testing.T) {
	bundle := signed(t, signerOf(t, 0), provenanceOf(t, build()))
	for want, changed := range map[string][]byte{
		"no JSON":                 []byte("x"),
		"something follows":       append(bytes.Clone(bundle), bundle...),
		"its type is":             change(t, bundle, func(b *bundleJSON) { b.MediaType = "application/vnd.dev.sigstore.bundle.v0.4+json" }),
		"it signs a file":         change(t, bundle, func(b *bundleJSON) { b.Blob = []byte("{}") }),
		"unknown field":           []byte(strings.Replace(string(bundle), `{"mediaType"`, `{"more":1,"mediaType"`, 1)),
		"it signs \"text":         change(t, bundle, func(b *bundleJSON) { b.Envelope.PayloadType = "text/plain" }),
		"it has 0 signatures":     change(t, bundle, func(b *bundleJSON) { b.Envelope.Signatures = nil }),
		"it has 2 signatures":     change(t, bundle, func(b *bundleJSON) { b.Envelope.Signatures = append(b.Envelope.Signatures, b.Envelope.Signatures[0]) }),
		"its signature is empty":  change(t, bundle, func(b *bundleJSON) { b.Envelope.Signatures[0].Sig = nil }),
		"which key":               change(t, bundle, func(b *bundleJSON) { b.Material = materialJSON{} }),
		"which key or":            change(t, bundle, func(b *bundleJSON) { b.Material.Certificate = &certificateJSON{} }),
		"the statement's type is": change(t, bundle, func(b *bundleJSON) { b.Envelope.Payload = []byte(`{}`) }),
		"larger than 64 MiB":      bytes.Repeat([]byte(" "), maxBundle+1),
	} {
		err := verifyError(t, changed, signerOf(t, 0).Public(), wanted)
		isType[*FormatError](t, err)
		assert.ErrorContains(t, err, want)
	}
	old := change(t, bundle, func(b *bundleJSON) { b.MediaType = oldMediaType })
	_, err := Verify(old, signerOf(t, 0).Public(), wanted)
	assert.NoError(t, err, "what version 0.3 was called first")
}

// No byte of a bundle can be changed so that something else is believed.
func TestVerifyRefusesEveryChangedByte(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 11
	}
	for n := range byte(2) {
		key := signerOf(t, n)
		s := provenanceOf(t, build())
		bundle := signed(t, key, s)
		refused := 0
		for at := 0; at < len(bundle); at += step {
			changed := bytes.Clone(bundle)
			changed[at] ^= 1
			verified, err := Verify(changed, key.Public(), wanted)
			if err != nil {
				refused++
				continue
			}
			want, _ := s.Bytes()
			got, _ := verified.Statement.Bytes()
			require.Equal(t, string(want), string(got), "byte %d", at)
		}
		assert.Greater(t, refused, len(bundle)/step*9/10)
	}
}

func verifyError(t testing.TB, bundle []byte, trust Trust, want Want) error {
	t.Helper()
	verified, err := Verify(bundle, trust, want)
	require.Error(t, err)
	require.Zero(t, verified)
	return err
}

func change(t testing.TB, bundle []byte, how func(*bundleJSON)) []byte {
	t.Helper()
	var b bundleJSON
	require.NoError(t, json.Unmarshal(bundle, &b))
	how(&b)
	changed, err := encode(b)
	require.NoError(t, err)
	return changed
}

func TestFind(t *testing.T) {
	key, other := signerOf(t, 0), signerOf(t, 2)
	all := statements(t)
	provenance, sbom := signed(t, key, all["provenance"]), signed(t, key, all["sbom"])
	foreign := signed(t, other, all["provenance"])

	found, err := Find([][]byte{sbom, []byte("junk"), foreign, provenance}, key.Public(), wanted)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, key.Public().Hint(), found[0].By.Key)

	_, err = Find([][]byte{sbom, foreign, foreign}, key.Public(), wanted)
	isType[*KeyError](t, err)
	assert.ErrorContains(t, err, "verify provenance of "+digestA)

	_, err = Find(nil, key.Public(), wanted)
	assert.ErrorContains(t, isType[*MissingError](t, err), "has no provenance: nothing about it was published there")
	_, err = Find([][]byte{sbom, signed(t, key, all["tests"]), sbom}, key.Public(), wanted)
	assert.ErrorContains(t, isType[*MissingError](t, err), "has no provenance: there is bill of materials, test results only")
	_, err = Find([][]byte{[]byte("junk"), {}}, key.Public(), wanted)
	assert.ErrorContains(t, isType[*MissingError](t, err), "2 more could not be read")
}

// broken is a signer that does not do what it says.
type broken struct {
	bundle []byte
	err    error
}

func (b broken) Sign(context.Context, []byte) ([]byte, error) { return b.bundle, b.err }
func (b broken) Identity() string                             { return "a broken signer" }

func TestSignChecksTheSigner(t *testing.T) {
	s := provenanceOf(t, build())
	for want, signer := range map[string]broken{
		"holds another statement": {bundle: signed(t, signerOf(t, 0), statements(t)["sbom"])},
		"it cannot be read":       {bundle: []byte("x")},
		"no token":                {err: errors.New("no token")},
	} {
		_, err := Sign(t.Context(), signer, s)
		assert.ErrorContains(t, err, "sign provenance with a broken signer: ")
		assert.ErrorContains(t, err, want)
	}
	_, err := Sign(t.Context(), signerOf(t, 0), Statement{})
	assert.Error(t, err)
}

func TestRefer(t *testing.T) {
	bundle := signed(t, signerOf(t, 0), statements(t)["provenance"])
	r, err := Refer(bundle, committed)
	require.NoError(t, err)
	assert.Equal(t, Referrer{
		Type: "application/vnd.dev.sigstore.bundle.v0.3+json", MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", Data: bundle,
		Annotations: map[string]string{
			"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": PredicateProvenance, "org.opencontainers.image.created": "2026-03-04T05:06:07Z",
		},
	}, r)
	_, err = Refer([]byte("x"), committed)
	isType[*FormatError](t, err)

	unsigned, err := ReferUnsigned(statements(t)["provenance"], time.Time{})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"in-toto.io/predicate-type": PredicateProvenance}, unsigned.Annotations)
	read, err := ReadStatement(unsigned.Data)
	require.NoError(t, err)
	assert.True(t, Same(read, statements(t)["provenance"]))
	_, err = ReferUnsigned(Statement{}, committed)
	assert.Error(t, err)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for want, err := range map[string]error{
		"signed by a@example.org (issuer https://a.example.org), but b@example.org (issuer https://b.example.org) is trusted": &IdentityError{"https://b.example.org", "b@example.org", "https://a.example.org", "a@example.org"},
		"signed by key x, but b (issuer i) is trusted":   &IdentityError{"i", "b", "", "key x"},
		"changed after signing; do not use it (the log)": &ChangedError{"the log"},
		"not valid at the time of signing":               &ExpiredError{"x"},
		"is it the root of the services that signed?":    &UntrustedError{"x"},
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, "a@example.org (issuer i)", Signed{Issuer: "i", Identity: "a@example.org"}.String())
	assert.Equal(t, "https://example.org/other", Title("https://example.org/other"))
}

func FuzzVerify(f *testing.F) {
	key := signerOf(f, 0)
	for _, s := range statements(f) {
		f.Add(signed(f, key, s))
	}
	f.Add([]byte(strings.Replace(string(signed(f, key, provenanceOf(f, build()))), "publicKey", "certificate", 1)))
	said := map[string]bool{}
	for _, s := range statements(f) {
		data, err := s.Bytes()
		require.NoError(f, err)
		said[base64.StdEncoding.EncodeToString(data)] = true
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := Open(data)
		if err != nil {
			isType[*FormatError](t, err)
			return
		}
		_, err = Verify(data, key.Public(), Want{digestA, opened.Statement.Type})
		if err == nil && !said[base64.StdEncoding.EncodeToString(opened.payload)] {
			t.Fatalf("believed %q, which nobody has signed", opened.payload)
		}
	})
}
