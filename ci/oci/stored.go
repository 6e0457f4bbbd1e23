package oci

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// storedIndex is an index whose images are in a store of blobs.
type storedIndex struct {
	raw   []byte
	blobs blobs
}

var _ v1.ImageIndex = storedIndex{}

func (i storedIndex) RawManifest() ([]byte, error) { return i.raw, nil }
func (i storedIndex) Digest() (v1.Hash, error)     { return hashOf(i.raw), nil }
func (i storedIndex) Size() (int64, error)         { return int64(len(i.raw)), nil }
func (i storedIndex) MediaType() (types.MediaType, error) {
	manifest, err := i.IndexManifest()
	if err != nil {
		return "", err
	}
	if manifest.MediaType == "" { // optional in an OCI index
		return types.OCIImageIndex, nil
	}
	return manifest.MediaType, nil
}

func (i storedIndex) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(i.raw))
}

func (i storedIndex) Image(digest v1.Hash) (v1.Image, error) {
	raw, err := readDocument(i.blobs, digest)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", digest, err)
	}
	config, err := readDocument(i.blobs, manifest.Config.Digest)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&storedImage{raw, config, manifest, i.blobs})
}

func (i storedIndex) ImageIndex(digest v1.Hash) (v1.ImageIndex, error) {
	raw, err := readDocument(i.blobs, digest)
	return storedIndex{raw, i.blobs}, err
}

// storedImage is what go-containerregistry completes to an image.
type storedImage struct {
	raw      []byte
	config   []byte
	manifest *v1.Manifest
	blobs    blobs
}

var _ partial.CompressedImageCore = (*storedImage)(nil)

func (i *storedImage) RawManifest() ([]byte, error)   { return i.raw, nil }
func (i *storedImage) RawConfigFile() ([]byte, error) { return i.config, nil }

func (i *storedImage) MediaType() (types.MediaType, error) {
	if i.manifest.MediaType == "" {
		return types.OCIManifestSchema1, nil
	}
	return i.manifest.MediaType, nil
}

func (i *storedImage) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	at := slices.IndexFunc(i.manifest.Layers, func(d v1.Descriptor) bool { return d.Digest == digest })
	if at < 0 {
		return nil, missing(digest)
	}
	return storedLayer{i.manifest.Layers[at], i.blobs}, nil
}

type storedLayer struct {
	described v1.Descriptor
	blobs     blobs
}

func (l storedLayer) Digest() (v1.Hash, error)            { return l.described.Digest, nil }
func (l storedLayer) Size() (int64, error)                { return l.described.Size, nil }
func (l storedLayer) MediaType() (types.MediaType, error) { return l.described.MediaType, nil }
func (l storedLayer) Compressed() (io.ReadCloser, error) {
	return openChecked(l.blobs, l.described.Digest)
}
