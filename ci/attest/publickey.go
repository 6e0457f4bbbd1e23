package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// PublicKey is the Trust in one key.
type PublicKey struct {
	key crypto.PublicKey
	der []byte
}

// ReadPublicKey reads a public key from PEM, such as cosign.pub.
func ReadPublicKey(data []byte) (PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return PublicKey{}, errors.New("read public key: it is no PEM file, which begins with -----BEGIN PUBLIC KEY-----")
	}
	if block.Type != "PUBLIC KEY" {
		return PublicKey{}, fmt.Errorf("read public key: it is a %.40q: take the public key, such as cosign.pub", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, errors.New("read public key: its content is no public key: was it cut off?")
	}
	public, err := newPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("read public key: %w", err)
	}
	return public, nil
}

func newPublicKey(key crypto.PublicKey) (PublicKey, error) {
	if err := supported(key); err != nil {
		return PublicKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	return PublicKey{key, der}, err
}

// PEM is the key as a file.
func (p PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p.der})
}

// Hint names the key in bundles, as Sigstore's libraries do: the SHA-256 of its
// DER form, in base64.
func (p PublicKey) Hint() string {
	sum := sha256.Sum256(p.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (p PublicKey) String() string { return "key " + p.Hint() }

// Check verifies that this key signed a bundle.
func (p PublicKey) Check(bundle []byte) ([]byte, Signed, error) {
	opened, err := Open(bundle)
	if err != nil {
		return nil, Signed{}, err
	}
	if opened.Certificate != nil {
		return nil, Signed{}, &KeyError{Trusted: p.Hint(), Signed: "a certificate"}
	}
	if p.verify(signedBytes(opened.payload), opened.signature) {
		return opened.payload, Signed{Key: p.Hint()}, nil
	}
	if opened.Hint != "" && opened.Hint != p.Hint() {
		return nil, Signed{}, &KeyError{Trusted: p.Hint(), Signed: "key " + opened.Hint}
	}
	return nil, Signed{}, &ChangedError{}
}

// verify is false for the zero PublicKey too.
func (p PublicKey) verify(message, signature []byte) bool {
	switch key := p.key.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(key, sum[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	}
	return false
}
