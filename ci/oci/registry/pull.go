package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxPages bounds a list that comes in pages.
const maxPages = 100

// Resolve tells what a reference names now: registry.example.org/app:1.2.3, or
// @sha256:…. NotFound tells an error that means "nothing".
func (c *Client) Resolve(ctx context.Context, reference string) (v1.Descriptor, error) {
	_, described, err := c.Manifest(ctx, reference)
	return described, err
}

// Manifest reads a manifest or an index. What a digest names is compared with
// it, and what a tag names has the digest that is returned.
func (c *Client) Manifest(ctx context.Context, reference string) ([]byte, v1.Descriptor, error) {
	repository, identifier, err := parseReference(reference)
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	s, ctx, cancel := c.begin(ctx, repository, pullScope, 0)
	defer cancel()
	var found fetched
	err = s.try(ctx, "read "+reference, func(ctx context.Context, _ int) (err error) {
		if found, err = s.current(ctx, identifier); err != nil {
			return err
		}
		if found.Digest == (v1.Hash{}) {
			return &StatusError{Registry: s.endpoint.host, Status: http.StatusNotFound}
		}
		return s.isWanted(identifier, found.Digest)
	})
	return found.raw, found.Descriptor, err
}

// Referrers are the artifacts about a manifest, those of one type, or all when
// the type is "". Each has its type and its annotations.
func (c *Client) Referrers(ctx context.Context, repository string, subject v1.Hash, artifactType string) ([]v1.Descriptor, error) {
	named, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	s, ctx, cancel := c.begin(ctx, named, pullScope, 0)
	defer cancel()
	var entries []json.RawMessage
	err = s.try(ctx, "read what is about "+subject.String(), func(ctx context.Context, _ int) (err error) {
		entries, _, err = s.referrers(ctx, subject)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ofType(entries, artifactType)
}

// Blob reads a blob into memory and compares size and digest.
func (c *Client) Blob(ctx context.Context, repository string, described v1.Descriptor) ([]byte, error) {
	named, err := parseRepository(repository)
	if err != nil {
		return nil, err
	}
	s, ctx, cancel := c.begin(ctx, named, pullScope, seconds(described.Size, c.options.Slowest))
	defer cancel()
	var data []byte
	path := "blobs/" + described.Digest.String()
	err = s.try(ctx, "read blob "+described.Digest.String(), func(ctx context.Context, _ int) error {
		a, err := s.send(ctx, call{method: http.MethodGet, path: path, limit: max(described.Size, 1)}, http.StatusOK)
		if err != nil {
			return err
		}
		data = a.body
		return s.isWanted(described.Digest.String(), hashOf(data))
	})
	return data, err
}

// fetched is a manifest as the registry gives it.
type fetched struct {
	v1.Descriptor
	raw []byte
}

// current is what a tag or a digest names now. It is empty when that is nothing.
func (s *session) current(ctx context.Context, reference string) (fetched, error) {
	a, err := s.send(ctx, call{method: http.MethodGet, path: "manifests/" + reference, header: acceptManifests()}, http.StatusOK, http.StatusNotFound)
	if err != nil || a.status == http.StatusNotFound {
		return fetched{}, err
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	return fetched{v1.Descriptor{MediaType: types.MediaType(kind), Size: int64(len(a.body)), Digest: hashOf(a.body)}, a.body}, nil
}

// isWanted compares what came with the digest that was asked for.
func (s *session) isWanted(reference string, got v1.Hash) error {
	want, err := v1.NewHash(reference)
	if err != nil || want == got { // a tag names anything
		return nil
	}
	return &DigestError{s.reference(reference), want, got}
}

// Repository is the repository that a reference is in. The error says what is
// wrong with the reference, before anybody is asked for it.
func Repository(reference string) (string, error) {
	repository, _, err := parseReference(reference)
	return repository.Name(), err
}

// HostOf is the registry that a repository is in, under the name by which
// credentials are asked for: that of Docker Hub is index.docker.io.
func HostOf(repository string) (string, error) {
	parsed, err := parseRepository(repository)
	return parsed.RegistryStr(), err
}

func parseReference(text string) (repository name.Repository, identifier string, err error) {
	rest, digest, pinned := strings.Cut(text, "@")
	if at := strings.LastIndex(rest, ":"); at > strings.LastIndex(rest, "/") {
		rest, identifier = rest[:at], rest[at+1:]
	}
	if repository, err = parseRepository(rest); err != nil {
		return name.Repository{}, "", err
	}
	if !pinned && identifier == "" {
		return name.Repository{}, "", fmt.Errorf("reference %q has no tag and no digest: add one, such as :1.2.3", text)
	}
	if !pinned {
		_, err = name.NewTag(rest+":"+identifier, name.StrictValidation)
		return repository, identifier, err
	}
	if hash, err := v1.NewHash(digest); err != nil || hash.Algorithm != "sha256" {
		return name.Repository{}, "", fmt.Errorf("reference %q has no digest that can be checked: wanted sha256 and 64 hexadecimal digits", text)
	}
	return repository, digest, nil
}

// ofType are the entries of a list that have a type, each once.
func ofType(entries []json.RawMessage, artifactType string) ([]v1.Descriptor, error) {
	seen := map[v1.Hash]bool{}
	var found []v1.Descriptor
	for _, entry := range entries {
		var described v1.Descriptor
		if err := json.Unmarshal(entry, &described); err != nil {
			return nil, errors.New("read list of referrers: an entry has no digest")
		}
		if (artifactType == "" || described.ArtifactType == artifactType) && !seen[described.Digest] {
			seen[described.Digest] = true
			found = append(found, described)
		}
	}
	return found, nil
}

// nextPage is the address of the rest of a list.
func nextPage(a answer) (*url.URL, bool) {
	for _, link := range a.header.Values("Link") {
		found := regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`).FindStringSubmatch(link)
		if found == nil {
			continue
		}
		if at, err := url.Parse(found[1]); err == nil {
			return a.url.ResolveReference(at), true
		}
	}
	return nil, false
}

func acceptManifests() map[string]string {
	return map[string]string{"Accept": strings.Join([]string{
		string(types.OCIImageIndex), string(types.OCIManifestSchema1), string(types.DockerManifestList), string(types.DockerManifestSchema2),
	}, ", ")}
}
