package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// Request is what to push, and where.
type Request struct {
	// Repository is registry and name: registry.example.org/team/app.
	Repository string
	// Root is a v1.Image or a v1.ImageIndex; oci.ReadLayout gives one.
	Root Root
	// Artifacts are about Root, its images, or artifacts before them.
	Artifacts []Artifact
	// Tags are set in this order, when all else is there.
	Tags []Tag
	// MountFrom are repositories of the same registry that may hold some of the
	// blobs, from which the registry takes them where it can.
	MountFrom []string
	// Force moves fixed tags too.
	Force bool
}

// Tag is a name for the root.
type Tag struct {
	Name string
	// Fixed is never moved to another digest, unless the request is forced.
	Fixed bool
}

// Result is what is there after a push.
type Result struct {
	Repository string
	Root       v1.Descriptor
	Artifacts  []v1.Descriptor
	Tags       []TagResult
	Blobs      Blobs
	Bytes      Progress
}

// TagResult is what became of a tag.
type TagResult struct {
	Name string
	// Before is what it named, empty when it was new.
	Before v1.Hash
	// Changed says that this push set it.
	Changed bool
}

// Blobs are how many there are of each kind.
type Blobs struct{ Sent, Skipped, Mounted int }

// Push pushes an image, what belongs to it, and its tags. It may be repeated:
// what is there is not sent again.
func (c *Client) Push(ctx context.Context, r Request) (Result, error) {
	p, err := c.prepare(r)
	if err != nil {
		return Result{}, fmt.Errorf("push: %w", err)
	}
	s, ctx, cancel := c.begin(ctx, p.into, pushScope, seconds(p.content.size(), c.options.Slowest))
	defer cancel()
	p.session = s
	if err := p.run(ctx); err != nil {
		return Result{}, fmt.Errorf("push %s: %w", r.Repository, err)
	}
	return p.result, nil
}

// pushing is one push.
type pushing struct {
	*session
	request   Request
	into      name.Repository
	mountFrom []name.Repository
	content   *content
	documents []document // of the image, without those of the artifacts
	artifacts []document
	tally     *tally
	result    Result
}

func (c *Client) prepare(r Request) (*pushing, error) {
	p := &pushing{request: r, tally: &tally{client: c}}
	var err error
	if p.into, err = parseRepository(r.Repository); err != nil {
		return nil, err
	}
	for _, tag := range r.Tags {
		if _, err := name.NewTag(r.Repository+":"+tag.Name, name.StrictValidation); err != nil {
			return nil, fmt.Errorf("tag %q: %w", tag.Name, err)
		}
	}
	for _, from := range r.MountFrom {
		other, err := parseRepository(from)
		if err != nil {
			return nil, err
		}
		if other.Registry == p.into.Registry && other != p.into {
			p.mountFrom = append(p.mountFrom, other)
		}
	}
	if p.content, err = contentOf(r.Root); err != nil {
		return nil, err
	}
	p.documents = slices.Clone(p.content.documents)
	for _, artifact := range r.Artifacts {
		d, err := p.content.addArtifact(artifact)
		if err != nil {
			return nil, err
		}
		p.artifacts = append(p.artifacts, d)
		p.result.Artifacts = append(p.result.Artifacts, d.Descriptor)
	}
	p.tally.Total = p.content.size()
	p.result.Repository, p.result.Root = r.Repository, p.root().Descriptor
	return p, nil
}

func (p *pushing) root() document { return p.documents[len(p.documents)-1] }

// run does the steps, in the order that leaves tags valid wherever it ends.
func (p *pushing) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.checkTags, p.pushBlobs, p.pushDocuments, p.pushArtifacts, p.setTags} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	p.result.Bytes = p.tally.Progress
	return nil
}

