package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
)

// level of the pinned compressor is as small as the best one within 1 %, and
// eight times as fast. Changing it changes every digest.
const level = 7

// layer is a canonical layer.
type layer struct {
	compressed []byte
	diffID     v1.Hash
}

// canonicalLayers writes the layers of an image anew, lowest first. A layer in
// which nothing is left is dropped.
func canonicalLayers(image v1.Image, opts Options) ([]layer, error) {
	sources, err := image.Layers()
	if err != nil {
		return nil, err
	}
	var layers []layer
	lower := tree{}
	for i, source := range sources {
		content, err := readLayer(source)
		if err == nil {
			err = content.settle(lower, opts.Attributes)
		}
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		if len(content) == 0 {
			continue
		}
		written, err := writeLayer(content, opts.ModTime)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		layers = append(layers, written)
		content.over(lower)
	}
	return layers, nil
}

func readLayer(source v1.Layer) (content tree, err error) {
	opened, err := source.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return readTree(opened)
}

func writeLayer(content tree, modTime time.Time) (layer, error) {
	var compressed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&compressed, level) // its header stays without name and time
	if err != nil {
		return layer{}, err
	}
	sum := sha256.New()
	if err := writeTree(io.MultiWriter(zipped, sum), content, modTime); err != nil {
		return layer{}, err
	}
	if err := zipped.Close(); err != nil {
		return layer{}, err
	}
	diffID := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	return layer{compressed: compressed.Bytes(), diffID: diffID}, nil
}

// writeTree writes the canonical tar. Of several names of one file the first
// holds the content, and the others link to it.
func writeTree(w io.Writer, from tree, modTime time.Time) error {
	archive := tar.NewWriter(w)
	first := map[*content]string{}
	for _, name := range from.names() {
		entry := from[name]
		if holder, ok := first[entry.content]; ok && entry.content != nil {
			entry.kind, entry.link, entry.content = tar.TypeLink, holder, nil
		}
		if err := writeNode(archive, name, entry, modTime); err != nil {
			return fmt.Errorf("write /%s: %w", name, err)
		}
		if entry.content != nil {
			first[entry.content] = name
		}
	}
	return archive.Close()
}

func writeNode(archive *tar.Writer, name string, entry node, modTime time.Time) error {
	header := &tar.Header{
		Typeflag: entry.kind,
		Name:     name,
		Linkname: entry.link,
		Mode:     entry.mode,
		Uid:      entry.uid,
		Gid:      entry.gid,
		ModTime:  modTime,
	}
	if entry.kind == tar.TypeDir {
		header.Name += "/"
	}
	if entry.content == nil {
		return archive.WriteHeader(header)
	}
	header.Size = int64(len(entry.content.data))
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(entry.content.data)
	return err
}
