package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func tarOf(t *testing.T, headers ...*tar.Header) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, h := range headers {
		h.Uid, h.Gid, h.ModTime = os.Getuid(), os.Getgid(), time.Unix(1000, 0)
		content := []byte("content of " + h.Name)
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		require.NoError(t, archive.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := archive.Write(content)
			require.NoError(t, err)
		}
	}
	require.NoError(t, archive.Close())
	return &out
}

func TestUntar(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	archive := tarOf(t,
		&tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		&tar.Header{Typeflag: tar.TypeDir, Name: "./usr/", Mode: 0o755},
		&tar.Header{Typeflag: tar.TypeDir, Name: "./usr/bin/", Mode: 0o755},
		&tar.Header{Typeflag: tar.TypeDir, Name: "./tmp/", Mode: 0o1777},
		&tar.Header{Typeflag: tar.TypeReg, Name: "./usr/bin/sh", Mode: 0o4755},
		&tar.Header{Typeflag: tar.TypeLink, Name: "./usr/bin/bash", Linkname: "./usr/bin/sh"},
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "./bin", Linkname: "usr/bin"},
		&tar.Header{Typeflag: tar.TypeChar, Name: "./null", Mode: 0o666},
	)
	require.NoError(t, untar(archive, dir))

	text, err := os.ReadFile(filepath.Join(dir, "bin", "bash"))
	require.NoError(t, err)
	assert.Equal(t, "content of ./usr/bin/sh", string(text))
	info, err := os.Stat(filepath.Join(dir, "usr/bin/sh"))
	require.NoError(t, err)
	assert.Equal(t, os.ModeSetuid|0o755, info.Mode())
	assert.Equal(t, int64(1000), info.ModTime().Unix())
	info, err = os.Stat(filepath.Join(dir, "tmp"))
	require.NoError(t, err)
	assert.Equal(t, os.ModeDir|os.ModeSticky|0o777, info.Mode())
	assert.NoFileExists(t, filepath.Join(dir, "null"))
}

func TestUntarStaysInside(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))
	for name, archive := range map[string]*bytes.Buffer{
		"through a link": tarOf(t,
			&tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "../outside"},
			&tar.Header{Typeflag: tar.TypeReg, Name: "link/file", Mode: 0o644}),
		"by a hard link": tarOf(t, &tar.Header{Typeflag: tar.TypeLink, Name: "passwd", Linkname: "../../../../etc/passwd"}),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, untar(archive, filepath.Join(t.TempDir(), "root")))
		})
	}
	require.NoError(t, untar(tarOf(t, &tar.Header{Typeflag: tar.TypeReg, Name: "../../up", Mode: 0o644}), filepath.Join(dir, "root")))
	assert.FileExists(t, filepath.Join(dir, "root", "up"), "dots are cut off, not followed")
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, entries)
}
