package rootfs

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/oci"
)

// GoRoot is where the toolchain lies in its root filesystem.
const GoRoot = "/usr/local/go"

// Options says where files are kept and how progress is told.
type Options struct {
	Cache    string            // Slipway's directory in the user's cache
	Environ  []string          // for the go command: GOPROXY, GOSUMDB, GOAUTH …
	Progress func(text string) // what is being done now
}

// ToolchainError says that a Go toolchain could not be fetched.
type ToolchainError struct {
	Version string
	Cause   error
}

func (e *ToolchainError) Error() string {
	return fmt.Sprintf("fetch Go %s: %v\n  fix: check that the module proxy (go env GOPROXY) can be reached and has golang.org/toolchain for this version", e.Version, e.Cause)
}
func (e *ToolchainError) Unwrap() error { return e.Cause }

// Toolchain returns the file that holds Go of a version (such as "1.26.8") for linux and an architecture.
func Toolchain(ctx context.Context, o Options, version, arch string) (string, error) {
	file := filepath.Join(o.Cache, "rootfs", fmt.Sprintf("go%s-linux-%s-v%d.tar", version, arch, toolchainLayout))
	return Once(ctx, file, func(out string) error {
		o.Progress("fetching Go " + version + " for linux/" + arch)
		archive, err := download(ctx, o, version, arch)
		if err != nil {
			return &ToolchainError{Version: version, Cause: err}
		}
		o.Progress("packing Go " + version)
		return oci.WriteRootfs(out, v1.Platform{OS: "linux", Architecture: arch}, func() (io.ReadCloser, error) { return toolchainTar(archive) })
	})
}

// toolchainLayout changes when what is packed changes, so that older files are not taken for it.
const toolchainLayout = 1

// download fetches the toolchain module and returns its zip file in the module cache. The go command checks it against
// the checksum database as for any module.
func download(ctx context.Context, o Options, version, arch string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", fmt.Sprintf("golang.org/toolchain@v0.0.1-go%s.linux-%s", version, arch))
	cmd.Dir = os.TempDir() // outside of any module
	cmd.Env = append(append([]string(nil), o.Environ...), "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOTOOLCHAIN=local")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var module struct{ Zip, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr == nil && module.Error != "" {
		return "", errors.New(module.Error)
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("go mod download: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return module.Zip, nil
}

// toolchainTar turns the module's zip into the tar of a root filesystem: Go below GoRoot, with the executable bits that a
// module zip cannot hold, without what no build reads.
func toolchainTar(archive string) (io.ReadCloser, error) {
	zr, err := zip.OpenReader(archive)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", archive, err)
	}
	reader, writer := io.Pipe()
	go func() {
		defer zr.Close()
		writer.CloseWithError(writeToolchain(tar.NewWriter(writer), zr.File))
	}()
	return reader, nil
}

func writeToolchain(tw *tar.Writer, files []*zip.File) error {
	sort.Slice(files, func(i, j int) bool { return files[i].Name < files[j].Name })
	for _, dir := range systemDirs {
		if err := tw.WriteHeader(dir.header()); err != nil {
			return err
		}
	}
	made := map[string]bool{}
	for _, f := range files {
		_, name, ok := strings.Cut(f.Name, "/") // golang.org/toolchain@version/…: two elements
		if ok {
			_, name, ok = strings.Cut(name, "/")
		}
		if !ok || !wanted(name) {
			continue
		}
		if err := writeParents(tw, made, path.Dir(path.Join(GoRoot, name))); err != nil {
			return err
		}
		if err := writeZipped(tw, f, path.Join(GoRoot, name), mode(name)); err != nil {
			return err
		}
	}
	return tw.Close()
}

// systemDirs are the directories that programs expect in any root.
var systemDirs = []directory{{"tmp/", 0o1777, 0}, {"etc/", 0o755, 0}, {"home/", 0o755, 0}}

type directory struct {
	name string
	mode int64
	uid  int
}

func (d directory) header() *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: d.name, Mode: d.mode, Uid: d.uid, Gid: d.uid, ModTime: time.Unix(0, 0)}
}

func writeParents(tw *tar.Writer, made map[string]bool, dir string) error {
	if dir == "/" || made[dir] {
		return nil
	}
	if err := writeParents(tw, made, path.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	return tw.WriteHeader(directory{dir[1:] + "/", 0o755, 0}.header())
}

func writeZipped(tw *tar.Writer, f *zip.File, name string, mode int64) error {
	in, err := f.Open()
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	defer in.Close()
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: mode, Size: int64(f.UncompressedSize64), ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err = io.Copy(tw, in)
	return err
}

// wanted leaves out what no build or test of a user's program reads: Go's own tests and documents.
func wanted(name string) bool {
	for _, prefix := range []string{"test/", "doc/", "api/"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return !strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "/testdata/")
}

func mode(name string) int64 {
	if strings.HasPrefix(name, "bin/") || strings.HasPrefix(name, "pkg/tool/") {
		return 0o755
	}
	return 0o644
}
