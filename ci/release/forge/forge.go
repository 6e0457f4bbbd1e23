// Package forge puts a release with its files on a forge, such as GitHub.
//
//	hub, err := forge.NewGitHub(forge.GitHubOptions{Repository: "example/greeter", Token: token})
//	result, err := forge.Upload(ctx, hub, forge.Release{
//		Tag: "v1.2.3", Commit: commit, Name: "1.2.3", Notes: notes, Files: files,
//	}, forge.Options{})
//
// [Upload] guarantees:
//
//   - Nobody sees a release before all of its files are there: it is a draft
//     until then, and publishing it is the last request.
//   - It may be called again at any time, also after it was killed. What is
//     there with the right content is not sent again; what is half there is
//     removed and sent anew.
//   - A file of a release that is published is never replaced by another
//     content ([ConflictError]), and no release is published for a tag that
//     names another commit ([TagError]).
//   - What fails on the way is tried again until a deadline, and the forge is
//     asked what is true before anything is repeated.
//
// A token is a value that only the forge's own hosts are sent. It is in no
// error and in no log.
package forge

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Release is what is published.
type Release struct {
	Tag        string // v1.2.3. It is made for Commit when the forge has no such tag
	Commit     string
	Name       string // the title; "" means the tag
	Notes      string // Markdown
	Prerelease bool
	Latest     bool // the forge calls it its latest release
	Files      []File
}

// File is one file of a release.
type File struct {
	Name   string // on the forge: letters, digits and . _ -
	Path   string // here
	Size   int64
	Digest string // sha256:…
}

// Forge is what Upload needs of one. Errors that may be gone at the next try
// are a [*TemporaryError].
type Forge interface {
	// Find looks for the release of a tag, drafts included. nil: there is none.
	Find(ctx context.Context, tag string) (*State, error)
	// Create makes a draft.
	Create(ctx context.Context, r Release) (State, error)
	// Assets lists the files of a release, also those that are half there.
	Assets(ctx context.Context, release int64) ([]Asset, error)
	// Send uploads a file. The forge may keep a part of it when this fails.
	Send(ctx context.Context, release int64, name string, size int64, content io.Reader) (Asset, error)
	// Digest is that of an asset's content, as sha256:….
	Digest(ctx context.Context, asset Asset) (string, error)
	// Remove deletes an asset. One that is not there is no error.
	Remove(ctx context.Context, asset int64) error
	// TagCommit is the commit that a tag names on the forge, "" without one.
	TagCommit(ctx context.Context, tag string) (string, error)
	// Publish brings title and notes of a draft up to date and makes it visible.
	Publish(ctx context.Context, release int64, r Release) (State, error)
}

// State is a release as the forge has it.
type State struct {
	ID    int64
	Tag   string
	Draft bool
	URL   string // for people
}

// Asset is a file as the forge has it.
type Asset struct {
	ID       int64
	Name     string
	Size     int64
	Digest   string // sha256:…, "" when the forge does not tell
	Complete bool
}

// Result says what an upload did.
type Result struct {
	URL       string
	Created   bool     // the release was made
	Sent      []string // files that were sent, replaced ones included
	Replaced  []string // files of a draft that had another content or were half there
	There     []string // files that were there before
	Others    []string // files that are there and that Release does not name; they stay
	Published bool     // it became visible now; else it was visible before
}

// Event is something that people may want to see while an upload runs.
type Event struct {
	File string // "" when it is about the release
	Text string // in plain words
	Try  int    // of a second try and further ones, else 0
	Wait time.Duration
}

// TemporaryError is one that may be gone at the next try.
type TemporaryError struct {
	After time.Duration // what the forge asks to wait; 0 when it does not say
	Cause error
}

func (e *TemporaryError) Error() string { return e.Cause.Error() }
func (e *TemporaryError) Unwrap() error { return e.Cause }

// ConflictError says that a published release has a file of that name with
// another content.
type ConflictError struct{ Tag, File, Want, Have string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s of release %s is published with another content (%s, not %s), and who downloaded it relies on it: publish a new version", e.File, e.Tag, e.Have, e.Want)
}

// TagError says that the tag is on another commit.
type TagError struct{ Tag, Want, Have string }

func (e *TagError) Error() string {
	return fmt.Sprintf("tag %s is on commit %s on the forge, and this release was built of %s: publish a new version, or push the tag that is meant", e.Tag, e.Have, e.Want)
}

// DeadlineError says that something did not succeed in time.
type DeadlineError struct {
	What  string
	Tries int
	After time.Duration
	Cause error
}

func (e *DeadlineError) Error() string {
	return fmt.Sprintf("%s: no success within %s (%d tries), last: %v; run it again, it goes on from here", e.What, e.After.Round(time.Second), e.Tries, e.Cause)
}
func (e *DeadlineError) Unwrap() error { return e.Cause }
