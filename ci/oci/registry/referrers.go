package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxRounds is how often a list of referrers is written again because somebody
// else writes it too.
const maxRounds = 20

// pushArtifacts pushes what is about the image, and sees to it that the
// registry lists it.
func (p *pushing) pushArtifacts(ctx context.Context) error {
	var subjects []v1.Hash
	unlisted := map[v1.Hash][]document{}
	for i, d := range p.artifacts {
		header, err := p.pushDocument(ctx, d)
		if err != nil {
			return err
		}
		p.sure(ArtifactFact, d.Digest.String(), d.Digest)
		subject := p.request.Artifacts[i].Subject.Digest
		if header.Get("OCI-Subject") == subject.String() {
			continue // the registry says that it lists it
		}
		if !slices.Contains(subjects, subject) {
			subjects = append(subjects, subject)
		}
		unlisted[subject] = append(unlisted[subject], d)
	}
	for _, subject := range subjects {
		if err := p.list(ctx, subject, unlisted[subject]); err != nil {
			return err
		}
	}
	return nil
}

// list puts what the registry does not list by itself under the tag that
// stands for the list where there is no Referrers API.
func (p *pushing) list(ctx context.Context, subject v1.Hash, documents []document) error {
	what := "list what is about " + subject.String()
	var listed []json.RawMessage
	err := p.try(ctx, what, func(ctx context.Context, _ int) (err error) {
		listed, _, err = p.referrersFromAPI(ctx, subject)
		return err
	})
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(documents, func(d document) bool { return indexOf(listed, d.Digest) >= 0 })
	if len(missing) == 0 {
		return nil
	}
	return p.writeList(ctx, what, fallbackTag(subject), missing)
}

// writeList adds entries to the list under a tag. Many may do so at once, and
// most registries know no write that fails when somebody was faster. So every
// writer looks again, after longer than any writer takes from reading to
// writing, whether its entries are still there.
func (p *pushing) writeList(ctx context.Context, what, tag string, entries []document) error {
	for range maxRounds {
		wrote := false
		err := p.try(ctx, what, func(ctx context.Context, _ int) error {
			changed, err := p.writeOnce(ctx, tag, entries)
			wrote = wrote || changed
			return err
		})
		if err != nil || !wrote {
			return err
		}
		o := p.client.options
		if err := o.Wait(ctx, o.Settle+o.part(o.Settle)); err != nil {
			return p.over(ctx, what, 1, nil)
		}
	}
	return fmt.Errorf("%s: others overwrite %s again and again: push again when they are done", what, p.reference(tag))
}

var errSlowWrite = errors.New("the write took too long")

// writeOnce reads the list and writes it with what is missing in it. A write
// that takes as long as others wait is given up: it would undo what they
// wrote and checked in between.
func (p *pushing) writeOnce(ctx context.Context, tag string, entries []document) (wrote bool, err error) {
	limit := p.client.options.Settle / 2
	began := p.client.options.Now()
	a, err := p.send(ctx, call{method: http.MethodGet, path: "manifests/" + tag, header: acceptManifests()}, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	merged, changed, err := merge(a, entries)
	if err != nil {
		return false, fmt.Errorf("%s: %w", p.reference(tag), err)
	}
	if !changed {
		return false, nil
	}
	left := limit - p.client.options.Now().Sub(began)
	return true, p.writeWithin(ctx, left, tag, merged, a)
}

func (p *pushing) writeWithin(ctx context.Context, left time.Duration, tag string, merged []byte, read answer) error {
	slow := &StallError{p.endpoint.host, p.client.options.Settle / 2}
	if left <= 0 {
		return slow
	}
	limited, cancel := context.WithTimeoutCause(ctx, left, errSlowWrite)
	defer cancel()
	header := map[string]string{"Content-Type": string(types.OCIImageIndex)}
	switch etag := read.header.Get("ETag"); {
	case read.status == http.StatusNotFound:
		header["If-None-Match"] = "*"
	case etag != "":
		header["If-Match"] = etag
	}
	_, err := p.send(limited, call{method: http.MethodPut, path: "manifests/" + tag, header: header, body: &body{size: int64(len(merged)), open: opened(merged)}},
		http.StatusCreated, http.StatusOK, http.StatusAccepted, http.StatusPreconditionFailed)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limited), errSlowWrite) {
		return slow
	}
	return err
}

