package registry

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/oci"
)

// Fetch copies what a reference names, with all that it consists of, into a new
// directory, as an OCI image layout. Each digest is checked. One blob at a time
// is held in memory.
func (c *Client) Fetch(ctx context.Context, reference, dir string) (v1.Descriptor, error) {
	repository, _, err := parseReference(reference)
	if err != nil {
		return v1.Descriptor{}, err
	}
	raw, root, err := c.Manifest(ctx, reference)
	if err != nil {
		return v1.Descriptor{}, err
	}
	f := fetching{client: c, repository: repository.String(), blobs: filepath.Join(dir, "blobs", "sha256")}
	if err := os.MkdirAll(f.blobs, 0o755); err != nil {
		return root, fmt.Errorf("fetch %s: %w", reference, err)
	}
	if err := f.manifest(ctx, root, raw); err != nil {
		return root, err
	}
	return root, oci.WriteRoot(dir, root)
}

// fetching is one Fetch.
type fetching struct {
	client     *Client
	repository string
	blobs      string
}

// manifest stores a manifest or an index, and what it names.
func (f fetching) manifest(ctx context.Context, described v1.Descriptor, raw []byte) error {
	if err := f.store(described.Digest, raw); err != nil {
		return err
	}
	if !described.MediaType.IsIndex() {
		return f.parts(ctx, raw)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("read index %s: %w", described.Digest, err)
	}
	for _, entry := range index.Manifests {
		below, found, err := f.client.Manifest(ctx, f.repository+"@"+entry.Digest.String())
		if err != nil {
			return err
		}
		if err := f.manifest(ctx, found, below); err != nil {
			return err
		}
	}
	return nil
}

// parts stores configuration and layers of an image.
func (f fetching) parts(ctx context.Context, raw []byte) error {
	image, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	for _, part := range append([]v1.Descriptor{image.Config}, image.Layers...) {
		if _, err := os.Lstat(f.path(part.Digest)); err == nil {
			continue // platforms share it
		}
		data, err := f.client.Blob(ctx, f.repository, part)
		if err != nil {
			return err
		}
		if err := f.store(part.Digest, data); err != nil {
			return err
		}
	}
	return nil
}

func (f fetching) path(digest v1.Hash) string { return filepath.Join(f.blobs, digest.Hex) }

func (f fetching) store(digest v1.Hash, data []byte) error {
	if err := os.WriteFile(f.path(digest), data, 0o644); err != nil {
		return fmt.Errorf("store %s: %w", digest, err)
	}
	return nil
}
