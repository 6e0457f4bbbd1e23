package registry

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/oci/credentials"
)

// What holds where Options says nothing.
const (
	DefaultJobs          = 4
	DefaultDeadline      = 5 * time.Minute
	DefaultSlowest       = 1 << 20 // bytes in a second
	DefaultIdle          = 30 * time.Second
	DefaultBackoff       = 500 * time.Millisecond
	DefaultMaxBackoff    = 20 * time.Second
	DefaultMaxRetryAfter = 60 * time.Second
	DefaultSettle        = 3 * time.Second
)

// Options are how to talk to registries. The zero value asks without
// credentials and over TLS only.
type Options struct {
	// Credentials finds what to show to a host. Left out: nothing.
	Credentials Keychain
	// Hosts are those that are talked to otherwise than over TLS with
	// certificates of authorities that the system knows.
	Hosts map[string]Host

	// Jobs is how many blobs are sent at once.
	Jobs int
	// Deadline is when a push, or one thing that is read, gives up. A push
	// gets more for its bytes, at the rate of Slowest.
	Deadline time.Duration
	// Slowest is how many bytes in a second are few, but no failure.
	Slowest int64
	// Idle is how long a request may stand still: that is less than a KiB in
	// this time, sent or received. What costs
	// little to repeat is given a third of it at first, then two, then all.
	Idle time.Duration
	// Backoff is the longest first wait before another try. It doubles up to
	// MaxBackoff; the wait is a random part of it.
	Backoff, MaxBackoff time.Duration
	// MaxRetryAfter is the longest wait that a registry is granted.
	MaxRetryAfter time.Duration
	// Settle is how long a push waits before it looks whether another one has
	// overwritten its list of referrers. Only registries without the Referrers
	// API need that.
	Settle time.Duration

	// OnProgress hears of the bytes, OnRetry of every try that failed for the
	// moment, OnFact of everything that a push has made sure of, as soon as it
	// has. They are called from several goroutines, one at a time.
	OnProgress func(Progress)
	OnRetry    func(Retry)
	OnFact     func(Fact)

	// Transport makes the connections. It is copied. Left out: one like that
	// of net/http, with the proxies of the environment, which notices dead
	// connections.
	Transport *http.Transport
	// Now, Wait and Random are the clock and the dice. Random gives a number
	// from 0 up to 1.
	Now    func() time.Time
	Wait   func(ctx context.Context, d time.Duration) error
	Random func() float64
}

// Host is what is different with one host.
type Host struct {
	// PlainHTTP talks without TLS: everyone in between reads and changes what
	// is pushed, and reads the credential.
	PlainHTTP bool
	// CAFile holds certificates, as PEM, of further authorities.
	CAFile string
}

// Keychain finds credentials. credentials.Finder is one.
type Keychain interface {
	Credential(ctx context.Context, host string) (credentials.Credential, error)
}

var _ Keychain = credentials.Finder{}

// Progress are the bytes of a push. Sent and Skipped make up Total in the end.
type Progress struct {
	Total   int64 // of all blobs and manifests
	Sent    int64 // falls when a try fails
	Skipped int64 // was there already, or came from another repository
	Wasted  int64 // sent by tries that failed
}

// Retry is a try that failed for the moment.
type Retry struct {
	What  string // such as "push blob sha256:0123…"
	Try   int    // its number, from 1
	Cause string
	Wait  time.Duration // until the next one
}

// FactKind is what a fact is about.
type FactKind string

// The kinds.
const (
	BlobFact     FactKind = "blob"
	ManifestFact FactKind = "manifest"
	ArtifactFact FactKind = "artifact" // what is about an image
	TagFact      FactKind = "tag"
)

// Fact is something that a registry has, whether this push brought it or it
// was there. It stays true when the push fails later.
type Fact struct {
	Kind      FactKind
	Reference string // registry.example.org/team/app@sha256:… or …:tag
	Digest    v1.Hash
}

func (o Options) settled() Options {
	setDefault(&o.Jobs, DefaultJobs)
	setDefault(&o.Deadline, DefaultDeadline)
	setDefault(&o.Slowest, DefaultSlowest)
	setDefault(&o.Idle, DefaultIdle)
	setDefault(&o.Backoff, DefaultBackoff)
	setDefault(&o.MaxBackoff, DefaultMaxBackoff)
	setDefault(&o.MaxRetryAfter, DefaultMaxRetryAfter)
	setDefault(&o.Settle, DefaultSettle)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return o
}

func setDefault[T ~int | ~int64](value *T, to T) {
	if *value <= 0 {
		*value = to
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
