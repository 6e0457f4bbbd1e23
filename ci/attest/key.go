package attest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// Key signs with a private key of one's own. Printing it shows its public half.
type Key struct {
	private crypto.Signer
	public  PublicKey
}

// sigstoreKeys are the PEM types of cosign's encrypted keys, of version 2 and 1.
var sigstoreKeys = []string{"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"}

// refused says what is wrong with PEM files that people also give.
var refused = map[string]string{
	"ENCRYPTED PRIVATE KEY": "it is encrypted in a way that is not supported: decrypt it (openssl pkcs8), or make a key with cosign generate-key-pair",
	"OPENSSH PRIVATE KEY":   "it is a key for ssh: make one with cosign generate-key-pair",
	"RSA PRIVATE KEY":       "it is an RSA key: ECDSA P-256 and Ed25519 are supported; cosign generate-key-pair makes one",
	"PUBLIC KEY":            "it is the public key: signing takes the private one",
	"CERTIFICATE":           "it is a certificate: signing takes a private key",
}

// ReadKey reads a private key from PEM: PKCS#8 or SEC 1, ECDSA P-256 or Ed25519,
// or cosign.key, which is encrypted with a password. Errors say what is wrong
// with it and show nothing of it.
func ReadKey(data, password []byte) (*Key, error) {
	block, err := privateBlock(data)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	parsed, err := parsePrivate(block, password)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	public, err := newPublicKey(parsed.Public())
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	return &Key{parsed, public}, nil
}

// privateBlock finds the key in a PEM file. openssl puts parameters before it.
func privateBlock(data []byte) (*pem.Block, error) {
	block, rest := pem.Decode(data)
	for block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil && len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("it is empty")
	case block == nil && bytes.Contains(data, []byte(`\n`)):
		return nil, errors.New(`it has \n in place of line ends: pass it with real ones`)
	case block == nil:
		return nil, errors.New("it is no PEM file, which begins with -----BEGIN and ends with -----END, each on a line of its own")
	case refused[block.Type] != "":
		return nil, errors.New(refused[block.Type])
	case block.Headers["Proc-Type"] != "":
		return nil, errors.New(refused["ENCRYPTED PRIVATE KEY"])
	}
	return block, nil
}

// parsePrivate reads the key of a block. The errors of the libraries are left
// out, in case they ever quote it.
func parsePrivate(block *pem.Block, password []byte) (crypto.Signer, error) {
	der := block.Bytes
	switch {
	case block.Type == "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(der)
		if err != nil {
			return nil, errors.New("its content is no elliptic curve key: was it cut off?")
		}
		return key, nil
	case slices.Contains(sigstoreKeys, block.Type):
		opened, err := encrypted.Decrypt(der, password)
		if err != nil && len(password) == 0 {
			return nil, errors.New("it is encrypted and the password is empty: set the password")
		}
		if err != nil {
			return nil, errors.New("the password does not open it, or it was changed")
		}
		der = opened
	case block.Type != "PRIVATE KEY":
		return nil, fmt.Errorf("a PEM block of type %.40q is not supported: PRIVATE KEY, EC PRIVATE KEY and %s are", block.Type, sigstoreKeys[0])
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("its content is no private key (PKCS#8): was it cut off?")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("it is a key that does not sign")
	}
	return key, nil
}

// Public is the other half: whoever has it can verify.
func (k *Key) Public() PublicKey { return k.public }

// Identity says which key it is.
func (k *Key) Identity() string { return "key " + k.public.Hint() }

// Format keeps the private half out of whatever prints a Key.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.Identity())) }

// Sign signs without randomness (RFC 6979, RFC 8032): the same statement gives
// the same bundle. There is no transparency log.
func (k *Key) Sign(_ context.Context, statement []byte) ([]byte, error) {
	message := signedBytes(statement)
	var options crypto.SignerOpts = crypto.Hash(0)
	if _, ok := k.private.(*ecdsa.PrivateKey); ok {
		sum := sha256.Sum256(message)
		message, options = sum[:], crypto.SHA256
	}
	signature, err := k.private.Sign(nil, message, options)
	if err != nil {
		return nil, err
	}
	return sealed(statement, signature, k.public.Hint())
}

// supported tells the keys that cosign and this package agree on.
func supported(key crypto.PublicKey) error {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
		return fmt.Errorf("it is an ECDSA key of %s: P-256 is supported", key.Curve.Params().Name)
	}
	return errors.New(refused["RSA PRIVATE KEY"])
}
