package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxDocument bounds manifests and configurations, which are read whole.
const maxDocument = 16 << 20

// blobs is a store of content by its digest.
type blobs interface {
	open(digest v1.Hash) (io.ReadCloser, error)
}

// memoryBlobs keeps blobs in memory.
type memoryBlobs map[v1.Hash][]byte

func (m memoryBlobs) open(digest v1.Hash) (io.ReadCloser, error) {
	data, ok := m[digest]
	if !ok {
		return nil, missing(digest)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m memoryBlobs) put(kind types.MediaType, data []byte) v1.Descriptor {
	digest := hashOf(data)
	m[digest] = data
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: int64(len(data))}
}

func (m memoryBlobs) putJSON(kind types.MediaType, value any) (v1.Descriptor, error) {
	data, err := encode(value)
	return m.put(kind, data), err
}

// directoryBlobs is the blobs directory of a layout.
type directoryBlobs string

func (d directoryBlobs) open(digest v1.Hash) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(string(d), digest.Algorithm, digest.Hex))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing(digest)
	}
	return file, err
}

func missing(digest v1.Hash) error { return fmt.Errorf("blob %s is missing", digest) }

func hashOf(data []byte) v1.Hash {
	sum := sha256.Sum256(data)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// openChecked opens a blob for reading. Its end is an error, in place of
// io.EOF, when the content is not that of the digest.
func openChecked(from blobs, digest v1.Hash) (io.ReadCloser, error) {
	if digest.Algorithm != "sha256" {
		return nil, fmt.Errorf("blob %s: only sha256 is supported", digest)
	}
	opened, err := from.open(digest)
	if err != nil {
		return nil, err
	}
	return &checkedReader{ReadCloser: opened, sum: sha256.New(), digest: digest}, nil
}

type checkedReader struct {
	io.ReadCloser
	sum    hash.Hash
	digest v1.Hash
}

func (r *checkedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.sum.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if found := hex.EncodeToString(r.sum.Sum(nil)); found != r.digest.Hex {
			return n, fmt.Errorf("blob %s is damaged: its content has the digest sha256:%s", r.digest, found)
		}
	}
	return n, err
}

// readDocument reads a manifest or a configuration.
func readDocument(from blobs, digest v1.Hash) ([]byte, error) {
	opened, err := openChecked(from, digest)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxDocument {
		return nil, fmt.Errorf("blob %s is larger than a manifest may be", digest)
	}
	return data, nil
}
