package main

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	kindTarGz = "tar.gz"
	kindZip   = "zip"

	// level 9 would make archives of Go binaries 1 % smaller and take five times
	// as long.
	level       = 5
	defaultMode = fileMode(0o644)
)

// earliest is the first moment that a zip archive can express.
var earliest = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

type packRequest []archive

// archive describes one archive to write.
type archive struct {
	Kind  string      `json:"kind"` // tar.gz or zip
	Out   string      `json:"out"`
	MTime int64       `json:"mtime"` // of every file, in seconds since 1970
	Files []packInput `json:"files"`
}

type packInput struct {
	From string   `json:"from"`
	Name string   `json:"name"` // in the archive, with slashes
	Mode fileMode `json:"mode"` // 0644 when absent
}

// fileMode is a mode as people write it, "0755", or as a plain number.
type fileMode fs.FileMode

// UnmarshalJSON reads "0755" as octal, and 493 as the same mode.
func (m *fileMode) UnmarshalJSON(data []byte) error {
	text, base := string(data), 10
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		base = 8
	}
	value, err := strconv.ParseUint(text, base, 32)
	if err != nil || value > 0o777 {
		return fmt.Errorf("mode %s is not between 0 and 0777", data)
	}
	*m = fileMode(value)
	return nil
}

// packed says what was written.
type packed struct {
	Out    string `json:"out"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

func packCommand(args []string, stdout io.Writer) error {
	var request packRequest
	if err := readRequest(args, &request); err != nil {
		return err
	}
	written, err := packAll(request)
	if err != nil {
		return err
	}
	return printJSON(stdout, written)
}

// packAll writes the archives side by side, as many as there are processors.
func packAll(request packRequest) ([]packed, error) {
	written, errs := make([]packed, len(request)), make([]error, len(request))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i, wanted := range request {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var err error
			if written[i], err = pack(wanted); err != nil {
				errs[i] = fmt.Errorf("pack %s: %w", wanted.Out, err)
			}
		})
	}
	all.Wait()
	return written, errors.Join(errs...)
}

// pack writes one archive. It appears under its name only when it is whole.
func pack(wanted archive) (packed, error) {
	if err := checkArchive(wanted); err != nil {
		return packed{}, err
	}
	if err := os.MkdirAll(filepath.Dir(wanted.Out), 0o755); err != nil {
		return packed{}, fmt.Errorf("create directory: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(wanted.Out), ".inbox-*")
	if err != nil {
		return packed{}, fmt.Errorf("create archive: %w", err)
	}
	defer os.Remove(file.Name()) // fails, as it should, once it was renamed
	done, err := fill(file, wanted)
	if err := errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return packed{}, err
	}
	if err := os.Rename(file.Name(), wanted.Out); err != nil {
		return packed{}, fmt.Errorf("publish archive: %w", err)
	}
	return done, nil
}

func checkArchive(wanted archive) error {
	if wanted.Kind != kindTarGz && wanted.Kind != kindZip {
		return fmt.Errorf("kind %q is neither %s nor %s", wanted.Kind, kindTarGz, kindZip)
	}
	if wanted.Out == "" {
		return errors.New("name the file to write")
	}
	names := make([]string, 0, len(wanted.Files))
	for _, input := range wanted.Files {
		names = append(names, input.Name)
	}
	return checkNames(names)
}

func fill(file *os.File, wanted archive) (packed, error) {
	sum := sha256.New()
	counted := &counter{w: io.MultiWriter(file, sum)}
	if err := writeArchive(counted, wanted); err != nil {
		return packed{}, err
	}
	return packed{Out: wanted.Out, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: counted.n}, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func writeArchive(w io.Writer, wanted archive) error {
	files := slices.Clone(wanted.Files)
	slices.SortFunc(files, func(a, b packInput) int { return strings.Compare(a.Name, b.Name) })
	mtime := time.Unix(wanted.MTime, 0).UTC()
	if wanted.Kind == kindZip {
		return writeZip(w, files, mtime)
	}
	return writeTarGz(w, files, mtime)
}

func writeTarGz(w io.Writer, files []packInput, mtime time.Time) error {
	zipped, err := gzip.NewWriterLevel(w, level) // its header stays without name and time
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	for _, input := range files {
		if err := addToTar(archive, input, mtime); err != nil {
			return err
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	return nil
}

func addToTar(archive *tar.Writer, input packInput, mtime time.Time) error {
	return withFile(input, func(content io.Reader, size int64) error {
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     input.Name,
			Size:     size,
			Mode:     int64(input.mode()),
			ModTime:  mtime,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.Copy(archive, content)
		return err
	})
}

func writeZip(w io.Writer, files []packInput, mtime time.Time) error {
	archive := zip.NewWriter(w)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, level)
	})
	if mtime.Before(earliest) {
		mtime = earliest
	}
	for _, input := range files {
		if err := addToZip(archive, input, mtime); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("finish archive: %w", err)
	}
	return nil
}

func addToZip(archive *zip.Writer, input packInput, mtime time.Time) error {
	return withFile(input, func(content io.Reader, _ int64) error {
		header := &zip.FileHeader{Name: input.Name, Method: zip.Deflate, Modified: mtime}
		header.SetMode(input.mode())
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = io.Copy(entry, content)
		return err
	})
}

func (i packInput) mode() fs.FileMode {
	if i.Mode == 0 {
		return fs.FileMode(defaultMode)
	}
	return fs.FileMode(i.Mode)
}

func withFile(input packInput, use func(content io.Reader, size int64) error) error {
	file, err := os.Open(input.From)
	if err != nil {
		return fmt.Errorf("open input: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("inspect input: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("add %s: is not a plain file", input.From)
	}
	if err := use(file, info.Size()); err != nil {
		return fmt.Errorf("add %s: %w", input.Name, err)
	}
	return nil
}