// checkTags looks whether fixed tags are free, before anything is sent.
func (p *pushing) checkTags(ctx context.Context) error {
	for _, tag := range p.request.Tags {
		if !tag.Fixed || p.request.Force {
			continue
		}
		err := p.try(ctx, "look at tag "+tag.Name, func(ctx context.Context, _ int) error {
			there, err := p.current(ctx, tag.Name)
			if err != nil {
				return err
			}
			return p.mayMove(tag, there.Digest)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pushing) pushBlobs(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.client.options.Jobs)
	counts := make(chan func(*Blobs), len(p.content.blobs))
	for _, b := range p.content.blobs {
		group.Go(func() error {
			counted, err := p.pushBlob(ctx, b)
			if err == nil {
				counts <- counted
				p.sure(BlobFact, b.Digest.String(), b.Digest)
			}
			return err
		})
	}
	err := group.Wait()
	close(counts)
	for count := range counts {
		count(&p.result.Blobs)
	}
	return err
}

// pushDocuments pushes manifests, then what names them.
func (p *pushing) pushDocuments(ctx context.Context) error {
	for level := 0; level <= p.root().level; level++ {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(p.client.options.Jobs)
		for _, d := range p.documents {
			if d.level == level {
				group.Go(func() error {
					_, err := p.pushDocument(ctx, d)
					if err == nil {
						p.sure(ManifestFact, d.Digest.String(), d.Digest)
					}
					return err
				})
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// pushDocument pushes a manifest under its digest, reads it back, and gives the
// header of the registry's answer when there was one. Steps that succeed are
// not repeated because of later ones.
func (p *pushing) pushDocument(ctx context.Context, d document) (header http.Header, err error) {
	counted := &part{tally: p.tally, size: d.Size}
	what, reference, there, sent := "push manifest "+d.Digest.String(), d.Digest.String(), false, false
	err = p.try(ctx, what, func(ctx context.Context, n int) (err error) {
		counted.begin()
		if there, err = p.has(ctx, "manifests/"+reference, p.scopes); there || err != nil {
			return err
		}
		sent = true
		header, err = p.put(ctx, d, reference, counted)
		return err
	})
	if err != nil {
		return nil, err
	}
	if there {
		counted.there()
	}
	if !sent {
		return nil, nil
	}
	return header, p.readBack(ctx, what, d, reference)
}

// put sends a manifest under its digest or a tag.
func (p *pushing) put(ctx context.Context, d document, reference string, counted *part) (http.Header, error) {
	content := &body{size: d.Size, open: opened(d.raw)}
	if counted != nil {
		content.sent = counted.sent
	}
	a, err := p.send(ctx, call{
		method: http.MethodPut, path: "manifests/" + reference, body: content,
		header: map[string]string{"Content-Type": string(d.MediaType)},
	}, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if hasCode(err, http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN") || hasCode(err, http.StatusBadRequest, "BLOB_UNKNOWN") {
		return nil, strangeError{err} // what it names is there, and may take a moment to be seen
	}
	if err != nil {
		return nil, err
	}
	if counted != nil {
		counted.arrived()
	}
	return a.header, p.sameDigest(a.header, d, reference)
}

// sameDigest compares the digest that a registry says to have stored.
func (p *pushing) sameDigest(header http.Header, d document, reference string) error {
	said := header.Get("Docker-Content-Digest")
	if said == "" || said == d.Digest.String() {
		return nil
	}
	got, err := v1.NewHash(said)
	if err != nil || got.Algorithm != d.Digest.Algorithm { // a digest of another kind says nothing
		return nil
	}
	return &DigestError{p.reference(reference), d.Digest, got}
}

// readBack gets what was pushed, and compares what it is.
func (p *pushing) readBack(ctx context.Context, what string, d document, reference string) error {
	return p.try(ctx, what, func(ctx context.Context, _ int) error {
		there, err := p.current(ctx, reference)
		switch {
		case err != nil:
			return err
		case there.Digest == (v1.Hash{}):
			return strangeError{&StatusError{Registry: p.endpoint.host, Status: http.StatusNotFound, Message: "it has accepted " + p.reference(reference)}}
		case there.Digest != d.Digest:
			return &DigestError{p.reference(reference), d.Digest, there.Digest}
		}
		return nil
	})
}

// has says whether something is there.
func (s *session) has(ctx context.Context, path string, scopes []string) (bool, error) {
	c := call{method: http.MethodHead, path: path, scopes: scopes}
	if strings.HasPrefix(path, "manifests/") {
		c.header = acceptManifests()
	}
	a, err := s.send(ctx, c, http.StatusOK, http.StatusNotFound)
	return a.status == http.StatusOK, err
}

// reference is a manifest of this repository, for people.
func (s *session) reference(reference string) string {
	if _, err := v1.NewHash(reference); err == nil {
		return s.repository.String() + "@" + reference
	}
	return s.repository.String() + ":" + reference
}

func (p *pushing) setTags(ctx context.Context) error {
	for _, tag := range p.request.Tags {
		set, err := p.setTag(ctx, tag)
		if err != nil {
			return err
		}
		p.sure(TagFact, tag.Name, p.root().Digest)
		p.result.Tags = append(p.result.Tags, set)
	}
	return nil
}

// setTag sets a tag and reads it back. Each try looks at it anew: the one
// before may have set it, or somebody else.
func (p *pushing) setTag(ctx context.Context, tag Tag) (TagResult, error) {
	set, what, sent := TagResult{Name: tag.Name}, "set tag "+tag.Name, false
	err := p.try(ctx, what, func(ctx context.Context, _ int) error {
		there, err := p.current(ctx, tag.Name)
		if err != nil {
			return err
		}
		if !sent {
			set.Before = there.Digest
		}
		if there.Digest == p.root().Digest {
			return nil
		}
		if err := p.mayMove(tag, there.Digest); err != nil {
			return err
		}
		sent = true
		_, err = p.put(ctx, p.root(), tag.Name, nil)
		return err
	})
	if err != nil || !sent {
		return set, err
	}
	set.Changed = true
	return set, p.readBack(ctx, what, p.root(), tag.Name)
}

// mayMove says whether a tag that names another image may be set.
func (p *pushing) mayMove(tag Tag, there v1.Hash) error {
	if !tag.Fixed || p.request.Force || there == (v1.Hash{}) || there == p.root().Digest {
		return nil
	}
	return &TagExistsError{p.request.Repository, tag.Name, there, p.root().Digest}
}

// sure tells of something that the registry has.
func (p *pushing) sure(kind FactKind, reference string, digest v1.Hash) {
	p.client.telling.Lock()
	defer p.client.telling.Unlock()
	if p.client.options.OnFact != nil {
		p.client.options.OnFact(Fact{kind, p.reference(reference), digest})
	}
}

func uploadQuery(digest v1.Hash, from name.Repository) url.Values {
	return url.Values{"mount": {digest.String()}, "from": {from.RepositoryStr()}}
}
