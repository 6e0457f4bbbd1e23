package registry

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/oci/credentials"
)

// AuthError is a registry, or its token service, that wants to see something
// else. It is never tried again.
type AuthError struct {
	Registry   string
	Repository string
	Status     int
	Message    string                 // what the registry says about it
	Credential credentials.Credential // what it was shown
}

func (e *AuthError) Error() string {
	return fmt.Sprintf("%s answers %s for %s with %s%s: %s", e.Registry, statusText(e.Status), e.Repository, e.Credential, inBrackets(e.Message), e.next())
}

func (e *AuthError) next() string {
	switch {
	case e.Credential.Empty():
		return fmt.Sprintf("log in with docker login %s, or set %s, %s and %s", e.Registry, credentials.HostVariable, credentials.UsernameVariable, credentials.PasswordVariable)
	case e.Status == http.StatusForbidden:
		return "it is known there, but may not do this: give its owner the right, or use another one"
	}
	return "it is wrong or has expired: renew it there, or log in again"
}

// StatusError is an answer that nobody wanted.
type StatusError struct {
	Registry string
	Status   int
	Message  string // what the registry says about it

	after    time.Duration // it asks to wait so long
	hasAfter bool
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answers %s%s", e.Registry, statusText(e.Status), inBrackets(e.Message))
}

// HostError is a host that must not be talked to: its certificate is not good,
// or it has none.
type HostError struct {
	Registry string
	Cause    string
	Next     string // what to do
}

func (e *HostError) Error() string { return e.Registry + ": " + e.Cause + ": " + e.Next }

// DigestError is a registry that gives back something else than was pushed, or
// than was asked for.
type DigestError struct {
	Reference string
	Want, Got v1.Hash
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s is %s there, wanted %s: another push moved it at the same time, or the registry changes what it stores: look who else pushes, and push again", e.Reference, e.Got, e.Want)
}

// TagExistsError is a fixed tag that names another image already.
type TagExistsError struct {
	Repository, Tag string
	There, Wanted   v1.Hash
}

func (e *TagExistsError) Error() string {
	return fmt.Sprintf("%s:%s is %s there and %s here: a version is published once, so make a new one, or force it if nobody relies on the old one",
		e.Repository, e.Tag, e.There, e.Wanted)
}

// DeadlineError is a push that gave up.
type DeadlineError struct {
	What     string
	Deadline time.Duration
	Tries    int
	Cause    error // of the last try, nil when there was none
}

func (e *DeadlineError) Error() string {
	text := fmt.Sprintf("%s: gave up after %s and %s", e.What, e.Deadline.Round(time.Second), tries(e.Tries))
	if e.Cause != nil {
		text += ", the last: " + e.Cause.Error()
	}
	return text + ": run it again later: what has arrived is not sent again"
}

func (e *DeadlineError) Unwrap() error { return e.Cause }

// StallError is a request that stood still.
type StallError struct {
	Registry string
	Idle     time.Duration
}

func (e *StallError) Error() string {
	return fmt.Sprintf("%s stands still for %s", e.Registry, e.Idle)
}

// networkError is a connection that failed, without the address: its query may
// hold what signs it.
type networkError struct {
	registry, text string
	cause          error
}

func (e *networkError) Error() string { return e.registry + ": " + e.text }
func (e *networkError) Unwrap() error { return e.cause }

// contentError is content that another try cannot make better: ours cannot be
// read, or theirs is too large.
type contentError struct{ cause error }

func (e *contentError) Error() string { return e.cause.Error() }
func (e *contentError) Unwrap() error { return e.cause }

// strangeError is an answer that is worth a few more tries: it may be the
// weather, or the registry is like that.
type strangeError struct{ error }

func (e strangeError) Unwrap() error { return e.error }

// NotFound says whether an error means that the registry has no such thing.
func NotFound(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound
}

func statusText(status int) string {
	return fmt.Sprintf("%d %s", status, http.StatusText(status))
}

func inBrackets(message string) string {
	if message == "" {
		return ""
	}
	return " (" + message + ")"
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}
