package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// disk is a directory that cannot be left. It says what is done to it, one thing at a time, so that a test can end the
// program at each of them.
type disk interface {
	ReadFile(name string) ([]byte, error)
	Stat(name string) (os.FileInfo, error)
	Lstat(name string) (os.FileInfo, error)
	OpenFile(name string, flag int, mode os.FileMode) (*os.File, error)
	Mkdir(name string, mode os.FileMode) error
	MkdirAll(name string, mode os.FileMode) error
	Link(from, to string) error
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	Chmod(name string, mode os.FileMode) error
	Close() error
}

func openDisk(dir string) (disk, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return root, nil
}

// replace writes a file so that it is the old one or the new one at every moment, also after a crash of the machine.
func replace(d disk, name string, mode os.FileMode, content []byte) error {
	temporary := name + ".new"
	if err := write(d, temporary, mode, content); err != nil {
		return err
	}
	if err := d.Rename(temporary, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(d, filepath.Dir(name))
}

func write(d disk, name string, mode os.FileMode, content []byte) error {
	if err := d.Remove(name); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", name, err)
	}
	return finish(f, name, mode)
}

// finish makes sure that what was written is on the disk.
func finish(f *os.File, name string, mode os.FileMode) error {
	if err := f.Chmod(mode); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// syncDir makes sure that a directory's names are on the disk.
func syncDir(d disk, name string) error {
	dir, err := d.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}

// openTo is the mode of directories that the account of a service gets through.
const openTo = 0o755

// widen lets everybody into directories of ours: an earlier helper may have made them under a login's narrow umask.
func widen(d disk, dirs ...string) error {
	for _, name := range dirs {
		info, err := d.Stat(name)
		if err != nil {
			return fmt.Errorf("look at directory: %w", err)
		}
		if mode := info.Mode().Perm(); mode&openTo != openTo {
			if err := d.Chmod(name, mode|openTo); err != nil {
				return fmt.Errorf("open directory to the service: %w", err)
			}
		}
	}
	return nil
}

// names are those in a directory, none when it is not there.
func names(d disk, dir string) ([]string, error) {
	f, err := d.OpenFile(dir, os.O_RDONLY, 0)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	defer f.Close()
	found, err := f.Readdirnames(-1)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return found, nil
}
