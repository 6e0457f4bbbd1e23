package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Version is that of the state file.
const Version = 1

// maxFile is more than any valid state takes.
const maxFile = 8 << 20

// State is settings as they are kept.
type State struct {
	Version  int      `json:"version"`
	Sequence uint64   `json:"sequence"` // how often they were changed
	Settings Settings `json:"settings"`
}

// File is where a proxy keeps its state. Beside it is the previous copy, with ".previous" behind the name.
type File struct{ Path string }

func (f File) previous() string { return f.Path + ".previous" }

// Load reads the state, or its previous copy where it is torn or of another version. Warning says what could not be read. A
// machine that has no state yet has the zero one.
func (f File) Load() (state State, warning error) {
	state, err := load(f.Path)
	if err == nil {
		return state, nil
	}
	before, errBefore := load(f.previous())
	switch {
	case errBefore == nil && errors.Is(err, fs.ErrNotExist):
		return before, nil // killed between two renames of an older version, or by hand: the previous one is what there is
	case errBefore == nil:
		return before, fmt.Errorf("%w; going on with the copy before it", err)
	case errors.Is(err, fs.ErrNotExist) && errors.Is(errBefore, fs.ErrNotExist):
		return State{Version: Version, Settings: Settings{}.Normal()}, nil
	}
	return State{Version: Version, Settings: Settings{}.Normal()}, errors.Join(err, errBefore)
}

func load(path string) (State, error) {
	info, err := os.Stat(path)
	if err != nil {
		return State{}, err
	}
	if info.Size() > maxFile {
		return State{}, fmt.Errorf("read %s: it has %d bytes, which no state has", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return State{}, err
	}
	var state State
	if err := json.Unmarshal(data, &state); err != nil {
		return State{}, fmt.Errorf("read %s: %w", path, err)
	}
	if state.Version != Version {
		return State{}, fmt.Errorf("read %s: it is of version %d, this program knows %d", path, state.Version, Version)
	}
	state.Settings = state.Settings.Normal()
	if err := errors.Join(state.Settings.checkUpstreams()...); err != nil { // certificates are looked at when they are used
		return State{}, fmt.Errorf("read %s: %w", path, err)
	}
	return state, nil
}

// Save writes the state so that at every moment a complete one is there: written beside, synced, and renamed.
func (f File) Save(state State) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	dir := filepath.Dir(f.Path)
	next := f.Path + ".next"
	if err := writeSynced(next, append(data, '\n')); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := f.keepPrevious(); err != nil {
		return fmt.Errorf("keep the state before: %w", err)
	}
	if err := os.Rename(next, f.Path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// keepPrevious gives the current file a second name, so that the first is never missing. One that cannot be read is not kept:
// it would take the place of one that can.
func (f File) keepPrevious() error {
	if _, err := load(f.Path); err != nil {
		return nil
	}
	link := f.previous() + ".next"
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(f.Path, link); err != nil {
		return err
	}
	return os.Rename(link, f.previous())
}

func writeSynced(path string, data []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(data); err != nil {
		return err
	}
	return file.Sync()
}

func syncDir(path string) (err error) {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return dir.Sync()
}
