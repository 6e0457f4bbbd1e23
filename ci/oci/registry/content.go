package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Root is what is pushed: a v1.Image or a v1.ImageIndex.
type Root interface {
	RawManifest() ([]byte, error)
	MediaType() (types.MediaType, error)
}

// blob is content that a manifest names.
type blob struct {
	v1.Descriptor
	open func() (io.ReadCloser, error)
}

// document is a manifest, or an index of manifests.
type document struct {
	v1.Descriptor
	raw   []byte
	level int // above what it names: those of one level can be sent at once
}

// content is all that an image consists of, each part once.
type content struct {
	blobs     []blob
	documents []document // parts first, the root last
	seen      map[v1.Hash]bool
}

// contentOf takes an image or an index apart.
func contentOf(root Root) (*content, error) {
	c := &content{seen: map[v1.Hash]bool{}}
	var err error
	switch root := root.(type) {
	case v1.ImageIndex:
		_, err = c.addIndex(root)
	case v1.Image:
		err = c.addImage(root)
	case nil:
		err = errors.New("there is no image")
	default:
		err = fmt.Errorf("%T is no image and no index", root)
	}
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	return c, nil
}

// size is the number of all bytes.
func (c *content) size() int64 {
	var size int64
	for _, b := range c.blobs {
		size += b.Size
	}
	for _, d := range c.documents {
		size += d.Size
	}
	return size
}

func (c *content) addIndex(idx v1.ImageIndex) (level int, err error) {
	manifest, err := idx.IndexManifest()
	if err != nil {
		return 0, err
	}
	for _, described := range manifest.Manifests {
		below, err := c.addBelow(idx, described)
		if err != nil {
			return 0, fmt.Errorf("manifest %s: %w", described.Digest, err)
		}
		level = max(level, below+1)
	}
	raw, err := idx.RawManifest()
	if err != nil {
		return 0, err
	}
	kind, err := idx.MediaType()
	c.addDocument(kind, raw, level)
	return level, err
}

func (c *content) addBelow(idx v1.ImageIndex, described v1.Descriptor) (level int, err error) {
	switch {
	case described.MediaType.IsIndex():
		nested, err := idx.ImageIndex(described.Digest)
		if err != nil {
			return 0, err
		}
		return c.addIndex(nested)
	case described.MediaType.IsImage():
		image, err := idx.Image(described.Digest)
		if err != nil {
			return 0, err
		}
		return 0, c.addImage(image)
	}
	return 0, fmt.Errorf("is a %s, wanted an image or an index", described.MediaType)
}

func (c *content) addImage(image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	if len(layers) != len(manifest.Layers) {
		return fmt.Errorf("its manifest has %d layers, wanted %d", len(manifest.Layers), len(layers))
	}
	for i, layer := range layers {
		if manifest.Layers[i].MediaType.IsDistributable() { // others have an address of their own
			c.addBlob(manifest.Layers[i], layer.Compressed)
		}
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	c.addBlob(manifest.Config, opened(config))
	raw, err := image.RawManifest()
	if err != nil {
		return err
	}
	kind, err := image.MediaType()
	c.addDocument(kind, raw, 0)
	return err
}

func (c *content) addBlob(described v1.Descriptor, open func() (io.ReadCloser, error)) {
	if !c.seen[described.Digest] {
		c.seen[described.Digest] = true
		c.blobs = append(c.blobs, blob{described, open})
	}
}

func (c *content) addDocument(kind types.MediaType, raw []byte, level int) document {
	d := document{v1.Descriptor{MediaType: kind, Size: int64(len(raw)), Digest: hashOf(raw)}, raw, level}
	if !c.seen[d.Digest] {
		c.seen[d.Digest] = true
		c.documents = append(c.documents, d)
	}
	return d
}

func opened(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

func hashOf(data []byte) v1.Hash {
	sum := sha256.Sum256(data)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}
