package runtimebase

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// zipOf makes a zone archive.
func zipOf(t *testing.T, files map[string]string) (*bytes.Reader, int64) {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for name, text := range files {
		w, err := archive.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return bytes.NewReader(out.Bytes()), int64(out.Len())
}

func assemble(t *testing.T) Base {
	t.Helper()
	zones, size := zipOf(t, map[string]string{"Europe/Berlin": "TZif b", "UTC": "TZif u", "America/": ""})
	base, err := Assemble(zones, size)
	require.NoError(t, err)
	return base
}

func byPath(base Base) map[string]Entry {
	entries := map[string]Entry{}
	for _, entry := range base.Entries {
		entries[entry.Path] = entry
	}
	return entries
}

func TestBaseHasWhatAProgramNeeds(t *testing.T) {
	entries := byPath(assemble(t))
	assert.Equal(t, Entry{Path: "/home/nonroot", Dir: true, Mode: 0o700, UID: 65532, GID: 65532}, entries["/home/nonroot"])
	assert.Equal(t, Entry{Path: "/tmp", Dir: true, Mode: 0o1777}, entries["/tmp"])
	assert.Equal(t, Entry{Path: "/home", Dir: true, Mode: 0o755}, entries["/home"])
	assert.Equal(t, "TZif b", string(entries["/usr/share/zoneinfo/Europe/Berlin"].Data))
	assert.Contains(t, string(entries["/etc/passwd"].Data), "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
	assert.Contains(t, string(entries["/etc/group"].Data), "nonroot:x:65532:\n")
	assert.Contains(t, string(entries["/etc/nsswitch.conf"].Data), "hosts: files dns\n")
	assert.Contains(t, string(entries["/etc/os-release"].Data), "VERSION_ID=\"2026.04.13\"\n")
	for _, entry := range entries {
		assert.Equal(t, entry.Dir, entry.Data == nil, entry.Path)
		assert.NotZero(t, entry.Mode, entry.Path)
	}
}

func TestEntriesAreSortedWithTheirParents(t *testing.T) {
	seen := map[string]bool{"/": true}
	for _, entry := range assemble(t).Entries {
		assert.True(t, seen[path.Dir(entry.Path)], "%s comes after its directory", entry.Path)
		assert.False(t, seen[entry.Path], "%s is there once", entry.Path)
		seen[entry.Path] = true
	}
}

func TestRootsAreUnconstrainedAndUsable(t *testing.T) {
	base := assemble(t)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(byPath(base)["/etc/ssl/certs/ca-certificates.crt"].Data))
	constrained, free := 0, 0
	for root := range bundle.Roots() {
		certificate, err := x509.ParseCertificate(root.Certificate)
		require.NoError(t, err)
		if root.Constraint != nil {
			constrained++
			continue
		}
		free++
		_, err = certificate.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: certificate.NotBefore.Add(time.Hour)})
		assert.NoError(t, err, certificate.Subject)
	}
	assert.Equal(t, free, base.Roots.Count)
	assert.Len(t, base.Roots.LeftOut, constrained)
	assert.Greater(t, base.Roots.Count, 100)
	assert.Equal(t, free, bytes.Count(base.Roots.PEM, []byte("BEGIN CERTIFICATE")))
	assert.Contains(t, base.Report(), "CA roots of 2026.04.13")
	if constrained > 0 {
		assert.Contains(t, base.Report(), "left out")
	}
}

func TestRootsVersionIsThatOfTheModule(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "go.mod"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "golang.org/x/crypto/x509roots/fallback "+rootsVersion)
}

func TestRealZones(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	require.NoError(t, err)
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(output)), "lib", "time", "zoneinfo.zip"))
	require.NoError(t, err)
	defer file.Close()
	info, err := file.Stat()
	require.NoError(t, err)
	zones, err := Zones(file, info.Size())
	require.NoError(t, err)
	assert.Greater(t, len(zones), 400)
	for _, zone := range zones {
		if zone.Path == zonesDir+"/Asia/Tokyo" {
			place, err := time.LoadLocationFromTZData("Asia/Tokyo", zone.Data)
			require.NoError(t, err)
			assert.Equal(t, 9, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).In(place).Hour())
			return
		}
	}
	t.Fatal("Asia/Tokyo is missing")
}

