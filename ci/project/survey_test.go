package project

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plant makes files of given sizes below a new directory.
func plant(t testing.TB, sizes map[string]int) string {
	t.Helper()
	root := t.TempDir()
	for name, size := range sizes {
		file := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, make([]byte, size), 0o644))
	}
	return root
}

func TestMeasure(t *testing.T) {
	root := plant(t, map[string]int{
		"main.go": 10, "web/app.js": 100, "web/assets/big/film.mp4": 5000, "web/assets/icon.png": 50, "docs/a.md": 300, "docs/b.md": 1,
		".git/objects/pack": 9999, "dist/web": 9999, "sub/.git": 9, "web/node_modules/x/index.js": 9999, "docs/dist": 7, "empty/.DS_Store": 3,
	})
	s, err := Measure(t.Context(), root, []string{".git", "**/.git", "dist", "**/node_modules", "**/.DS_Store"})
	require.NoError(t, err)
	assert.Equal(t, Survey{
		Files: 7, Bytes: 10 + 100 + 5000 + 50 + 300 + 1 + 7,
		Dirs: []Usage{
			{Dir: "web/assets/big", Files: 1, Bytes: 5000}, {Dir: "docs", Files: 3, Bytes: 308}, {Dir: "web", Files: 1, Bytes: 100},
			{Dir: "web/assets", Files: 1, Bytes: 50}, {Dir: ".", Files: 1, Bytes: 10},
		},
		Left:    []string{".git", "dist", "empty/.DS_Store", "sub/.git", "web/node_modules"},
		Sources: s.Sources,
	}, s)
	assert.Equal(t, []string{"main.go"}, slices.Sorted(maps.Keys(s.Sources)))
}

func TestStamps(t *testing.T) {
	root := plant(t, map[string]int{"main.go": 10, "main_test.go": 10, "go.mod": 5, "gone/gone.go": 1, "README.md": 1, ".#main.go": 1})
	measure := func() Stamps {
		s, err := Measure(t.Context(), root, nil)
		require.NoError(t, err)
		return s.Sources
	}
	before := measure()
	assert.Empty(t, before.Changed(measure()))
	for name, text := range map[string]string{"README.md": "longer", ".#main.go": "longer", "main.go": "longer", "new/new.go": "package new"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	require.NoError(t, os.Remove(filepath.Join(root, "gone", "gone.go")))
	require.NoError(t, os.Chtimes(filepath.Join(root, "go.mod"), time.Time{}, before["go.mod"].Modified.Add(time.Second)))
	assert.Equal(t, []string{"go.mod", "gone/gone.go", "main.go", "new/new.go"}, before.Changed(measure()))
}

func TestMeasure_SpecialFilesAndLinks(t *testing.T) {
	root := plant(t, map[string]int{"main.go": 10, "a/b": 5})
	outside := plant(t, map[string]int{"secret": 4096})
	for name, to := range map[string]string{"out": outside, "loop": ".", "dangling": "nowhere", "self": "self", "absolute": "/etc/passwd"} {
		require.NoError(t, os.Symlink(to, filepath.Join(root, name)))
	}
	want := []string{}
	if _, err := exec.LookPath("mkfifo"); err == nil {
		require.NoError(t, exec.Command("mkfifo", filepath.Join(root, "a", "pipe")).Run())
		want = append(want, "a/pipe")
	}
	t.Chdir(root) // the path of a socket is short
	if listener, err := net.Listen("unix", "socket"); err == nil {
		defer listener.Close()
		want = append(want, "socket")
	}
	s, err := Measure(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Equal(t, want, s.Special)
	assert.Equal(t, int64(15), s.Bytes, "nothing outside is counted")
	assert.Equal(t, 7, s.Files, "links are files")
}

func TestMeasure_WhatCannotBeRead(t *testing.T) {
	_, err := Measure(t.Context(), filepath.Join(t.TempDir(), "nowhere"), nil)
	assert.ErrorAs(t, err, new(*SourceError))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Measure(ctx, t.TempDir(), nil)
	assert.ErrorIs(t, err, context.Canceled)
	for _, exclude := range []string{"!dist", "a/**/b", "/etc", "[", "", "../x"} {
		_, err = Measure(t.Context(), t.TempDir(), []string{exclude})
		assert.ErrorContains(t, err, "is no exclude", exclude)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may read every directory")
	}
	root := plant(t, map[string]int{"locked/x": 1, "y": 1})
	locked := filepath.Join(root, "locked")
	require.NoError(t, os.Chmod(locked, 0))
	t.Cleanup(func() { assert.NoError(t, os.Chmod(locked, 0o755)) }) // else the test's directory cannot be removed
	s, err := Measure(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"locked"}, s.Locked)
}

// Whatever the tree: the sums are those of a plain walk, and the directories that are named hold no more than that.
func TestMeasure_AnyTree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		sizes := map[string]int{}
		for range random.IntN(80) {
			name := fmt.Sprintf("f%d", random.IntN(100))
			for range random.IntN(5) {
				name = fmt.Sprintf("d%d/%s", random.IntN(4), name)
			}
			sizes[name] = random.IntN(1000)
		}
		root := plant(t, sizes)
		s, err := Measure(t.Context(), root, []string{"**/d3"})
		require.NoError(t, err)
		var files int
		var bytes int64
		require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if entry.IsDir() && entry.Name() == "d3" {
				return fs.SkipDir
			}
			if info, infoErr := entry.Info(); infoErr == nil && !entry.IsDir() {
				files, bytes = files+1, bytes+info.Size()
			}
			return err
		}))
		assert.Equal(t, files, s.Files)
		assert.Equal(t, bytes, s.Bytes)
		assert.LessOrEqual(t, len(s.Dirs), mostDirs)
		seen := map[string]bool{}
		for _, u := range s.Dirs {
			assert.False(t, seen[u.Dir], "%s is there once", u.Dir)
			assert.False(t, strings.Contains("/"+u.Dir+"/", "/d3/"), u.Dir)
			seen[u.Dir] = true
			files, bytes = files-u.Files, bytes-u.Bytes
		}
		assert.True(t, files >= 0 && bytes >= 0, "nothing is counted twice")
	}
}

func BenchmarkMeasure(b *testing.B) {
	sizes := map[string]int{}
	for i := range 20_000 {
		sizes[fmt.Sprintf("d%d/e%d/f%d", i%20, i%200, i)] = 0
	}
	root := plant(b, sizes)
	for b.Loop() {
		s, err := Measure(b.Context(), root, []string{".git", "**/node_modules"})
		require.NoError(b, err)
		require.Equal(b, 20_000, s.Files)
	}
}
