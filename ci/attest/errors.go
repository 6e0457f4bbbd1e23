package attest

import (
	"fmt"
	"strings"
)

// MissingError says that nothing of a kind was there at all.
type MissingError struct {
	Want    Want
	Present []string // types of the predicates that were there
	Strange int      // how many were there that could not be read
}

func (e *MissingError) Error() string {
	text := fmt.Sprintf("%s has no %s", e.Want.Digest, Title(e.Want.Predicate))
	switch {
	case len(e.Present) > 0:
		titles := make([]string, len(e.Present))
		for i, predicate := range e.Present {
			titles[i] = Title(predicate)
		}
		text += fmt.Sprintf(": there is %s only", strings.Join(titles, ", "))
	case e.Strange == 0:
		text += ": nothing about it was published there; was it pushed without a key, or copied without its referrers?"
	}
	if e.Strange > 0 {
		text += fmt.Sprintf("; %d more could not be read", e.Strange)
	}
	return text
}

// KeyError says that somebody else signed than the trusted key.
type KeyError struct{ Trusted, Signed string }

func (e *KeyError) Error() string {
	return fmt.Sprintf("signed with %s, but key %s is trusted: verify with the key that it was published with, or do not use it", e.Signed, e.Trusted)
}

// IdentityError says that somebody else signed than the trusted identity.
type IdentityError struct{ TrustedIssuer, TrustedIdentity, SignedIssuer, SignedIdentity string }

func (e *IdentityError) Error() string {
	signed := fmt.Sprintf("%s (issuer %s)", e.SignedIdentity, e.SignedIssuer)
	if e.SignedIssuer == "" {
		signed = e.SignedIdentity
	}
	return fmt.Sprintf("signed by %s, but %s (issuer %s) is trusted: both must be equal, letter by letter", signed, e.TrustedIdentity, e.TrustedIssuer)
}

// ChangedError says that signature and content do not belong together.
type ChangedError struct{ Reason string }

func (e *ChangedError) Error() string {
	text := "the signature does not fit the content: one of them was changed after signing; do not use it"
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// SubjectError says that a valid statement is about something else.
type SubjectError struct {
	Want string
	Got  []string
}

func (e *SubjectError) Error() string {
	return fmt.Sprintf("it is about %s, not about %s: it was moved here from something else", strings.Join(e.Got, ", "), e.Want)
}

// PredicateError says that a valid statement says something else.
type PredicateError struct{ Want, Got string }

func (e *PredicateError) Error() string {
	return fmt.Sprintf("it is %s, not %s", Title(e.Got), Title(e.Want))
}

// ExpiredError says that the certificate was not valid when it signed, or that
// nothing proves when that was.
type ExpiredError struct{ Reason string }

func (e *ExpiredError) Error() string {
	return "the certificate was not valid at the time of signing, or nothing proves that time: " + e.Reason
}

// UntrustedError says that the trusted root does not vouch for a certificate or a
// log entry.
type UntrustedError struct{ Reason string }

func (e *UntrustedError) Error() string {
	return "the trusted root does not vouch for the signature: is it the root of the services that signed? " + e.Reason
}

// FormatError says that something is no bundle or statement that is understood.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return "it cannot be read: " + e.Reason }
