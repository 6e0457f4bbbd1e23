package attest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
)

// Signer signs statements.
type Signer interface {
	// Sign puts a statement, as its bytes are, into a signed bundle.
	Sign(ctx context.Context, statement []byte) (bundle []byte, err error)
	// Identity says for people who signs: which key, which service.
	Identity() string
}

// Sign signs a statement, and makes sure that this statement is what is signed.
func Sign(ctx context.Context, signer Signer, s Statement) ([]byte, error) {
	payload, err := s.Bytes()
	if err != nil {
		return nil, err
	}
	bundle, err := signer.Sign(ctx, payload)
	if err != nil {
		return nil, fmt.Errorf("sign %s with %s: %w", Title(s.Type), signer.Identity(), err)
	}
	opened, err := Open(bundle)
	if err != nil {
		return nil, fmt.Errorf("sign %s with %s: %w", Title(s.Type), signer.Identity(), err)
	}
	if !bytes.Equal(opened.payload, payload) {
		return nil, fmt.Errorf("sign %s with %s: the bundle holds another statement", Title(s.Type), signer.Identity())
	}
	return bundle, nil
}

// Title is the type of a predicate in words.
func Title(predicate string) string {
	titles := map[string]string{
		PredicateSignature:  "signature",
		PredicateProvenance: "provenance",
		PredicateSBOM:       "bill of materials",
		PredicateTests:      "test results",
		PredicateCoverage:   "coverage",
		PredicateVulns:      "vulnerability results",
	}
	return cmp.Or(titles[predicate], predicate)
}
