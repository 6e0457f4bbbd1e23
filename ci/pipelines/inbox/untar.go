package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// untarCommand unpacks a gzip-compressed tar, owners and modes included, below a directory.
func untarCommand(args []string) error {
	if len(args) != 2 {
		return usageError{"name the archive and the directory"}
	}
	file, err := os.Open(args[0])
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	return untar(unzipped, args[1])
}

// untar writes every entry below dir. Device files are left out: a container brings its own.
func untar(r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	defer root.Close()
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := unpackEntry(root, header, archive); err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

// unpackEntry writes one entry. The root keeps names and links from leading outside.
func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	name := strings.TrimPrefix(filepath.Clean("/"+header.Name), "/")
	if name == "" {
		return nil
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case tar.TypeReg:
		if err := unpackFile(root, name, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := root.Symlink(header.Linkname, name); err != nil {
			return err
		}
		return root.Lchown(name, header.Uid, header.Gid)
	case tar.TypeLink:
		return root.Link(strings.TrimPrefix(filepath.Clean("/"+header.Linkname), "/"), name)
	default:
		return nil
	}
	if err := root.Chown(name, header.Uid, header.Gid); err != nil {
		return err
	}
	if err := root.Chmod(name, header.FileInfo().Mode().Perm()|special(header)); err != nil { // after the owner: a change of owner drops setuid
		return err
	}
	return root.Chtimes(name, header.ModTime, header.ModTime)
}

func special(header *tar.Header) fs.FileMode {
	return header.FileInfo().Mode() & (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

func unpackFile(root *os.Root, name string, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
