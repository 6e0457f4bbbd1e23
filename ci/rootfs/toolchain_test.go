package rootfs

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/oci"
)

const prefix = "golang.org/toolchain@v0.0.1-go1.2.3.linux-amd64/"

// archive writes a small toolchain as the module proxy has it: no modes, and in any order.
func archive(t *testing.T, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "toolchain.zip")
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	for i, name := range names {
		f, err := w.CreateHeader(&zip.FileHeader{Name: prefix + name, Method: zip.Deflate, Modified: time.Unix(int64(1700000000+i), 0)})
		require.NoError(t, err)
		_, err = io.WriteString(f, name)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(path, data.Bytes(), 0o644))
	return path
}

type entry struct {
	kind byte
	mode int64
	text string
}

func unpack(t *testing.T, r io.Reader) (names []string, found map[string]entry) {
	t.Helper()
	found = map[string]entry{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names, found
		}
		require.NoError(t, err)
		text, err := io.ReadAll(tr)
		require.NoError(t, err)
		assert.True(t, h.ModTime.Equal(time.Unix(0, 0)), "%s: %s", h.Name, h.ModTime)
		assert.Zero(t, h.Uid+h.Gid, h.Name)
		assert.NotContains(t, found, h.Name, "it is there twice")
		names, found[h.Name] = append(names, h.Name), entry{h.Typeflag, h.Mode, string(text)}
	}
}

func TestToolchainTar(t *testing.T) {
	path := archive(t, "src/fmt/print.go", "src/fmt/print_test.go", "src/fmt/testdata/x", "test/a.go", "doc/d.html", "api/go1.txt", "bin/go", "pkg/tool/linux_amd64/compile",
		"pkg/include/textflag.h", "VERSION", "lib/time/zoneinfo.zip", "misc/wasm/wasm_exec.js", "src/testing/testing.go", "src/cmd/api/main.go")
	r, err := toolchainTar(path)
	require.NoError(t, err)
	defer r.Close()
	names, found := unpack(t, r)
	assert.Equal(t, []string{
		"tmp/", "etc/", "home/", "usr/", "usr/local/", "usr/local/go/", "usr/local/go/VERSION", "usr/local/go/bin/", "usr/local/go/bin/go",
		"usr/local/go/lib/", "usr/local/go/lib/time/", "usr/local/go/lib/time/zoneinfo.zip", "usr/local/go/misc/", "usr/local/go/misc/wasm/", "usr/local/go/misc/wasm/wasm_exec.js",
		"usr/local/go/pkg/", "usr/local/go/pkg/include/", "usr/local/go/pkg/include/textflag.h", "usr/local/go/pkg/tool/", "usr/local/go/pkg/tool/linux_amd64/", "usr/local/go/pkg/tool/linux_amd64/compile",
		"usr/local/go/src/", "usr/local/go/src/cmd/", "usr/local/go/src/cmd/api/", "usr/local/go/src/cmd/api/main.go", "usr/local/go/src/fmt/", "usr/local/go/src/fmt/print.go",
		"usr/local/go/src/testing/", "usr/local/go/src/testing/testing.go",
	}, names)
	assert.Equal(t, entry{tar.TypeReg, 0o755, "bin/go"}, found["usr/local/go/bin/go"])
	assert.Equal(t, entry{tar.TypeReg, 0o755, "pkg/tool/linux_amd64/compile"}, found["usr/local/go/pkg/tool/linux_amd64/compile"])
	assert.EqualValues(t, 0o644, found["usr/local/go/pkg/include/textflag.h"].mode)
	assert.Equal(t, entry{tar.TypeDir, 0o1777, ""}, found["tmp/"])
	assert.EqualValues(t, 0o755, found["usr/local/go/"].mode)
}

func TestToolchainTarIsTheSameForTheSameFiles(t *testing.T) {
	read := func(names ...string) []byte {
		r, err := toolchainTar(archive(t, names...))
		require.NoError(t, err)
		defer r.Close()
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		return data
	}
	assert.Equal(t, read("VERSION", "bin/go", "src/a.go"), read("src/a.go", "VERSION", "bin/go"), "order and times of the zip do not count")
}

func TestToolchainTarOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.zip")
	_, err := toolchainTar(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("no zip"), 0o644))
	_, err = toolchainTar(path)
	require.ErrorIs(t, err, zip.ErrFormat)
}

func TestWanted(t *testing.T) {
	for _, name := range []string{"bin/go", "src/testing/testing.go", "src/cmd/go/main.go", "lib/time/zoneinfo.zip", "VERSION", "go.env", "src/internal/testdata.go"} {
		assert.True(t, wanted(name), name)
	}
	for _, name := range []string{"test/x.go", "doc/x", "api/go1.txt", "src/fmt/fmt_test.go", "src/go/parser/testdata/x.src"} {
		assert.False(t, wanted(name), name)
	}
}

func TestZoneFile(t *testing.T) {
	zones, err := zoneFile(archive(t, "VERSION", "lib/time/zoneinfo.zip"))
	require.NoError(t, err)
	assert.Equal(t, "lib/time/zoneinfo.zip", string(zones))
	_, err = zoneFile(archive(t, "VERSION"))
	require.ErrorContains(t, err, "there are no time zones")
}

