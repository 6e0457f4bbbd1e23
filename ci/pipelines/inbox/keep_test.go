package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func put(t *testing.T, dir, name, content string, age time.Duration) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
	at := time.Now().Add(-age)
	require.NoError(t, os.Chtimes(file, at, at))
}

func keepIt(t *testing.T, args ...string) kept {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, keepCommand(args, &out))
	var k kept
	require.NoError(t, json.Unmarshal(out.Bytes(), &k))
	return k
}

func TestKeepLeavesOutWhatNobodyUsed(t *testing.T) {
	cache, file := t.TempDir(), filepath.Join(t.TempDir(), "kept.tar")
	put(t, cache, "00/0011-a", "used", time.Hour)
	put(t, cache, "00/0011-d", "used too", 2*24*time.Hour)
	put(t, cache, "ff/ff11-d", "old", 4*24*time.Hour)
	put(t, cache, "trim.txt", "1", 0)
	put(t, cache, "fuzz/x/00", "1", 0)
	first := keepIt(t, cache, file)
	assert.Equal(t, 2, first.Files)

	other := t.TempDir()
	put(t, other, "00/0011-a", "used", 0)
	put(t, other, "00/0011-d", "used too", 0)
	assert.Equal(t, first.Digest, keepIt(t, other, file).Digest, "the same content, at another time and place")

	back := t.TempDir()
	put(t, back, "00/0011-a", "was here", time.Minute)
	require.NoError(t, restoreCommand([]string{file, back}, &bytes.Buffer{}))
	there, err := os.ReadFile(filepath.Join(back, "00", "0011-a"))
	require.NoError(t, err)
	assert.Equal(t, "was here", string(there))
	info, err := os.Stat(filepath.Join(back, "00", "0011-d"))
	require.NoError(t, err)
	age := time.Since(info.ModTime())
	assert.Greater(t, age, keptAge, "not kept again, unless it is used")
	assert.Less(t, age, 5*24*time.Hour, "the go command does not remove it at once")
	assert.Equal(t, 1, keepIt(t, back, file).Files)
}

func TestKeepLeavesOutUnpackedModules(t *testing.T) {
	gopath, file := t.TempDir(), filepath.Join(t.TempDir(), "kept.tar")
	const used, unused = "pkg/mod/cache/download/example.com/!used/@v/v1.0.0", "pkg/mod/cache/download/example.com/unused/@v/v1.0.0"
	for _, name := range []string{used, unused} {
		for _, ext := range []string{".mod", ".info", ".zip", ".ziphash", ".lock"} {
			put(t, gopath, name+ext, ext, 30*24*time.Hour)
		}
	}
	put(t, gopath, "pkg/mod/example.com/!used@v1.0.0/go.mod", "", 0)
	put(t, gopath, "pkg/mod/cache/download/sumdb/sum.golang.org/tile/8/0/000", "", 0)
	assert.Equal(t, 2+2+2+1, keepIt(t, "-modules", gopath, file).Files)
	back := t.TempDir()
	require.NoError(t, restoreCommand([]string{file, back}, &bytes.Buffer{}))
	assert.FileExists(t, filepath.Join(back, filepath.FromSlash(used+".zip")))
	assert.NoFileExists(t, filepath.Join(back, filepath.FromSlash(unused+".zip")))
	assert.NoDirExists(t, filepath.Join(back, "pkg", "mod", "example.com"))
}

func TestRestoreStaysInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	evil := filepath.Join(dir, "evil.tar")
	archive := tarOf(t, &tar.Header{Typeflag: tar.TypeReg, Name: "../outside", Mode: 0o644})
	require.NoError(t, os.WriteFile(evil, archive.Bytes(), 0o644))
	inside := filepath.Join(dir, "inside")
	require.NoError(t, os.Mkdir(inside, 0o755))
	require.Error(t, restoreCommand([]string{evil, inside}, &bytes.Buffer{}))
	assert.NoFileExists(t, filepath.Join(dir, "outside"))
	require.NoError(t, os.WriteFile(evil, []byte("no archive"), 0o644))
	require.Error(t, restoreCommand([]string{evil, inside}, &bytes.Buffer{}))
}