// list is an index whose entries are kept as they are, whoever wrote them.
type list struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Manifests     []json.RawMessage `json:"manifests"`
	Annotations   json.RawMessage   `json:"annotations,omitempty"`
}

// merge adds entries to a list, or makes one.
func merge(read answer, entries []document) (merged []byte, changed bool, err error) {
	l := list{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []json.RawMessage{}}
	if read.status == http.StatusOK {
		if l, err = parseList(read.body); err != nil {
			return nil, false, err
		}
	}
	for _, d := range entries {
		if indexOf(l.Manifests, d.Digest) >= 0 {
			continue
		}
		entry, err := json.Marshal(d.Descriptor)
		if err != nil {
			return nil, false, err
		}
		l.Manifests, changed = append(l.Manifests, entry), true
	}
	merged, err = json.Marshal(l)
	return merged, changed, err
}

func parseList(data []byte) (list, error) {
	l := list{}
	if err := json.Unmarshal(data, &l); err != nil || (l.MediaType != "" && l.MediaType != types.OCIImageIndex) {
		return list{}, errors.New("is no list of referrers: look what it is, and remove it if nobody needs it")
	}
	l.MediaType = types.OCIImageIndex
	return l, nil
}

// indexOf finds a digest in a list.
func indexOf(entries []json.RawMessage, digest v1.Hash) int {
	return slices.IndexFunc(entries, func(entry json.RawMessage) bool {
		var described struct{ Digest string }
		return json.Unmarshal(entry, &described) == nil && described.Digest == digest.String()
	})
}

// fallbackTag is the tag of the list where there is no Referrers API.
func fallbackTag(subject v1.Hash) string { return subject.Algorithm + "-" + subject.Hex }

// referrers are the entries that the registry lists for a manifest, from its
// API and from the tag; both, as a registry may have got the API later. api
// says whether it has one.
func (s *session) referrers(ctx context.Context, subject v1.Hash) (entries []json.RawMessage, api bool, err error) {
	fromAPI, api, err := s.referrersFromAPI(ctx, subject)
	if err != nil {
		return nil, false, err
	}
	a, err := s.send(ctx, call{method: http.MethodGet, path: "manifests/" + fallbackTag(subject), header: acceptManifests()}, http.StatusOK, http.StatusNotFound)
	if err != nil || a.status == http.StatusNotFound {
		return fromAPI, api, err
	}
	l, err := parseList(a.body)
	if err != nil && api {
		return fromAPI, api, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", s.reference(fallbackTag(subject)), err)
	}
	return append(fromAPI, l.Manifests...), api, nil
}

// referrersFromAPI reads all pages of the Referrers API.
func (s *session) referrersFromAPI(ctx context.Context, subject v1.Hash) (entries []json.RawMessage, api bool, err error) {
	next := call{method: http.MethodGet, path: "referrers/" + subject.String(), header: map[string]string{"Accept": string(types.OCIImageIndex)}}
	for range maxPages {
		a, err := s.send(ctx, next, http.StatusOK, http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented)
		if err != nil {
			return nil, false, err
		}
		var page list
		if api && a.status != http.StatusOK {
			return nil, false, strangeError{s.unwanted(a)}
		}
		if a.status != http.StatusOK || json.NewDecoder(bytes.NewReader(a.body)).Decode(&page) != nil || page.MediaType != types.OCIImageIndex {
			return nil, false, nil // no API, or a page for people in its place
		}
		entries, api = append(entries, page.Manifests...), true
		following, ok := nextPage(a)
		if !ok {
			return entries, true, nil
		}
		next.url = following
	}
	return nil, false, fmt.Errorf("the registry lists more than %d pages for %s", maxPages, subject)
}