func TestZonesRefuse(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"escape":      {"../../etc/passwd": "TZif"},
		"absolute":    {"/etc/passwd": "TZif"},
		"backslash":   {`..\x`: "TZif"},
		"not a zone":  {"README": "hello"},
		"no zones":    {"dir/": ""},
		"a huge zone": {"Big": "TZif" + strings.Repeat("x", maxZone)},
	} {
		archive, size := zipOf(t, files)
		_, err := Zones(archive, size)
		assert.Error(t, err, name)
		_, err = Assemble(archive, size)
		assert.Error(t, err, name)
	}
	_, err := Zones(strings.NewReader("no zip"), 6)
	assert.ErrorContains(t, err, "read time zones")
}

func TestTarIsCanonical(t *testing.T) {
	base := assemble(t)
	var first, second bytes.Buffer
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	require.NoError(t, base.WriteTar(&first, when))
	require.NoError(t, assemble(t).WriteTar(&second, when.In(time.FixedZone("x", 3600))))
	assert.Equal(t, first.Bytes(), second.Bytes())

	archive := tar.NewReader(&first)
	for _, entry := range base.Entries {
		header, err := archive.Next()
		require.NoError(t, err)
		assert.Equal(t, entry.Path, "/"+strings.TrimSuffix(header.Name, "/"))
		assert.Equal(t, []int64{entry.Mode, int64(entry.UID), int64(entry.GID), when.Unix()},
			[]int64{header.Mode, int64(header.Uid), int64(header.Gid), header.ModTime.Unix()})
		assert.Equal(t, tar.FormatUSTAR, header.Format)
		assert.Empty(t, header.Uname+header.Gname)
		data, err := io.ReadAll(archive)
		require.NoError(t, err)
		assert.Equal(t, string(entry.Data), string(data))
	}
	_, err := archive.Next()
	assert.ErrorIs(t, err, io.EOF)
}

func TestDigestNamesTheContent(t *testing.T) {
	base := assemble(t)
	first, err := base.Digest()
	require.NoError(t, err)
	assert.Regexp(t, `^sha256:[0-9a-f]{64}$`, first)
	again, err := assemble(t).Digest()
	require.NoError(t, err)
	assert.Equal(t, first, again)
	base.Entries[0].Mode = 0o700
	changed, err := base.Digest()
	require.NoError(t, err)
	assert.NotEqual(t, first, changed)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteTarPassesErrorsOn(t *testing.T) {
	assert.ErrorContains(t, assemble(t).WriteTar(broken{}, time.Unix(0, 0)), "disk full")
}

func TestWriteDir(t *testing.T) {
	base, dir := assemble(t), t.TempDir()
	require.NoError(t, base.WriteDir(dir))
	found := 0
	require.NoError(t, filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error {
		found++
		return err
	}))
	assert.Equal(t, len(base.Entries)+1, found)
	for _, entry := range base.Entries {
		info, err := os.Stat(filepath.Join(dir, entry.Path))
		require.NoError(t, err)
		assert.Equal(t, entry.Dir, info.IsDir())
		assert.EqualValues(t, entry.Mode&0o777, info.Mode().Perm(), entry.Path)
		assert.Equal(t, entry.Mode&0o1000 != 0, info.Mode()&fs.ModeSticky != 0, entry.Path)
	}
	assert.Error(t, base.WriteDir(dir), "a directory that is not empty is not mixed with")
}

func FuzzZones(f *testing.F) {
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := Zones(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, entry := range entries {
			require.True(t, strings.HasPrefix(path.Clean(entry.Path), zonesDir+"/"), "%q", entry.Path)
		}
	})
}

// The default base has no shell, and a machine without a registry cannot pull
// the image of another Dockerfile frontend.
func TestDockerfileNeedsNothingFromOutside(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "Dockerfile.runtime"))
	require.NoError(t, err)
	var instructions []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		assert.NotRegexp(t, `(?i)^#\s*syntax\s*=`, line)
		if line != "" && !strings.HasPrefix(line, "#") {
			instructions = append(instructions, line)
		}
	}
	assert.Equal(t, []string{
		"ARG BASE=scratch", "FROM ${BASE}", "COPY root/ /", "COPY --chmod=0755 app /app", "USER 65532:65532", `ENTRYPOINT ["/app"]`,
	}, instructions)
}
