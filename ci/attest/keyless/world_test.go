package keyless

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/attest/keyless/keylesstest"
)

const (
	issuer   = keylesstest.Issuer
	identity = keylesstest.Identity
)

var digest = "sha256:" + strings.Repeat("a", 64)

// world is a Sigstore, and what is signed and trusted in it.
type world struct {
	*keylesstest.World
	t testing.TB
}

func newWorld(t testing.TB) world { return world{keylesstest.New(t), t} }

// options sign in this world, with a log and a timestamp authority.
func (w world) options() Options {
	return Options{Fulcio: w.URL(), Rekor: w.URL(), Timestamps: w.Timestamps(), Token: StaticToken(keylesstest.Token)}
}

func (w world) sign(o Options) []byte {
	w.t.Helper()
	signer, err := New(o)
	require.NoError(w.t, err)
	bundle, err := attest.Sign(context.Background(), signer, statement(w.t))
	require.NoError(w.t, err)
	return bundle
}

func (w world) trust() Trust {
	w.t.Helper()
	trust, err := NewTrust(issuer, identity, Root{w})
	require.NoError(w.t, err)
	return trust
}

func statement(t testing.TB) attest.Statement {
	t.Helper()
	s, err := attest.Provenance(attest.Build{Verb: "publish", Builder: attest.Where(func(string) string { return "" })}, attest.Subject{Digest: digest})
	require.NoError(t, err)
	return s
}

var want = attest.Want{Digest: digest, Predicate: attest.PredicateProvenance}

// isType says that an error is of a type, and returns it.
func isType[T error](t testing.TB, err error) T {
	t.Helper()
	var is T
	require.ErrorAs(t, err, &is)
	return is
}

// replaced is a bundle with one text in place of another, which must be there.
func replaced(t testing.TB, bundle []byte, from, to string) []byte {
	t.Helper()
	require.Contains(t, string(bundle), from)
	return bytes.Replace(bundle, []byte(from), []byte(to), 1)
}
