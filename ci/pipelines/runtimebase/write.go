package runtimebase

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// WriteTar writes the entries as a tar. With the same time, the bytes are the
// same on every machine.
func (b Base) WriteTar(w io.Writer, modTime time.Time) error {
	archive := tar.NewWriter(w)
	for _, entry := range b.Entries {
		if err := writeEntry(archive, entry, modTime); err != nil {
			return fmt.Errorf("write %s: %w", entry.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("write runtime base: %w", err)
	}
	return nil
}

func writeEntry(archive *tar.Writer, entry Entry, modTime time.Time) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     strings.TrimPrefix(entry.Path, "/"),
		Mode:     entry.Mode,
		Uid:      entry.UID,
		Gid:      entry.GID,
		Size:     int64(len(entry.Data)),
		ModTime:  modTime.UTC().Truncate(time.Second),
	}
	if entry.Dir {
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(entry.Data)
	return err
}

// Digest names the content of the base, as sha256:…: it is that of the tar
// with all times at 1970.
func (b Base) Digest() (string, error) {
	sum := sha256.New()
	if err := b.WriteTar(sum, time.Unix(0, 0)); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// WriteDir writes the entries below dir, which must be there and empty, with
// their modes but without their owners: a build context keeps no owners.
func (b Base) WriteDir(dir string) error {
	for _, entry := range b.Entries {
		if err := placeEntry(filepath.Join(dir, filepath.FromSlash(entry.Path)), entry); err != nil {
			return fmt.Errorf("write runtime base: %w", err)
		}
	}
	return nil
}

func placeEntry(path string, entry Entry) error {
	mode := fs.FileMode(entry.Mode & 0o777)
	if !entry.Dir {
		if err := os.WriteFile(path, entry.Data, mode); err != nil {
			return err
		}
		return os.Chmod(path, mode) // whatever the umask
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	if entry.Mode&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return os.Chmod(path, mode)
}
