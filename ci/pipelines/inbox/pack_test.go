package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const mtime = 1700000000

// inputs writes two files, with times and modes that must not matter.
func inputs(t *testing.T) []packInput {
	t.Helper()
	dir := t.TempDir()
	binary, readme := filepath.Join(dir, "bin"), filepath.Join(dir, "readme")
	require.NoError(t, os.WriteFile(binary, bytes.Repeat([]byte("machine code "), 1000), 0o600))
	require.NoError(t, os.WriteFile(readme, []byte("read me\n"), 0o666))
	return []packInput{{From: readme, Name: "docs/README.md"}, {From: binary, Name: "app", Mode: 0o755}}
}

func packAs(t *testing.T, kind string, files []packInput) (done packed, data []byte) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "new", "folder", "archive")
	done, err := pack(archive{Kind: kind, Out: out, MTime: mtime, Files: files})
	require.NoError(t, err)
	data, err = os.ReadFile(out)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	assert.Equal(t, packed{Out: out, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}, done)
	return done, data
}

func TestPackTarGz(t *testing.T) {
	_, data := packAs(t, kindTarGz, inputs(t))
	assert.Equal(t, []byte{0, 0, 0, 0}, data[4:8], "no time in the gzip header")
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Empty(t, unzipped.Name)

	reader := tar.NewReader(unzipped)
	first, err := reader.Next()
	require.NoError(t, err)
	assert.Equal(t, &tar.Header{
		Typeflag: tar.TypeReg, Name: "app", Mode: 0o755, Size: 13000,
		ModTime: time.Unix(mtime, 0), Format: tar.FormatUSTAR,
	}, first)
	second, err := reader.Next()
	require.NoError(t, err)
	assert.Equal(t, "docs/README.md", second.Name)
	assert.EqualValues(t, 0o644, second.Mode)
	content, err := io.ReadAll(reader)
	require.NoError(t, err)
	assert.Equal(t, "read me\n", string(content))
	_, err = reader.Next()
	assert.ErrorIs(t, err, io.EOF)
}

func TestPackZip(t *testing.T) {
	_, data := packAs(t, kindZip, inputs(t))
	reader, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	require.Len(t, reader.File, 2)
	app, readme := reader.File[0], reader.File[1]
	assert.Equal(t, "app", app.Name)
	assert.Equal(t, fs.FileMode(0o755), app.Mode())
	assert.Equal(t, "docs/README.md", readme.Name)
	assert.Equal(t, fs.FileMode(0o644), readme.Mode())
	assert.True(t, time.Unix(mtime, 0).Equal(app.Modified))
	_, offset := readme.Modified.Zone()
	assert.Zero(t, offset)
}

func TestPackDependsOnContentOnly(t *testing.T) {
	for _, kind := range []string{kindTarGz, kindZip} {
		t.Run(kind, func(t *testing.T) {
			first, second := inputs(t), inputs(t)
			second[0], second[1] = second[1], second[0]
			require.NoError(t, os.Chtimes(second[0].From, time.Time{}, time.Unix(1, 0)))
			require.NoError(t, os.Chmod(second[1].From, 0o400))
			_, a := packAs(t, kind, first)
			t.Setenv("TZ", "Asia/Tokyo")
			_, b := packAs(t, kind, second)
			assert.Equal(t, a, b)
		})
	}
}

// These sums change only when the compressor of the Go toolchain does. That is
// worth knowing when the pinned Go moves: it changes every published archive.
func TestPackBytesStayTheSame(t *testing.T) {
	const pinned = "go1.26"
	if !strings.HasPrefix(runtime.Version(), pinned) {
		t.Skipf("the sums are those of %s, this is %s", pinned, runtime.Version())
	}
	same := func(t *testing.T) {
		tgz, _ := packAs(t, kindTarGz, inputs(t))
		zipped, _ := packAs(t, kindZip, inputs(t))
		assert.Equal(t, "81a473ee907a8f219b5c479f91f7654fd032552a39c425eae463a40c4bb96d55", tgz.SHA256)
		assert.Equal(t, "3610e9a23512eb9d45603b1a5293822ce6571e36e7e00351e5764ee815429a37", zipped.SHA256)
	}
	same(t)
	synctest.Test(t, same) // its clock stands in the year 2000
}

func TestPackBeforeZipTime(t *testing.T) {
	out := filepath.Join(t.TempDir(), "a.zip")
	_, err := pack(archive{Kind: kindZip, Out: out, Files: inputs(t)})
	require.NoError(t, err)
	reader, err := zip.OpenReader(out)
	require.NoError(t, err)
	defer reader.Close()
	assert.Equal(t, 1980, reader.File[0].Modified.Year())
}

