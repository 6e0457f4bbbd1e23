package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	stateMarker = ".slipway-engine-state"
	stateRoot   = "root"
	markerText  = "This directory belongs to slipway's engine, which may delete everything in it.\n"
)

// engineFiles are all the names that this version of the engine makes in its directory. When a database does not open, it
// deletes whatever is there: so nothing else may be.
var engineFiles = []string{"cache.db", "dagger-engine.lock", "dagql-cache.db", "dagql-cache.db-shm", "dagql-cache.db-wal", "dagql-cache.db-journal",
	"net", "secret-salt", "worker"}

// ForeignError means that the state directory holds what the engine did not put there.
type ForeignError struct {
	Dir   string
	Names []string
}

// Error names the files and the way out.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s holds files that are not the engine's (%s), and the engine may delete everything in there: move them away, or remove the directory",
		e.Dir, strings.Join(e.Names[:min(5, len(e.Names))], ", "))
}

// openState makes the state directory, or checks that it is ours and holds nothing else.
func openState(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || (err == nil && len(entries) == 0) {
		return createState(dir)
	}
	if err != nil {
		return fmt.Errorf("read state directory: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, stateMarker)); err != nil {
		return &ForeignError{Dir: dir, Names: names(entries)}
	}
	if err := onlyKnown(dir, []string{stateMarker, stateRoot}); err != nil {
		return err
	}
	root := filepath.Join(dir, stateRoot)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("create state directory: %w", err)
	}
	return onlyKnown(root, engineFiles)
}

// createState writes the marker first: a directory without one is never used.
func createState(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create state directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, stateMarker), []byte(markerText), 0o600); err != nil {
		return fmt.Errorf("mark state directory: %w", err)
	}
	return os.MkdirAll(filepath.Join(dir, stateRoot), 0o700)
}

func onlyKnown(dir string, known []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read state directory: %w", err)
	}
	foreign := slices.DeleteFunc(names(entries), func(name string) bool { return slices.Contains(known, name) })
	if len(foreign) > 0 {
		return &ForeignError{Dir: dir, Names: foreign}
	}
	return nil
}

func names(entries []os.DirEntry) []string {
	all := make([]string, 0, len(entries))
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// emptyDir makes dir and removes what is in it.
func emptyDir(dir string, mode os.FileMode) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, mode.Perm()); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// diskUse is what the files below dir take on disk. Files that go away meanwhile count nothing.
func diskUse(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // an estimate: what cannot be read is not counted
		}
		if info, err := entry.Info(); err == nil {
			total += blocks(info)
		}
		return nil
	})
	return total
}
