package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// opener opens a blob for reading.
type opener func() (io.ReadCloser, error)

// visitor is called with each blob; with those that images share more than once.
type visitor func(described v1.Descriptor, open opener) error

// eachBlob visits all that an index consists of, itself included, parts first.
func eachBlob(idx v1.ImageIndex, visit visitor) error {
	manifest, err := idx.IndexManifest()
	if err != nil {
		return err
	}
	for _, described := range manifest.Manifests {
		if err := eachBlobBelow(idx, described, visit); err != nil {
			return fmt.Errorf("manifest %s: %w", described.Digest, err)
		}
	}
	raw, err := idx.RawManifest()
	if err != nil {
		return err
	}
	return visitBytes(types.OCIImageIndex, raw, visit)
}

func eachBlobBelow(idx v1.ImageIndex, described v1.Descriptor, visit visitor) error {
	if described.MediaType.IsIndex() {
		nested, err := idx.ImageIndex(described.Digest)
		if err != nil {
			return err
		}
		return eachBlob(nested, visit)
	}
	image, err := idx.Image(described.Digest)
	if err != nil {
		return err
	}
	return eachBlobOf(image, visit)
}

// eachBlobOf visits layers, configuration and manifest of an image.
func eachBlobOf(image v1.Image, visit visitor) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	for i, layer := range layers {
		if err := visit(manifest.Layers[i], layer.Compressed); err != nil {
			return err
		}
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	if err := visitBytes(manifest.Config.MediaType, config, visit); err != nil {
		return err
	}
	raw, err := image.RawManifest()
	if err != nil {
		return err
	}
	return visitBytes(manifest.MediaType, raw, visit)
}

func visitBytes(kind types.MediaType, data []byte, visit visitor) error {
	described := v1.Descriptor{MediaType: kind, Digest: hashOf(data), Size: int64(len(data))}
	return visit(described, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

func checkMarker(data []byte) error {
	var found struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(data, &found); err != nil {
		return fmt.Errorf("read %s: %w", markerFile, err)
	}
	if found.Version != "1.0.0" {
		return fmt.Errorf("layout version %q is not supported, wanted 1.0.0", found.Version)
	}
	return nil
}

// unwrap returns the index that is the only entry of a layout's index.json,
// and otherwise index.json itself.
func unwrap(root storedIndex) (v1.ImageIndex, error) {
	manifest, err := root.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", indexFile, err)
	}
	if len(manifest.Manifests) == 1 && manifest.Manifests[0].MediaType.IsIndex() {
		return root.ImageIndex(manifest.Manifests[0].Digest)
	}
	return root, nil
}
