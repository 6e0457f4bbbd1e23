package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	markerFile = "oci-layout"
	indexFile  = "index.json"
	blobsDir   = "blobs"
	marker     = `{"imageLayoutVersion":"1.0.0"}`
)

// WriteLayout writes idx as an OCI image layout, and returns the digest of idx:
// the layout's index.json has it as its one entry, so that tools which expect
// one image find one.
//
// A layout that is there is replaced when the new one is complete and on the
// disk. Anything else that is there is refused: a symbolic link, a file, a
// directory that is no layout. One writer at a time: what a killed writer of
// the same layout left behind is removed.
func WriteLayout(dir string, idx v1.ImageIndex) (v1.Hash, error) {
	if err := replaceable(dir); err != nil {
		return v1.Hash{}, err
	}
	parent, prefix := filepath.Dir(filepath.Clean(dir)), "."+filepath.Base(filepath.Clean(dir))+".slipway-"
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return v1.Hash{}, fmt.Errorf("create directory of layout: %w", err)
	}
	if err := removeLeftovers(parent, prefix); err != nil {
		return v1.Hash{}, fmt.Errorf("remove interrupted layout: %w", err)
	}
	fresh, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("create layout: %w", err)
	}
	defer os.RemoveAll(fresh) // after the exchange, this is the old layout
	digest, err := fill(fresh, idx)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("write layout: %w", err)
	}
	if err := putInPlace(fresh, dir); err != nil {
		return v1.Hash{}, fmt.Errorf("publish layout: %w", err)
	}
	return digest, syncPath(parent)
}

// replaceable tells whether dir is free, empty, or a layout.
func replaceable(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("inspect layout: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("write layout: %s is not a directory: remove it, or choose another place", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("inspect layout: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	if info, err := os.Lstat(filepath.Join(dir, markerFile)); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("write layout: %s holds files, but no image layout: remove it, or choose another place", dir)
	}
	return nil
}

func removeLeftovers(parent, prefix string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(parent, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the layout's files, and has them on the disk when it returns.
func fill(dir string, idx v1.ImageIndex) (v1.Hash, error) {
	root, digest, err := rootOf(idx)
	if err != nil {
		return v1.Hash{}, err
	}
	blobs := filepath.Join(dir, blobsDir, "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return v1.Hash{}, err
	}
	err = eachBlob(idx, func(described v1.Descriptor, open opener) error {
		return storeBlob(filepath.Join(blobs, described.Digest.Hex), open)
	})
	if err != nil {
		return v1.Hash{}, err
	}
	if err := storeRoot(dir, root); err != nil {
		return v1.Hash{}, err
	}
	for _, made := range []string{blobs, filepath.Dir(blobs), dir} {
		if err := errors.Join(os.Chmod(made, 0o755), syncPath(made)); err != nil {
			return v1.Hash{}, err
		}
	}
	return digest, nil
}

// WriteRoot makes a directory of blobs an OCI image layout whose one entry is described: the blobs are there already, in
// blobs/sha256.
func WriteRoot(dir string, described v1.Descriptor) error {
	root, err := encode(rootIndex(v1.Descriptor{MediaType: described.MediaType, Digest: described.Digest, Size: described.Size}))
	if err == nil {
		err = storeRoot(dir, root)
	}
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	return nil
}

func storeRoot(dir string, root []byte) error {
	for name, data := range map[string][]byte{indexFile: root, markerFile: []byte(marker)} {
		if err := storeFile(filepath.Join(dir, name), bytes.NewReader(data)); err != nil {
			return err
		}
	}
	return nil
}

// rootOf is the index.json that has idx as its one entry.
func rootOf(idx v1.ImageIndex) ([]byte, v1.Hash, error) {
	digest, err := idx.Digest()
	if err != nil {
		return nil, v1.Hash{}, err
	}
	size, err := idx.Size()
	if err != nil {
		return nil, v1.Hash{}, err
	}
	kind, err := idx.MediaType()
	if err != nil {
		return nil, v1.Hash{}, err
	}
	root, err := encode(rootIndex(v1.Descriptor{MediaType: kind, Digest: digest, Size: size}))
	return root, digest, err
}

func rootIndex(entry v1.Descriptor) v1.IndexManifest {
	return v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{entry}}
}

func storeBlob(path string, open opener) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return nil // platforms share blobs
	}
	content, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	return storeFile(path, content)
}

func storeFile(path string, content io.Reader) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Sync(), file.Close())
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(ignoreUnsupported(file.Sync()), file.Close())
}

// ReadLayout reads an OCI image layout. Blobs are read, and checked, when they
// are needed.
func ReadLayout(dir string) (v1.ImageIndex, error) {
	stamp, err := os.ReadFile(filepath.Join(dir, markerFile))
	if err == nil {
		err = checkMarker(stamp)
	}
	if err != nil {
		return nil, fmt.Errorf("read layout %s: %w", dir, err)
	}
	root, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		return nil, fmt.Errorf("read layout %s: %w", dir, err)
	}
	idx, err := unwrap(storedIndex{root, directoryBlobs(filepath.Join(dir, blobsDir))})
	if err != nil {
		return nil, fmt.Errorf("read layout %s: %w", dir, err)
	}
	return idx, nil
}
