package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// missing says which contents are not on the machine yet.
func (s *service) missing(sums []string) ([]string, error) {
	var missing []string
	for _, sum := range sums {
		if err := checkSum(sum); err != nil {
			return nil, err
		}
		if _, err := s.store.Lstat(filepath.Join(blobs, sum)); err != nil {
			missing = append(missing, sum)
		}
	}
	return missing, nil
}

// put takes in a content, if it is the one that was announced. What was cut off leaves nothing.
func (s *service) put(sum string, size int64, body io.Reader) error {
	if err := checkSum(sum); err != nil {
		return err
	}
	if err := s.store.MkdirAll(blobs, 0o700); err != nil {
		return fmt.Errorf("make directory for uploads: %w", err)
	}
	temporary := filepath.Join(blobs, fmt.Sprintf(".%s.%d", sum[:16], os.Getpid()))
	f, err := s.store.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return full(err, size)
	}
	defer s.store.Remove(temporary)
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(body, size))
	if err != nil {
		f.Close()
		return full(err, size)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); n != size || got != sum {
		f.Close()
		return fmt.Errorf("take in upload: %d of %d bytes came, with digest %s and not %s: send it again", n, size, got, sum)
	}
	if err := finish(f, temporary, 0o600); err != nil {
		return full(err, size)
	}
	if err := s.store.Rename(temporary, filepath.Join(blobs, sum)); err != nil {
		return full(err, size)
	}
	return syncDir(s.store, blobs)
}

// full makes an error of a full disk one that says what to do.
func full(err error, size int64) error {
	if !isFull(err) {
		return fmt.Errorf("take in upload: %w", err)
	}
	return refuse("free some space there; nothing on the machine was changed", "the disk with %s is full: %d bytes do not fit", protocol.StateDir, size)
}

// old is how long a content that no release uses may still be on its way into one.
const old = time.Hour

// sweep removes contents that no release uses any more, and what cut-off uploads left.
func (s *service) sweep(now time.Time) error {
	found, err := names(s.store, blobs)
	if err != nil {
		return err
	}
	for _, name := range found {
		file := filepath.Join(blobs, name)
		info, err := s.store.Lstat(file)
		if err != nil {
			continue // somebody else sweeps
		}
		if links(info) == 1 && now.Sub(info.ModTime()).Abs() > old {
			if err := s.store.Remove(file); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("remove upload: %w", err)
			}
		}
	}
	return nil
}

func links(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink) //nolint:unconvert // its type is another one on arm64
	}
	return 0
}
