package oci

import (
	"errors"
	"os"
)

// putInPlace gives the finished directory its name. Where the system can, an
// old directory changes places with it in one step.
func putInPlace(fresh, dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return os.Rename(fresh, dir)
	}
	if exchange(fresh, dir) == nil {
		return nil
	}
	// In two steps: whoever looks in between finds no layout, never half of one.
	old := fresh + ".old"
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}
