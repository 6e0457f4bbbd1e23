package oci

import (
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// VerifyLayout reads every blob of a layout, which checks its digest and size, and returns the index's digest and annotations.
// An error means that the layout is not whole.
func VerifyLayout(dir string) (v1.Hash, map[string]string, error) {
	idx, err := ReadLayout(dir)
	if err != nil {
		return v1.Hash{}, nil, err
	}
	err = eachBlob(idx, func(_ v1.Descriptor, open opener) error {
		content, err := open()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, content)
		return errors.Join(err, content.Close())
	})
	if err != nil {
		return v1.Hash{}, nil, fmt.Errorf("verify layout: %w", err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		return v1.Hash{}, nil, fmt.Errorf("verify layout: %w", err)
	}
	digest, err := idx.Digest()
	return digest, manifest.Annotations, err
}
