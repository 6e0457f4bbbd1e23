// Package ledger writes down what was done to the world outside: blobs and tags
// that were pushed, signatures, files of a release, each with its digest.
//
//	book, err := ledger.Open(path)
//	defer book.Close()
//	if !book.Has(entry) {
//		push(…)
//		err = book.Record(entry)
//	}
//
// The ledger is a hint, and the remote is the truth. Somebody may have deleted
// a tag or moved it, and a program that was killed between doing something and
// writing it down did it all the same. So a missing entry means "look", never
// "it is not there", and an entry saves work only where the remote is asked
// before anything depends on it. Losing the file costs time and nothing else.
//
// It guarantees:
//
//   - What [Ledger.Record] returned from is on the disk, also after a power cut.
//   - A line that was half-written when the machine stopped is dropped at the
//     next Open. Lines before it stay.
//   - Two programs never write at the same time: the second one gets
//     [ErrInUse].
//
// The file has one JSON document a line. The first line names the format and
// its version, and a ledger of a newer version is refused and left alone.
package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Version is that of the format.
const Version = 1

// ErrInUse says that another program has the ledger open.
var ErrInUse = errors.New("another run is publishing: wait for it to end")

// Kind is what was done.
type Kind string

// The kinds. Others may follow; readers keep what they do not know.
const (
	Blob     Kind = "blob"
	Manifest Kind = "manifest"
	Tag      Kind = "tag"
	Referrer Kind = "referrer" // SBOM, attestation or signature of an image
	Asset    Kind = "asset"    // a file of a release
	Release  Kind = "release"  // it was published
)

// Entry is one thing that was done. Kind, Target and Digest say what is true
// since then; the rest is for people.
type Entry struct {
	Kind   Kind      `json:"kind"`
	Target string    `json:"target"` // where: registry.example.org/greeter:1.2.3
	Digest string    `json:"digest"` // of what is there now: sha256:…
	At     time.Time `json:"at"`
	Run    string    `json:"run,omitempty"`
	Note   string    `json:"note,omitempty"`
}

// fact is what an entry says, without when and who.
type fact struct {
	kind   Kind
	target string
}

// Ledger is an open ledger. Close it. Several goroutines may use it.
type Ledger struct {
	file    *os.File
	lock    *flock.Flock
	mu      sync.Mutex
	entries []Entry
	last    map[fact]string // digest
	damaged int
}

// Open opens a ledger, or makes one.
func Open(path string) (*Ledger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	lock := flock.New(path + ".lock") // not the file itself: on Windows, a lock would keep us from writing
	free, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock ledger %s: %w", path, err)
	}
	if !free {
		return nil, fmt.Errorf("open ledger %s: %w", path, ErrInUse)
	}
	l := &Ledger{lock: lock, last: map[fact]string{}}
	if err := l.open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", path, err), lock.Unlock())
	}
	return l, nil
}

// Has says that this was done, and nothing else to the same target since.
// It is a hint: see the package.
func (l *Ledger) Has(e Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.has(e)
}

func (l *Ledger) has(e Entry) bool {
	digest, ok := l.last[fact{e.Kind, e.Target}]
	return ok && digest == e.Digest && e.Digest != ""
}

// Entries are all entries, oldest first.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Damaged is how many lines could not be read and were passed over.
func (l *Ledger) Damaged() int { return l.damaged }

// Record writes down what was done. At is now where it is not set. What the
// ledger has already is not written again.
func (l *Ledger) Record(e Entry) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("record %s %q: %w", e.Kind, e.Target, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.has(e) {
		return nil
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.At = e.At.UTC().Truncate(time.Second)
	if err := l.append(e); err != nil {
		return fmt.Errorf("record %s %q: %w", e.Kind, e.Target, err)
	}
	l.take(e)
	return nil
}

func (l *Ledger) take(e Entry) {
	l.entries = append(l.entries, e)
	l.last[fact{e.Kind, e.Target}] = e.Digest
}

// Close gives the ledger up.
func (l *Ledger) Close() error {
	return errors.Join(l.file.Close(), l.lock.Unlock())
}
