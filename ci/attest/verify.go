package attest

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Trust says whose signatures count. A PublicKey is one.
type Trust interface {
	// Check verifies who signed a bundle, and returns the payload that was signed.
	Check(bundle []byte) (payload []byte, by Signed, err error)
	// String names the trusted one for people.
	String() string
}

// Want is what a bundle has to say.
type Want struct {
	Digest    string // what it is about
	Predicate string // what kind of statement
}

// Signed says who signed.
type Signed struct {
	Key              string    // the hint of the key, or
	Issuer, Identity string    // who the certificate says it was, and
	Time             time.Time // when, as a log or a timestamp authority proves
}

func (s Signed) String() string {
	if s.Key != "" {
		return "key " + s.Key
	}
	return fmt.Sprintf("%s (issuer %s)", s.Identity, s.Issuer)
}

// Verified is a statement that somebody trusted has signed.
type Verified struct {
	Statement Statement
	By        Signed
}

// Verify returns the statement of a bundle if the trusted one signed it, and if
// it is what is wanted. Whatever else there is, is an error.
func Verify(bundle []byte, trust Trust, want Want) (Verified, error) {
	if err := checkDigest(want.Digest); err != nil {
		return Verified{}, fmt.Errorf("verify: %w", err)
	}
	if want.Predicate == "" || trust == nil {
		return Verified{}, errors.New("verify: it is not said what is wanted, or whom to trust")
	}
	payload, by, err := trust.Check(bundle)
	if err != nil {
		return Verified{}, err
	}
	statement, err := ReadStatement(payload) // of the bytes that were signed
	if err != nil {
		return Verified{}, err
	}
	if about := digests(statement); !slices.Contains(about, want.Digest) {
		return Verified{}, &SubjectError{Want: want.Digest, Got: about}
	}
	if statement.Type != want.Predicate {
		return Verified{}, &PredicateError{Want: want.Predicate, Got: statement.Type}
	}
	return Verified{statement, by}, nil
}

// Find verifies those of many bundles that say they are what is wanted, and
// returns all that are: a registry lets anybody add others. Without a single
// one, the error says why: a MissingError, or what is wrong with those there
// are.
func Find(bundles [][]byte, trust Trust, want Want) ([]Verified, error) {
	missing := &MissingError{Want: want}
	var found []Verified
	var problems []error
	for _, bundle := range bundles {
		opened, err := Open(bundle)
		if err != nil {
			missing.Strange++
			continue
		}
		if opened.Statement.Type != want.Predicate {
			missing.Present = append(missing.Present, opened.Statement.Type)
			continue
		}
		verified, err := Verify(bundle, trust, want)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		found = append(found, verified)
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(problems) > 0:
		return nil, fmt.Errorf("verify %s of %s: %w", Title(want.Predicate), want.Digest, errors.Join(problems...))
	}
	missing.Present = sorted(missing.Present)
	return nil, missing
}