func TestPackLeavesNothingBehindWhenItFails(t *testing.T) {
	dir := t.TempDir()
	good := inputs(t)
	for name, wanted := range map[string]archive{
		"kind":      {Kind: "rar", Out: dir + "/a"},
		"no out":    {Kind: kindZip},
		"missing":   {Kind: kindZip, Out: dir + "/a", Files: []packInput{{From: "/no/such", Name: "x"}}},
		"directory": {Kind: kindTarGz, Out: dir + "/a", Files: []packInput{{From: dir, Name: "x"}}},
		"escape":    {Kind: kindTarGz, Out: dir + "/a", Files: []packInput{{From: good[0].From, Name: "../x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pack(wanted)
			require.Error(t, err)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, entries)
		})
	}
}

func TestPackCommand(t *testing.T) {
	dir, files := t.TempDir(), inputs(t)
	request := filepath.Join(dir, "request.json")
	body := fmt.Sprintf(`[{"kind":"tar.gz","out":%q,"mtime":1,"files":[{"from":%q,"name":"a","mode":"0755"},{"from":%q,"name":"b","mode":420}]},{"kind":"zip","out":%q}]`,
		dir+"/a.tgz", files[0].From, files[1].From, dir+"/b.zip")
	require.NoError(t, os.WriteFile(request, []byte(body), 0o644))
	var stdout bytes.Buffer
	require.NoError(t, dispatch([]string{"pack", request}, &stdout, io.Discard))
	var done []packed
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &done))
	require.Len(t, done, 2)
	assert.Equal(t, dir+"/a.tgz", done[0].Out)
	assert.Equal(t, dir+"/b.zip", done[1].Out, "in the order of the request")
	assert.FileExists(t, dir+"/a.tgz")
}

func TestRequestsAreReadStrictly(t *testing.T) {
	for _, body := range []string{
		`[{"kind":"zip","colour":"red"}]`,
		`[{"files":[{"mode":"0999"}]}]`,
		`[{"files":[{"mode":"07777"}]}]`,
		`[{"files":[{"mode":-1}]}]`,
	} {
		file := filepath.Join(t.TempDir(), "request.json")
		require.NoError(t, os.WriteFile(file, []byte(body), 0o644))
		assert.Error(t, dispatch([]string{"pack", file}, io.Discard, io.Discard), body)
	}
}

func TestCheckNames(t *testing.T) {
	assert.NoError(t, checkNames([]string{"app", "docs/a", "docs/b..c", "größe", "docs-x"}))
	for _, names := range [][]string{
		{""}, {"/etc/passwd"}, {"../x"}, {".."}, {"."}, {"a/../../x"}, {"a/../b"}, {"a//b"}, {"a/"}, {"./a"},
		{`a\b`}, {`..\x`}, {"C:x"}, {"c:/x"}, {"a\x00b"}, {"a\nb"}, {"\xff"},
		{"a", "a"}, {"a", "a/b"}, {"a/b/c", "a"},
	} {
		assert.Error(t, checkNames(names), "%q", names)
	}
}

// A name that is accepted stays below where the archive is unpacked, on every system, and comes out of the archive as it went in.
func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"app", "a/b", "../a", "/a", `a\..\b`, "C:a", "a/./b", "a/..", "\x00", "größe", "a:b", "-rf", "a ", strings.Repeat("x/", 60) + "y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name) != nil {
			require.Error(t, checkNames([]string{name}), "one of many is not better")
			return
		}
		require.True(t, filepath.IsLocal(name), "%q", name)
		require.Equal(t, "/root/"+name, filepath.Join("/root", name), "the name says where it goes")
		require.False(t, strings.ContainsAny(name, "\\\x00\n"))
		require.NotRegexp(t, `^[A-Za-z]:`, name, "a drive of Windows")
		require.NoError(t, checkNames([]string{name}))
		require.Error(t, checkNames([]string{name, name}), "twice the same")
		require.Error(t, checkNames([]string{name, name + "/below"}), "a file is no folder")
		require.Equal(t, name, throughTar(t, name))
	})
}

// throughTar writes a name into an archive and reads it again.
func throughTar(t *testing.T, name string) string {
	t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	require.NoError(t, writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatPAX}))
	require.NoError(t, writer.Close())
	header, err := tar.NewReader(&archive).Next()
	require.NoError(t, err)
	return header.Name
}
