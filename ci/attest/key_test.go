package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sec1(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// cosignKey is cosign.key: PKCS#8, encrypted with a password.
func cosignKey(t testing.TB, kind string, key any, password string) []byte {
	t.Helper()
	block, _ := pem.Decode(pkcs8(t, key))
	sealed, err := encrypted.EncryptWithCustomKDFParameters(block.Bytes, []byte(password), encrypted.Legacy) // the cheapest one
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: sealed})
}

func TestReadKey(t *testing.T) {
	key := ecKey(t, 1)
	edwards := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	for name, c := range map[string]struct {
		data     []byte
		password string
	}{
		"PKCS#8":                   {pkcs8(t, key), ""},
		"SEC 1":                    {sec1(t, key), ""},
		"SEC 1, as openssl has it": {append(parameters, sec1(t, key)...), ""},
		"text before and after":    {[]byte("the key\n" + string(pkcs8(t, key)) + "\nthat was it\n"), ""},
		"Ed25519":                  {pkcs8(t, edwards), ""},
		"cosign 2 and 3":           {cosignKey(t, sigstoreKeys[0], key, "pass"), "pass"},
		"cosign 1, empty password": {cosignKey(t, sigstoreKeys[1], edwards, ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := ReadKey(c.data, []byte(c.password))
			require.NoError(t, err)
			public, err := ReadPublicKey(read.Public().PEM())
			require.NoError(t, err)
			assert.Equal(t, read.Public().Hint(), public.Hint())
			s := provenanceOf(t, build())
			_, err = Verify(signed(t, read, s), public, Want{digestA, PredicateProvenance})
			assert.NoError(t, err)
		})
	}
}

func TestReadKeySaysWhatIsWrong(t *testing.T) {
	key := ecKey(t, 1)
	larger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	sealed := cosignKey(t, sigstoreKeys[0], key, "pass")
	for name, c := range map[string]struct {
		data     []byte
		password string
		want     string
	}{
		"nothing":           {nil, "", "it is empty"},
		"no PEM":            {[]byte("c2VjcmV0"), "", "it is no PEM"},
		"escaped":           {bytes.ReplaceAll(pkcs8(t, key), []byte("\n"), []byte(`\n`)), "", `it has \n in place of line ends`},
		"cut off":           {pkcs8(t, key)[:80], "", "it is no PEM"},
		"other content":     {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}), "", "no private key (PKCS#8)"},
		"other SEC 1":       {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("secret")}), "", "no elliptic curve key"},
		"public":            {signerOf(t, 0).Public().PEM(), "", "it is the public key"},
		"RSA":               {pkcs8(t, other), "", "it is an RSA key"},
		"RSA, PKCS#1":       {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(other)}), "", "it is an RSA key"},
		"P-384":             {pkcs8(t, larger), "", "ECDSA key of P-384: P-256 is supported"},
		"encrypted PKCS#8":  {pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}), "", "openssl pkcs8"},
		"encrypted SEC 1":   {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")}), "", "openssl pkcs8"},
		"ssh":               {pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("x")}), "", "it is a key for ssh"},
		"unknown":           {pem.EncodeToMemory(&pem.Block{Type: "PGP PRIVATE KEY BLOCK", Bytes: []byte("x")}), "", `"PGP PRIVATE KEY BLOCK" is not supported`},
		"wrong password":    {sealed, "hunter22", "the password does not open it"},
		"no password":       {sealed, "", "the password is empty: set the password"},
		"a certificate":     {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "", "it is a certificate"},
		"changed container": {pem.EncodeToMemory(&pem.Block{Type: sigstoreKeys[0], Bytes: []byte(`{"kdf":{"name":"scrypt","params":{"N":1073741824,"r":8,"p":1}}}`)}), "x", "the password does not open it, or it was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadKey(c.data, []byte(c.password))
			require.ErrorContains(t, err, "read signing key: ")
			assert.ErrorContains(t, err, c.want)
			hides(t, key, err.Error())
			assert.NotContains(t, err.Error(), "hunter22")
		})
	}
}

// hides says that a text shows nothing of a private key.
func hides(t testing.TB, key *ecdsa.PrivateKey, text string) {
	t.Helper()
	raw, err := key.Bytes()
	require.NoError(t, err)
	block, _ := pem.Decode(pkcs8(t, key))
	for _, form := range []string{string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(block.Bytes)[60:100], fmt.Sprint(raw)} {
		assert.NotContains(t, text, form)
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	for n := range byte(2) {
		key := signerOf(t, n)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			assert.Equal(t, key.Identity(), fmt.Sprintf(verb, key), verb)
			assert.NotContains(t, fmt.Sprintf(verb, struct{ Key *Key }{key}), "1 1 1 1", verb)
		}
	}
}

func TestASignatureIsAlwaysTheSame(t *testing.T) {
	for n := range byte(2) {
		for name, s := range statements(t) {
			assert.Equal(t, string(signed(t, signerOf(t, n), s)), string(signed(t, signerOf(t, n), s)), name)
		}
	}
	golden(t, "bundle", signed(t, signerOf(t, 0), statements(t)["signature"]))
}

func TestReadPublicKeySaysWhatIsWrong(t *testing.T) {
	larger, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(larger.Public())
	require.NoError(t, err)
	for want, data := range map[string][]byte{
		"it is no PEM":                 []byte("key"),
		`it is a "PRIVATE KEY"`:        pkcs8(t, ecKey(t, 1)),
		"its content is no public key": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
		"P-521: P-256 is supported":    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	} {
		_, err := ReadPublicKey(data)
		require.ErrorContains(t, err, want)
		hides(t, ecKey(t, 1), err.Error())
	}
}

func FuzzReadKey(f *testing.F) {
	f.Add(pkcs8(f, ecKey(f, 1)), "")
	f.Add(sec1(f, ecKey(f, 1)), "")
	f.Add(pem.EncodeToMemory(&pem.Block{Type: sigstoreKeys[0], Bytes: []byte(`{"kdf":{"name":"scrypt"},"cipher":{"name":"nacl/secretbox"}}`)}), "x")
	f.Add([]byte(strings.Repeat("-----BEGIN EC PARAMETERS-----\n-----END EC PARAMETERS-----\n", 3)), "")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		key, err := ReadKey(data, []byte(password))
		if err != nil {
			require.ErrorContains(t, err, "read signing key: ")
			return
		}
		s := provenanceOf(t, build())
		_, err = Verify(signed(t, key, s), key.Public(), Want{digestA, PredicateProvenance})
		require.NoError(t, err)
	})
}

func FuzzReadPublicKey(f *testing.F) {
	f.Add(signerOf(f, 0).Public().PEM())
	f.Add(signerOf(f, 1).Public().PEM())
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ReadPublicKey(data)
		if err != nil {
			return
		}
		again, err := ReadPublicKey(key.PEM())
		require.NoError(t, err)
		require.Equal(t, key.Hint(), again.Hint())
	})
}
