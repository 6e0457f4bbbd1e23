package keyless

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-ci/slipway/ci/attest"
)

func keyPEM(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// sigstore verifies a bundle with a key as Sigstore's own library does.
func sigstore(t testing.TB, data []byte, public attest.PublicKey) error {
	t.Helper()
	block, _ := pem.Decode(public.PEM())
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(t, err)
	loaded, err := signature.LoadDefaultVerifier(key)
	require.NoError(t, err)
	expiring := root.NewExpiringKey(loaded, time.Time{}, time.Time{})
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return expiring, nil })
	verifier, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps())
	require.NoError(t, err)
	var entity bundle.Bundle
	if err := entity.UnmarshalJSON(data); err != nil {
		return err
	}
	_, err = verifier.Verify(&entity, verify.NewPolicy(verify.WithArtifactDigest("sha256", bytes.Repeat([]byte{0xaa}, 32)), verify.WithKey()))
	return err
}

// Package attest reads and verifies bundles of keys by itself: it must not
// believe what Sigstore's library does not.
func TestAgreesWithSigstore(t *testing.T) {
	private, err := attest.ReadKey(keyPEM(t), nil)
	require.NoError(t, err)
	ours, err := attest.Sign(t.Context(), private, statement(t))
	require.NoError(t, err)
	require.NoError(t, sigstore(t, ours, private.Public()))
	for at := range ours {
		changed := bytes.Clone(ours)
		changed[at] ^= 1
		if _, err := attest.Verify(changed, private.Public(), want); err == nil {
			assert.NoError(t, sigstore(t, changed, private.Public()), "byte %d", at)
		}
	}
}

// What Sigstore's library signs with a key, package attest verifies.
func TestVerifiesWhatSigstoreSigns(t *testing.T) {
	pair, err := sign.NewEphemeralKeypair(nil)
	require.NoError(t, err)
	payload, err := statement(t).Bytes()
	require.NoError(t, err)
	signed, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: attest.PayloadType}, pair, sign.BundleOptions{Context: t.Context()})
	require.NoError(t, err)
	theirs, err := protojson.Marshal(signed)
	require.NoError(t, err)
	text, err := pair.GetPublicKeyPem()
	require.NoError(t, err)
	public, err := attest.ReadPublicKey([]byte(text))
	require.NoError(t, err)
	assert.Equal(t, string(pair.GetHint()), public.Hint())
	_, err = attest.Verify(theirs, public, want)
	assert.NoError(t, err)
}
