package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func twoPlatforms(t *testing.T, text string) v1.ImageIndex {
	t.Helper()
	base := gzipped(t, tarOf(t, dir("tmp"), file("etc/os-release", "ID=x\n")), 1)
	return canonical(t, indexOf(
		imageOf(t, amd64, base, gzipped(t, tarOf(t, file("app", text+" amd64")), 1)),
		imageOf(t, arm64, base, gzipped(t, tarOf(t, file("app", text+" arm64")), 1)),
	), Options{Created: commit, Annotations: map[string]string{"a": "b"}})
}

func TestLayoutRoundTrip(t *testing.T) {
	idx := twoPlatforms(t, "one")
	place := filepath.Join(t.TempDir(), "image", "greeter")
	digest, err := WriteLayout(place, idx)
	require.NoError(t, err)
	assert.Equal(t, digestOf(t, idx), digest)

	back, err := ReadLayout(place)
	require.NoError(t, err)
	assert.Equal(t, digest, digestOf(t, back))
	kind, err := back.MediaType()
	require.NoError(t, err)
	assert.Equal(t, types.OCIImageIndex, kind)
	assert.Equal(t, digest, digestOf(t, canonical(t, back, Options{Created: commit, Annotations: map[string]string{"a": "b"}})))

	theirs, err := layout.ImageIndexFromPath(place)
	require.NoError(t, err)
	root, err := theirs.IndexManifest()
	require.NoError(t, err)
	require.Len(t, root.Manifests, 1, "tools that want one image find one")
	assert.Equal(t, digest, root.Manifests[0].Digest)
	assert.FileExists(t, filepath.Join(place, "blobs", "sha256", digest.Hex))
	onlyIn(t, filepath.Dir(place), "greeter")
}

func onlyIn(t *testing.T, parent string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	assert.Equal(t, names, found)
}

func TestLayoutIsReplacedAsAWhole(t *testing.T) {
	parent := t.TempDir()
	place := filepath.Join(parent, "app")
	require.NoError(t, os.MkdirAll(filepath.Join(parent, ".app.slipway-123", "blobs"), 0o755), "a killed run's leftover")
	require.NoError(t, os.Mkdir(place, 0o755), "an empty directory is no loss")
	_, err := WriteLayout(place, twoPlatforms(t, "one"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(place, "blobs", "stale"), nil, 0o644))
	second, err := WriteLayout(place, twoPlatforms(t, "two"))
	require.NoError(t, err)
	back, err := ReadLayout(place)
	require.NoError(t, err)
	assert.Equal(t, second, digestOf(t, back))
	assert.NoFileExists(t, filepath.Join(place, "blobs", "stale"))
	onlyIn(t, parent, "app")
}

func TestTwoStepReplacement(t *testing.T) {
	parent := t.TempDir()
	fresh, place := filepath.Join(parent, "fresh"), filepath.Join(parent, "place")
	require.NoError(t, os.Mkdir(fresh, 0o755))
	require.NoError(t, putInPlace(fresh, place))
	onlyIn(t, parent, "place")
}

type inner = v1.ImageIndex // embedded under another name than its method

// failing is an index whose images cannot be read to the end.
type failing struct{ inner }

func (failing) Image(v1.Hash) (v1.Image, error) { return nil, errors.New("connection lost") }

func TestLayoutStaysWhenTheNewOneFails(t *testing.T) {
	parent := t.TempDir()
	place := filepath.Join(parent, "app")
	first, err := WriteLayout(place, twoPlatforms(t, "one"))
	require.NoError(t, err)
	_, err = WriteLayout(place, failing{twoPlatforms(t, "two")})
	assert.ErrorContains(t, err, "connection lost")
	back, err := ReadLayout(place)
	require.NoError(t, err)
	assert.Equal(t, first, digestOf(t, back))
	onlyIn(t, parent, "app")
}

