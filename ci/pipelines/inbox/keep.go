package main

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// What the go command has not used for five days it removes, by the times of the files: it renews them when it uses one. So
// what is brought back is given an age between what is kept and what is removed, and what nobody uses is not kept again.
const (
	keptAge     = 3 * 24 * time.Hour
	restoredAge = 4 * 24 * time.Hour
)

// kept is a cache as one file. Its digest depends on what is in it alone.
type kept struct {
	Digest string `json:"digest"`
	Files  int    `json:"files"`
	Size   int64  `json:"size"`
}

// keepCommand writes what recent runs used of a cache as a tar file.
func keepCommand(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("keep", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	modules := flags.Bool("modules", false, "the directory is a GOPATH")
	if err := flags.Parse(args); err != nil || flags.NArg() != 2 {
		return usageError{"name the directory and the file"}
	}
	keeps := recent(time.Now().Add(-keptAge))
	if *modules {
		keeps = downloaded(flags.Arg(0))
	}
	k, err := keep(flags.Arg(0), flags.Arg(1), keeps)
	if err != nil {
		return err
	}
	return printJSON(stdout, k)
}

// chooses says whether a file is kept.
type chooses func(name string, info fs.FileInfo) bool

var buildEntry = regexp.MustCompile(`^[0-9a-f]{2}/[0-9a-f]+-[ad]$`)

// recent chooses from a build cache what was used since a moment.
func recent(since time.Time) chooses {
	return func(name string, info fs.FileInfo) bool {
		return buildEntry.MatchString(name) && info.ModTime().After(since)
	}
}

// downloaded chooses from a GOPATH what was downloaded, without what can be made of it: the unpacked modules. One that nobody
// has unpacked was brought back and is not needed any more.
func downloaded(gopath string) chooses {
	const download = "pkg/mod/cache/download/"
	return func(name string, _ fs.FileInfo) bool {
		rest, ok := strings.CutPrefix(name, download)
		if !ok {
			return false
		}
		if strings.HasPrefix(rest, "sumdb/") {
			return true
		}
		escaped, file, ok := strings.Cut(rest, "/@v/")
		if !ok {
			return false
		}
		switch path.Ext(file) {
		case ".mod", ".info":
			return true
		case ".zip", ".ziphash":
			_, err := os.Stat(filepath.Join(gopath, "pkg", "mod", escaped+"@"+strings.TrimSuffix(file, path.Ext(file))))
			return err == nil
		}
		return false
	}
}

// keep writes a tar file of what is chosen, in the order of names.
func keep(dir, file string, keeps chooses) (kept, error) {
	out, err := os.Create(file)
	if err != nil {
		return kept{}, fmt.Errorf("create archive: %w", err)
	}
	sum := sha256.New()
	counted := &counter{w: io.MultiWriter(out, sum)}
	buffered := bufio.NewWriterSize(counted, 1<<20)
	archive := tar.NewWriter(buffered)
	files := 0
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return passed(err)
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || !keeps(filepath.ToSlash(rel), info) {
			return passed(err)
		}
		files++
		return addFile(archive, name, filepath.ToSlash(rel))
	})
	if err = errors.Join(err, archive.Close(), buffered.Flush(), out.Close()); err != nil {
		return kept{}, fmt.Errorf("write archive: %w", err)
	}
	return kept{Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Files: files, Size: counted.n}, nil
}

// passed lets a walk go on where somebody else has removed something meanwhile.
func passed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// addFile adds a file as it is now. The name of what is in a cache says what it holds, so its time means nothing.
func addFile(archive *tar.Writer, file, name string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatPAX}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = archive.Write(content)
	return err
}

// restoreCommand brings back what keep has written. What is there stays as it is.
func restoreCommand(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return usageError{"name the file and the directory"}
	}
	in, err := os.Open(args[0])
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer in.Close()
	files, err := restore(bufio.NewReaderSize(in, 1<<20), args[1], time.Now().Add(-restoredAge))
	if err != nil {
		return err
	}
	return printJSON(stdout, kept{Files: files})
}

func restore(r io.Reader, dir string, age time.Time) (files int, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("open directory: %w", err)
	}
	defer root.Close()
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err == nil && header.Typeflag == tar.TypeReg {
			err = restoreFile(root, header.Name, archive, age)
			files++
		}
		if err != nil {
			return files, fmt.Errorf("bring back the cache: %w", err)
		}
	}
}

// restoreFile puts a file into its place at once: a go command may run beside this. The root keeps names from leading outside.
func restoreFile(root *os.Root, name string, content io.Reader, age time.Time) error {
	if _, err := root.Stat(name); err == nil {
		return nil
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	part := name + ".restored"
	file, err := root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := root.Chtimes(part, age, age); err != nil {
		return err
	}
	return root.Rename(part, name)
}
