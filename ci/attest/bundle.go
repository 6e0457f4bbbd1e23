package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// MediaType is that of a bundle, as a blob and as the type of a referrer.
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// PayloadType is that of a statement inside of a bundle, or alone.
const PayloadType = "application/vnd.in-toto+json"

// maxBundle is more than any bill of materials takes, and less than what hurts.
const maxBundle = 64 << 20

// oldMediaType is what the same version of the format was called first.
const oldMediaType = "application/vnd.dev.sigstore.bundle+json;version=0.3"

// Bundle is a signed statement, taken apart. Nothing of it is verified: Verify
// does that.
type Bundle struct {
	Statement   Statement
	Hint        string // which key signed, as the signer puts it
	Certificate []byte // of a keyless signature, in DER
	payload     []byte
	signature   []byte
}

// bundleJSON is Sigstore's format. What a key does not need is only known to
// exist, so that a field that nobody knows is refused.
type bundleJSON struct {
	MediaType string          `json:"mediaType"`
	Material  materialJSON    `json:"verificationMaterial"`
	Envelope  envelopeJSON    `json:"dsseEnvelope"`
	Blob      json.RawMessage `json:"messageSignature,omitempty"`
}

type materialJSON struct {
	PublicKey   *publicKeyJSON   `json:"publicKey,omitempty"`
	Certificate *certificateJSON `json:"certificate,omitempty"`
	Chain       json.RawMessage  `json:"x509CertificateChain,omitempty"`
	Log         json.RawMessage  `json:"tlogEntries,omitempty"`
	Timestamps  json.RawMessage  `json:"timestampVerificationData,omitempty"`
}

type publicKeyJSON struct {
	Hint string `json:"hint"`
}

type certificateJSON struct {
	Raw []byte `json:"rawBytes"`
}

type envelopeJSON struct {
	Payload     []byte          `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []signatureJSON `json:"signatures"`
}

type signatureJSON struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid,omitempty"`
}

// Open takes a bundle apart without verifying it.
func Open(bundle []byte) (Bundle, error) {
	if len(bundle) > maxBundle {
		return Bundle{}, &FormatError{fmt.Sprintf("it is larger than %d MiB", maxBundle>>20)}
	}
	var read bundleJSON
	decoder := json.NewDecoder(bytes.NewReader(bundle))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		return Bundle{}, &FormatError{"it is no JSON of a bundle: " + err.Error()}
	}
	if decoder.More() {
		return Bundle{}, &FormatError{"something follows after it"}
	}
	if err := read.check(); err != nil {
		return Bundle{}, err
	}
	statement, err := ReadStatement(read.Envelope.Payload)
	if err != nil {
		return Bundle{}, err
	}
	opened := Bundle{Statement: statement, payload: read.Envelope.Payload, signature: read.Envelope.Signatures[0].Sig}
	if read.Material.PublicKey != nil {
		opened.Hint = read.Material.PublicKey.Hint
	} else {
		opened.Certificate = read.Material.Certificate.Raw
	}
	return opened, nil
}

// check refuses what this package does not understand as a whole.
func (b bundleJSON) check() error {
	switch {
	case b.MediaType != MediaType && b.MediaType != oldMediaType:
		return &FormatError{fmt.Sprintf("its type is %q: only %s is known", b.MediaType, MediaType)}
	case b.Blob != nil:
		return &FormatError{"it signs a file, and says nothing about it: a statement is wanted"}
	case b.Envelope.PayloadType != PayloadType:
		return &FormatError{fmt.Sprintf("it signs %q: only %s is known", b.Envelope.PayloadType, PayloadType)}
	case len(b.Envelope.Signatures) != 1:
		return &FormatError{fmt.Sprintf("it has %d signatures: there must be one", len(b.Envelope.Signatures))}
	case len(b.Envelope.Signatures[0].Sig) == 0:
		return &FormatError{"its signature is empty"}
	case (b.Material.PublicKey == nil) == (b.Material.Certificate == nil):
		return &FormatError{"it does not say which key or certificate signed it"}
	}
	return nil
}

// sealed is the bundle of a statement that a key signed.
func sealed(payload, signature []byte, hint string) ([]byte, error) {
	return encode(bundleJSON{
		MediaType: MediaType,
		Material:  materialJSON{PublicKey: &publicKeyJSON{hint}},
		Envelope:  envelopeJSON{Payload: payload, PayloadType: PayloadType, Signatures: []signatureJSON{{Sig: signature}}},
	})
}

// signedBytes is what DSSE signs: the payload with its type and both lengths, so
// that no byte of one can be taken for the other.
func signedBytes(payload []byte) []byte {
	head := "DSSEv1 " + strconv.Itoa(len(PayloadType)) + " " + PayloadType + " " + strconv.Itoa(len(payload)) + " "
	return append([]byte(head), payload...)
}