func TestOnceUnderConcurrency(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rootfs", "go.tar")
	var built atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			got, err := Once(t.Context(), file, func(out string) error {
				built.Add(1)
				return os.WriteFile(out, []byte("whole"), 0o644)
			})
			assert.NoError(t, err)
			data, err := os.ReadFile(got)
			assert.NoError(t, err)
			assert.Equal(t, "whole", string(data), "nobody sees it before it is there")
		})
	}
	all.Wait()
	assert.EqualValues(t, 1, built.Load())
}

func TestOnceTriesAgainAfterAFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go.tar")
	broken := errors.New("no network")
	got, err := Once(t.Context(), file, func(out string) error { return errors.Join(os.WriteFile(out, nil, 0o644), broken) })
	require.ErrorIs(t, err, broken)
	assert.Empty(t, got, "there is no such file")
	assert.NoFileExists(t, file)
	assert.NoDirExists(t, file+".work")
	require.NoError(t, os.MkdirAll(filepath.Join(file+".work", "left by a run that was killed"), 0o755))
	got, err = Once(t.Context(), file, func(out string) error { return os.WriteFile(out, nil, 0o644) })
	require.NoError(t, err)
	assert.Equal(t, file, got)
}

func TestOnceCanBeInterruptedWhileItWaits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go.tar")
	begun, finish, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, err := Once(context.Background(), file, func(out string) error {
			close(begun)
			<-finish
			return os.WriteFile(out, nil, 0o644)
		})
		assert.NoError(t, err)
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Once(ctx, file, func(string) error { return errors.New("it must not be built") })
	require.ErrorIs(t, err, context.Canceled)
	close(finish)
	<-ended
}

// goCommand puts a fake go on PATH that answers "go mod download -json".
func goCommand(t *testing.T, text string) Options {
	t.Helper()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	t.Setenv("PATH", bin)
	return Options{Cache: t.TempDir(), Environ: []string{"GOPROXY=https://proxy.example.com"}, Progress: func(string) {}}
}

func TestToolchainIsMadeOnce(t *testing.T) {
	path := archive(t, "VERSION", "bin/go")
	o := goCommand(t, `[ "$*" = "mod download -json golang.org/toolchain@v0.0.1-go1.2.3.linux-arm64" ] || exit 9
[ "$GOPROXY" = https://proxy.example.com ] && [ "$GOTOOLCHAIN" = local ] || exit 8
echo '{"Zip": "`+path+`"}'`)
	file, err := Toolchain(t.Context(), o, "1.2.3", "arm64")
	require.NoError(t, err)
	index, err := oci.ReadTar(file)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	assert.Equal(t, "linux/arm64", manifest.Manifests[0].Platform.String())

	goCommand(t, "exit 7")
	again, err := Toolchain(t.Context(), o, "1.2.3", "arm64")
	require.NoError(t, err, "the go command is not asked again")
	assert.Equal(t, file, again)
	leftovers(t, filepath.Dir(file), filepath.Base(file))
}

// leftovers checks that there is nothing in a directory but some files and their locks.
func leftovers(t *testing.T, dir string, files ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.NoError(t, err)
	for _, e := range entries {
		assert.Contains(t, append(files, ""), strings.TrimSuffix(e.Name(), ".lock"), "left behind")
		if !strings.HasSuffix(e.Name(), ".lock") {
			assert.Contains(t, files, e.Name())
		}
	}
}

func TestToolchainThatCannotBeFetched(t *testing.T) {
	for name, text := range map[string]string{
		"the proxy has none": `echo '{"Error": "golang.org/toolchain@v0.0.1: not found"}'; exit 1`,
		"no network":         "echo 'dial tcp: no route to host: not found' >&2; exit 1",
	} {
		t.Run(name, func(t *testing.T) {
			o := goCommand(t, text)
			_, err := Toolchain(t.Context(), o, "1.2.3", "amd64")
			var lacking *ToolchainError
			require.ErrorAs(t, err, &lacking)
			assert.Equal(t, "1.2.3", lacking.Version)
			assert.ErrorContains(t, err, "not found")
			assert.ErrorContains(t, err, "fix: check that the module proxy")
			_, err = Base(t.Context(), o, "1.2.3", "amd64")
			require.ErrorAs(t, err, &lacking)
			entries, err := os.ReadDir(filepath.Join(o.Cache, "rootfs"))
			require.NoError(t, err)
			for _, e := range entries {
				assert.True(t, strings.HasSuffix(e.Name(), ".lock"), "%s is left behind", e.Name())
			}
		})
	}
}

func TestDownloadIsInterrupted(t *testing.T) {
	o := goCommand(t, "exec /bin/sleep 60")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
	_, err := Toolchain(ctx, o, "1.2.3", "amd64")
	assert.ErrorIs(t, err, stop)
}

func TestCompress(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "plain"), filepath.Join(dir, "small")
	require.NoError(t, os.WriteFile(from, []byte(strings.Repeat("a", 1000)), 0o644))
	require.NoError(t, compress(from, to))
	f, err := os.Open(to)
	require.NoError(t, err)
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	require.NoError(t, err)
	data, err := io.ReadAll(unzipped)
	require.NoError(t, err)
	assert.Len(t, data, 1000)
	require.ErrorIs(t, compress(filepath.Join(dir, "missing"), filepath.Join(dir, "other")), fs.ErrNotExist)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "nothing is left behind")
}

func TestTestsNeedADebian(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Tests(t.Context(), Options{Cache: t.TempDir(), Progress: func(string) {}})
	require.Error(t, err)
	assert.ErrorIs(t, err, debian.ErrUnavailable, "the run goes on without a test root then")
}
