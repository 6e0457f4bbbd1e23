package registry

import (
	"context"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// pushBlob brings one blob into the repository, and says how to count it.
//
// Each try asks first whether it is there: the try before may have succeeded
// without our hearing of it. It is sent in one piece with the request that
// commits it, so that one answer decides.
func (p *pushing) pushBlob(ctx context.Context, b blob) (count func(*Blobs), err error) {
	what, path := "push blob "+b.Digest.String(), "blobs/"+b.Digest.String()
	there := false
	look := func(ctx context.Context, _ int) (err error) {
		there, err = p.has(ctx, path, p.scopes)
		return err
	}
	counted := &part{tally: p.tally, size: b.Size}
	switch err := p.try(ctx, what, look); {
	case err != nil:
		return nil, err
	case there:
		counted.there()
		return func(c *Blobs) { c.Skipped++ }, nil
	case p.mount(ctx, b):
		p.tally.skip(b.Size)
		return func(c *Blobs) { c.Mounted++ }, nil
	}
	sent := false
	err = p.try(ctx, what, func(ctx context.Context, n int) error {
		if sent {
			counted.begin()
			if err := look(ctx, n); there || err != nil {
				return err
			}
		}
		at, err := p.startUpload(ctx)
		if err != nil {
			return err
		}
		sent = true
		return p.upload(ctx, b, at, counted, n > 1)
	})
	if there {
		counted.there()
	}
	return func(c *Blobs) { c.Sent++ }, err
}

func (p *pushing) startUpload(ctx context.Context) (*url.URL, error) {
	started, err := p.send(ctx, call{method: http.MethodPost, path: "blobs/uploads/"}, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	at, err := p.resolve(started)
	if err != nil {
		return nil, strangeError{err}
	}
	return at, nil
}

// upload sends the blob to the address that the registry named for it.
func (p *pushing) upload(ctx context.Context, b blob, at *url.URL, counted *part, hint bool) error {
	a, err := p.send(ctx, call{
		method: http.MethodPut, url: withDigest(at, b.Digest), hint: hint,
		body:   &body{size: b.Size, open: b.open, sent: counted.sent},
		header: map[string]string{"Content-Type": "application/octet-stream"},
	}, http.StatusCreated, http.StatusNoContent)
	if lostUpload(err) {
		return strangeError{err}
	}
	if err != nil {
		return err
	}
	counted.arrived()
	return p.sameDigest(a.header, document{Descriptor: b.Descriptor}, b.Digest.String())
}

// lostUpload recognises a registry that forgot the upload, or got something
// else than we sent.
func lostUpload(err error) bool {
	return hasCode(err, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN") ||
		hasCode(err, http.StatusBadRequest, "BLOB_UPLOAD", "DIGEST_INVALID", "SIZE_INVALID") ||
		hasCode(err, http.StatusRequestedRangeNotSatisfiable, "")
}

// withDigest adds the digest to the address of an upload, whose query is left
// as it is: it may be signed.
func withDigest(at *url.URL, digest v1.Hash) *url.URL {
	complete := *at
	if complete.RawQuery != "" {
		complete.RawQuery += "&"
	}
	complete.RawQuery += "digest=" + url.QueryEscape(digest.String())
	return &complete
}

// mount asks the registry to take a blob from another repository of its own.
// It is a favour: what stands in its way is no error.
func (p *pushing) mount(ctx context.Context, b blob) bool {
	for _, from := range p.mountFrom {
		scopes := []string{p.scopes[0], from.Scope(pullScope)}
		if !p.hasIn(ctx, from, b) {
			continue
		}
		a, err := p.send(ctx, call{method: http.MethodPost, path: "blobs/uploads/", query: uploadQuery(b.Digest, from), scopes: scopes}, http.StatusCreated, http.StatusAccepted)
		if err == nil && a.status == http.StatusCreated {
			return true
		}
	}
	return false
}

func (p *pushing) hasIn(ctx context.Context, from name.Repository, b blob) bool {
	elsewhere := *p.session
	elsewhere.repository, elsewhere.scopes = from, []string{from.Scope(pullScope)}
	there, err := elsewhere.has(ctx, "blobs/"+b.Digest.String(), elsewhere.scopes)
	return err == nil && there
}
