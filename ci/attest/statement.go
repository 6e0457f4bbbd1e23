package attest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// statementType is the one version of in-toto's statements that is written and read.
const statementType = "https://in-toto.io/Statement/v1"

// What a statement says, as the type of its predicate.
const (
	PredicateSignature  = "https://sigstore.dev/cosign/sign/v1"
	PredicateProvenance = "https://slsa.dev/provenance/v1"
	PredicateSBOM       = "https://cyclonedx.org/bom"
	PredicateTests      = "https://in-toto.io/attestation/test-result/v0.1"
	PredicateCoverage   = "https://github.com/slipway-ci/slipway/attestation/coverage/v1"
	PredicateVulns      = "https://cosign.sigstore.dev/attestation/vuln/v1"
)

// Subject is what a statement is about.
type Subject struct {
	Name   string // for people; may be empty
	Digest string // "sha256:" and 64 hexadecimal digits
}

// Statement is an in-toto statement: a predicate about subjects.
type Statement struct {
	Subjects  []Subject
	Type      string // of the predicate
	Predicate json.RawMessage
}

// statementJSON is the form that in-toto gives it.
type statementJSON struct {
	Type          string          `json:"_type"`
	Subject       []subjectJSON   `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate,omitempty"`
}

type subjectJSON struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// New makes a statement of a predicate. The subjects are sorted.
func New(predicateType string, predicate any, subjects ...Subject) (Statement, error) {
	s := Statement{Subjects: slices.Clone(subjects), Type: predicateType}
	slices.SortFunc(s.Subjects, func(a, b Subject) int {
		return strings.Compare(a.Digest+" "+a.Name, b.Digest+" "+b.Name)
	})
	if predicate != nil {
		raw, err := encode(predicate)
		if err != nil {
			return Statement{}, fmt.Errorf("write %s: %w", predicateType, err)
		}
		s.Predicate = raw
	}
	return s, s.check()
}

// Signature is the statement of an image's signature itself, as cosign makes
// it: it says nothing about the subject but that the signer stands for it.
func Signature(subject Subject) (Statement, error) {
	return New(PredicateSignature, nil, Subject{Digest: subject.Digest})
}

// SBOM is the statement that a CycloneDX document is about the subjects.
func SBOM(document []byte, subjects ...Subject) (Statement, error) {
	return New(PredicateSBOM, json.RawMessage(document), subjects...)
}

// Bytes is the statement as JSON, which is what is signed.
func (s Statement) Bytes() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	written := statementJSON{Type: statementType, PredicateType: s.Type, Predicate: s.Predicate}
	for _, subject := range s.Subjects {
		algorithm, sum, _ := strings.Cut(subject.Digest, ":")
		written.Subject = append(written.Subject, subjectJSON{subject.Name, map[string]string{algorithm: sum}})
	}
	return encode(written)
}

// ReadStatement reads a statement. Subjects without a SHA-256 are left out, as
// nothing here is found by another digest; one must be left.
func ReadStatement(data []byte) (Statement, error) {
	var read statementJSON
	if err := json.Unmarshal(data, &read); err != nil {
		return Statement{}, &FormatError{"the statement is no JSON: " + err.Error()}
	}
	if read.Type != statementType {
		return Statement{}, &FormatError{fmt.Sprintf("the statement's type is %q: only %s is known", read.Type, statementType)}
	}
	s := Statement{Type: read.PredicateType, Predicate: read.Predicate}
	for _, subject := range read.Subject {
		if sum, ok := subject.Digest["sha256"]; ok {
			s.Subjects = append(s.Subjects, Subject{subject.Name, "sha256:" + sum})
		}
	}
	if err := s.check(); err != nil {
		return Statement{}, &FormatError{err.Error()}
	}
	return s, nil
}

func (s Statement) check() error {
	if s.Type == "" {
		return errors.New("the statement has no type of predicate")
	}
	if len(s.Subjects) == 0 {
		return errors.New("the statement is about nothing: it needs a subject with a sha256 digest")
	}
	for _, subject := range s.Subjects {
		if err := checkDigest(subject.Digest); err != nil {
			return err
		}
	}
	return nil
}

// checkDigest holds a digest to the one form that is compared.
func checkDigest(digest string) error {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != 32 || sum != strings.ToLower(sum) {
		return fmt.Errorf("%q is no digest: it is sha256: and 64 hexadecimal digits", digest)
	}
	return nil
}

// encode writes JSON on one line, as it is: nobody puts it into HTML.
func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
