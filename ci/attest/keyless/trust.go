package keyless

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/slipway-ci/slipway/ci/attest"
)

// Trust is the trust in one identity, as one issuer names it.
type Trust struct {
	issuer, identity string
	root             Root
}

var _ attest.Trust = Trust{}

// NewTrust refuses what is no single identity: nothing, or a pattern.
func NewTrust(issuer, identity string, root Root) (Trust, error) {
	if err := exact("issuer", issuer); err != nil {
		return Trust{}, err
	}
	if err := exact("identity", identity); err != nil {
		return Trust{}, err
	}
	if err := root.check(); err != nil {
		return Trust{}, fmt.Errorf("trust %s: %w", identity, err)
	}
	return Trust{issuer, identity, root}, nil
}

func exact(what, value string) error {
	if value == "" {
		return fmt.Errorf("trust an identity: the %s is missing: both issuer and identity are needed", what)
	}
	if at := strings.IndexAny(value, "*?^$|\\()[]{} \t\r\n"); at >= 0 {
		return fmt.Errorf("trust an identity: the %s %q has a %q: it is no pattern, write it out", what, value, value[at])
	}
	return nil
}

func (t Trust) String() string { return fmt.Sprintf("%s (issuer %s)", t.identity, t.issuer) }

// Check verifies certificate, time, log entry, signature and identity.
func (t Trust) Check(data []byte) ([]byte, attest.Signed, error) {
	opened, err := attest.Open(data)
	if err != nil {
		return nil, attest.Signed{}, err
	}
	if opened.Certificate == nil {
		return nil, attest.Signed{}, t.other("", "key "+opened.Hint)
	}
	return t.verify(data)
}

func (t Trust) verify(data []byte) ([]byte, attest.Signed, error) {
	var entity bundle.Bundle
	if err := entity.UnmarshalJSON(data); err != nil {
		return nil, attest.Signed{}, &attest.FormatError{Reason: err.Error()}
	}
	verifier, err := verify.NewVerifier(t.root.material, t.demands()...)
	if err != nil {
		return nil, attest.Signed{}, err
	}
	identity, err := verify.NewShortCertificateIdentity(t.issuer, "", t.identity, "")
	if err != nil {
		return nil, attest.Signed{}, err
	}
	// what it is about is compared by attest.Verify, in the payload that comes back
	result, err := verifier.Verify(&entity, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(identity)))
	if err != nil {
		return nil, attest.Signed{}, t.explain(&entity, err)
	}
	by := attest.Signed{Issuer: result.Signature.Certificate.Issuer, Identity: result.Signature.Certificate.SubjectAlternativeName, Time: earliest(result)}
	return entity.GetDsseEnvelope().GetPayload(), by, nil
}

// demands are what the root can check.
func (t Trust) demands() []verify.VerifierOption {
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(t.root.material.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(t.root.material.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return options
}

func earliest(result *verify.VerificationResult) time.Time {
	var first time.Time
	for _, stamp := range result.VerifiedTimestamps {
		if first.IsZero() || stamp.Timestamp.Before(first) {
			first = stamp.Timestamp
		}
	}
	return first
}

// explain finds out what a person has to look at. The bundle is refused in any
// case: the worst that a wrong answer here does is to point at the wrong place.
func (t Trust) explain(entity *bundle.Bundle, refused error) error {
	content, contentErr := entity.SignatureContent()
	material, materialErr := entity.VerificationContent()
	if errors.Join(contentErr, materialErr) != nil {
		return &attest.FormatError{Reason: refused.Error()}
	}
	if err := verify.VerifySignature(content, material, t.root.material); err != nil {
		return &attest.ChangedError{}
	}
	leaf := material.Certificate()
	if _, err := verify.VerifyLeafCertificate(leaf.NotBefore, leaf, t.root.material); err != nil {
		return &attest.UntrustedError{Reason: refused.Error()}
	}
	if summary, err := certificate.SummarizeCertificate(leaf); err == nil && (summary.Issuer != t.issuer || summary.SubjectAlternativeName != t.identity) {
		return t.other(summary.Issuer, summary.SubjectAlternativeName)
	}
	// the chain holds at the certificate's own time, so these are about another one
	text := refused.Error()
	for _, time := range []string{"failed to verify leaf certificate", "failed to verify timestamps", "outside certificate validity"} {
		if strings.Contains(text, time) {
			return &attest.ExpiredError{Reason: text}
		}
	}
	return &attest.UntrustedError{Reason: text}
}

func (t Trust) other(issuer, identity string) error {
	return &attest.IdentityError{TrustedIssuer: t.issuer, TrustedIdentity: t.identity, SignedIssuer: issuer, SignedIdentity: identity}
}
