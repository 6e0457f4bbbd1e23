package forge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// FileAt describes a file for a release, under the name that the forge keeps.
func FileAt(path string) (File, error) {
	content, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer content.Close()
	size, digest, err := sum(content)
	return File{Name: AssetName(filepath.Base(path)), Path: path, Size: size, Digest: digest}, err
}

// open opens a file that still is what its digest says.
func open(file File) (*os.File, error) {
	content, err := os.Open(file.Path)
	if err != nil {
		return nil, err
	}
	_, digest, err := sum(content)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err == nil && digest != file.Digest {
		err = fmt.Errorf("%s has changed since its digest was taken (%s, not %s): run it again", file.Path, digest, file.Digest)
	}
	if err != nil {
		content.Close()
		return nil, err
	}
	return content, nil
}

func sum(content *os.File) (size int64, digest string, err error) {
	hash := sha256.New()
	size, err = io.Copy(hash, content)
	if err != nil {
		return 0, "", fmt.Errorf("read %s: %w", content.Name(), err)
	}
	return size, "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}