func TestLayoutRefusesWhatIsNotOurs(t *testing.T) {
	idx, parent := twoPlatforms(t, "one"), t.TempDir()
	layoutDir := filepath.Join(parent, "real")
	_, err := WriteLayout(layoutDir, idx)
	require.NoError(t, err)
	linked := filepath.Join(parent, "linked")
	require.NoError(t, os.Symlink(layoutDir, linked))
	plainFile := filepath.Join(parent, "file")
	require.NoError(t, os.WriteFile(plainFile, nil, 0o644))
	foreign := filepath.Join(parent, "foreign")
	require.NoError(t, os.MkdirAll(filepath.Join(foreign, "precious"), 0o755))
	for place, says := range map[string]string{
		linked: "is not a directory", plainFile: "is not a directory", foreign: "no image layout",
	} {
		_, err := WriteLayout(place, idx)
		assert.ErrorContains(t, err, says)
	}
	assert.DirExists(t, filepath.Join(foreign, "precious"))
}

func TestReadLayoutFindsDamage(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, place, blob string){
		"no marker": func(t *testing.T, place, _ string) { require.NoError(t, os.Remove(filepath.Join(place, markerFile))) },
		"old marker": func(t *testing.T, place, _ string) {
			write(t, filepath.Join(place, markerFile), `{"imageLayoutVersion":"9"}`)
		},
		"bad marker": func(t *testing.T, place, _ string) { write(t, filepath.Join(place, markerFile), `nonsense`) },
		"bad index":  func(t *testing.T, place, _ string) { write(t, filepath.Join(place, indexFile), `nonsense`) },
		"no index":   func(t *testing.T, place, _ string) { require.NoError(t, os.Remove(filepath.Join(place, indexFile))) },
		"no blob":    func(t *testing.T, _, blob string) { require.NoError(t, os.Remove(blob)) },
		"other blob": func(t *testing.T, _, blob string) { write(t, blob, "{}") },
		"cut blob": func(t *testing.T, _, blob string) {
			info, err := os.Stat(blob)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(blob, info.Size()-1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			place := filepath.Join(t.TempDir(), "app")
			digest, err := WriteLayout(place, twoPlatforms(t, "one"))
			require.NoError(t, err)
			damage(t, place, filepath.Join(place, "blobs", "sha256", digest.Hex))
			_, err = ReadLayout(place)
			assert.Error(t, err)
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func TestEveryBlobIsChecked(t *testing.T) {
	place := filepath.Join(t.TempDir(), "app")
	_, err := WriteLayout(place, twoPlatforms(t, "one"))
	require.NoError(t, err)
	all, err := filepath.Glob(filepath.Join(place, "blobs", "sha256", "*"))
	require.NoError(t, err)
	require.Len(t, all, 8, "index, 2 × (manifest, config, app), one base")
	for _, blob := range all {
		good, err := os.ReadFile(blob)
		require.NoError(t, err)
		bad := bytes.Clone(good)
		bad[len(bad)-1] ^= 0x40
		require.NoError(t, os.WriteFile(blob, bad, 0o644))
		idx, err := ReadLayout(place)
		if err == nil {
			_, err = Canonical(idx, options)
		}
		assert.Error(t, err, blob)
		require.NoError(t, os.WriteFile(blob, good, 0o644))
	}
}

// exported writes a layout directory as a tar, as the engine does.
func exported(t *testing.T, place string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "image.tar")
	file, err := os.Create(out)
	require.NoError(t, err)
	archive := tar.NewWriter(file)
	require.NoError(t, archive.AddFS(os.DirFS(place)))
	require.NoError(t, archive.WriteHeader(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))
	require.NoError(t, archive.Close())
	require.NoError(t, file.Close())
	return out
}

func TestReadTar(t *testing.T) {
	idx := twoPlatforms(t, "one")
	nested := filepath.Join(t.TempDir(), "nested")
	digest, err := WriteLayout(nested, idx)
	require.NoError(t, err)
	back, err := ReadTar(exported(t, nested))
	require.NoError(t, err)
	assert.Equal(t, digest, digestOf(t, back))
	made, err := Canonical(back, Options{Created: commit, Annotations: map[string]string{"a": "b"}})
	require.NoError(t, err)
	assert.Equal(t, digest, digestOf(t, made))

	flat := filepath.Join(t.TempDir(), "flat")
	_, err = layout.Write(flat, idx)
	require.NoError(t, err)
	back, err = ReadTar(exported(t, flat))
	require.NoError(t, err)
	assert.Len(t, images(t, back), 2)
}

func TestReadTarRefuses(t *testing.T) {
	place := filepath.Join(t.TempDir(), "image.tar")
	_, err := ReadTar(place)
	assert.ErrorIs(t, err, os.ErrNotExist)
	for name, data := range map[string][]byte{
		"nothing":    tarOf(t),
		"no index":   tarOf(t, file(markerFile, marker)),
		"bad marker": tarOf(t, file(markerFile, "{}"), file(indexFile, "{}")),
		"no tar":     bytes.Repeat([]byte("x"), 2000),
		"no blob": tarOf(t, file(markerFile, marker), file(indexFile,
			`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","size":1,"digest":"sha256:`+hashOf(nil).Hex+`"}]}`)),
	} {
		require.NoError(t, os.WriteFile(place, data, 0o644))
		_, err := ReadTar(place)
		assert.Error(t, err, name)
	}
}

func TestWriteTar(t *testing.T) {
	place := filepath.Join(t.TempDir(), "app")
	_, err := WriteLayout(place, twoPlatforms(t, "one"))
	require.NoError(t, err)
	var first, second bytes.Buffer
	require.NoError(t, WriteTar(&first, place, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}))
	require.NoError(t, WriteTar(&second, place, arm64))
	assert.Equal(t, first.Bytes(), second.Bytes())

	archive := tar.NewReader(bytes.NewReader(first.Bytes()))
	var names []string
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		names = append(names, header.Name)
		if header.Name == indexFile {
			var root v1.IndexManifest
			require.NoError(t, json.NewDecoder(archive).Decode(&root))
			require.Len(t, root.Manifests, 1)
			assert.Equal(t, &arm64, root.Manifests[0].Platform)
			assert.Equal(t, types.OCIManifestSchema1, root.Manifests[0].MediaType)
		}
	}
	assert.Len(t, names, 6, "marker, index, two layers, config, manifest")

	out := filepath.Join(t.TempDir(), "one.tar")
	require.NoError(t, os.WriteFile(out, first.Bytes(), 0o644))
	back, err := ReadTar(out)
	require.NoError(t, err)
	members := images(t, back)
	require.Len(t, members, 1)
	assert.Equal(t, "linux/arm64", members[0].platform.String())
	assert.Equal(t, "arm64", members[0].config.Architecture)
}

func TestWriteTarWithoutThePlatform(t *testing.T) {
	place := filepath.Join(t.TempDir(), "app")
	_, err := WriteLayout(place, twoPlatforms(t, "one"))
	require.NoError(t, err)
	err = WriteTar(io.Discard, place, v1.Platform{OS: "linux", Architecture: "s390x"})
	assert.ErrorContains(t, err, "no image for linux/s390x, only for linux/amd64, linux/arm64")
	assert.Error(t, WriteTar(io.Discard, filepath.Join(place, "none"), amd64))

	nameless := imageOf(t, v1.Platform{}, gzipped(t, tarOf(t, file("a", "a")), 1))
	_, err = WriteLayout(place, mutate.AppendManifests(indexOf(), mutate.IndexAddendum{Add: nameless, Descriptor: v1.Descriptor{Platform: &amd64}}))
	require.NoError(t, err)
	assert.ErrorContains(t, WriteTar(io.Discard, place, amd64), "names no platform")
}
