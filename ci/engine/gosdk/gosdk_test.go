package gosdk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/rootfs"
)

// archive is a tar with one file.
func archive(t *testing.T, name, content string) []byte {
	t.Helper()
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}))
	_, err := io.WriteString(w, content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return data.Bytes()
}

// options of an image whose parts are in the cache already, and small.
func options(t *testing.T) (Options, parts) {
	t.Helper()
	cache := t.TempDir()
	roots := filepath.Join(cache, "rootfs")
	require.NoError(t, os.MkdirAll(roots, 0o755))
	from := rootfs.Options{Cache: cache, Progress: func(string) {}}
	t.Setenv("PATH", t.TempDir()) // nothing can be fetched or made
	layer := archive(t, "usr/local/go/bin/go", "go")
	for _, name := range []string{"go1.2.3-linux-" + runtime.GOARCH + "-v1.tar"} {
		require.NoError(t, oci.WriteRootfs(filepath.Join(roots, name), v1.Platform{OS: "linux", Architecture: runtime.GOARCH},
			func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil }))
	}
	toolchain, err := rootfs.Toolchain(t.Context(), from, "1.2.3", runtime.GOARCH)
	require.NoError(t, err)
	base := baseFile(t, from)
	codegen := filepath.Join(t.TempDir(), "codegen")
	require.NoError(t, os.WriteFile(codegen, []byte("codegen"), 0o755))
	return Options{Content: filepath.Join(t.TempDir(), "content"), Codegen: codegen, Cache: cache, Go: "1.2.3", CAs: []byte("roots"), Progress: func(string) {}},
		parts{toolchain: toolchain, base: base}
}

// baseFile puts something in the place where the base of images would be.
func baseFile(t *testing.T, from rootfs.Options) string {
	t.Helper()
	_, err := rootfs.Base(t.Context(), from, "1.2.3", runtime.GOARCH)
	require.Error(t, err, "without a go command there is none")
	locks, err := filepath.Glob(filepath.Join(from.Cache, "rootfs", "*static*.lock"))
	require.NoError(t, err)
	require.Len(t, locks, 1)
	file := locks[0][:len(locks[0])-len(".lock")]
	require.NoError(t, os.WriteFile(file, []byte("base"), 0o644))
	return file
}

// contents are the files of an image, as a container would see them.
func contents(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	files := map[string]string{}
	stream := mutate.Extract(image)
	defer stream.Close()
	for tr := tar.NewReader(stream); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		require.NoError(t, err)
		data, err := io.ReadAll(tr)
		require.NoError(t, err)
		files[h.Name] = fmt.Sprintf("%o %s", h.Mode, data)
	}
}

// named is the image that the engine would find.
func named(t *testing.T, content string) v1.Image {
	t.Helper()
	digest, err := os.ReadFile(filepath.Join(content, "go-sdk"))
	require.NoError(t, err)
	hash, err := v1.NewHash(string(digest))
	require.NoError(t, err)
	manifest, err := os.ReadFile(filepath.Join(content, "blobs", "sha256", hash.Hex))
	require.NoError(t, err)
	reader, err := layout.Write(content, empty.Index) // the engine needs no index
	require.NoError(t, err)
	require.NoError(t, reader.AppendDescriptor(v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hash, Size: int64(len(manifest))}))
	image, err := reader.Image(hash)
	require.NoError(t, err)
	require.NoError(t, validate.Image(image))
	return image
}

func TestProvide(t *testing.T) {
	o, p := options(t)
	require.NoError(t, Provide(t.Context(), o))
	image := named(t, o.Content)
	files := contents(t, image)
	assert.Equal(t, "644 go", files["usr/local/go/bin/go"])
	assert.Equal(t, "755 codegen", files["usr/local/bin/codegen"])
	assert.Equal(t, "644 roots", files["etc/ssl/certs/ca-certificates.crt"])
	assert.Equal(t, "644 base", files["usr/local/share/slipway/rootfs/"+filepath.Base(p.base)])
	assert.Contains(t, files, "usr/local/share/slipway/rootfs/"+filepath.Base(p.toolchain), "a run in a module fetches no toolchain")
	for _, dir := range []string{"go/pkg/mod", "root/.cache/go-build"} {
		assert.Equal(t, "755 ", files[dir], "the engine mounts a cache on %s", dir)
	}
	config, err := image.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "linux/"+runtime.GOARCH, config.Platform().String())
	assert.Contains(t, config.Config.Env, "GOPATH=/go")
	assert.Contains(t, config.Config.Env, "SLIPWAY_CACHE=/usr/local/share/slipway")
}

func TestProvideTwiceWritesOnce(t *testing.T) {
	o, _ := options(t)
	told := 0
	o.Progress = func(string) { told++ }
	require.NoError(t, Provide(t.Context(), o))
	require.NoError(t, Provide(t.Context(), o))
	assert.Equal(t, 1, told)

	blobs, err := filepath.Glob(filepath.Join(o.Content, "blobs", "sha256", "*"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(blobs[0]))
	require.NoError(t, Provide(t.Context(), o))
	assert.Equal(t, 2, told, "what is lost is made again")
	named(t, o.Content)
}

func TestAnotherEngineGetsAnotherImage(t *testing.T) {
	o, _ := options(t)
	require.NoError(t, Provide(t.Context(), o))
	before, err := named(t, o.Content).Digest()
	require.NoError(t, err)
	o.Codegen = filepath.Join(t.TempDir(), "codegen")
	require.NoError(t, os.WriteFile(o.Codegen, []byte("newer"), 0o755))
	require.NoError(t, Provide(t.Context(), o))
	image := named(t, o.Content)
	assert.Equal(t, "755 newer", contents(t, image)["usr/local/bin/codegen"])
	assert.NoFileExists(t, filepath.Join(o.Content, "blobs", "sha256", before.Hex), "the older image is gone")
	blobs, err := filepath.Glob(filepath.Join(o.Content, "blobs", "sha256", "*"))
	require.NoError(t, err)
	assert.Len(t, blobs, 4, "manifest, config, two layers")
}

func TestTheDebianRootIsTheLowestLayer(t *testing.T) {
	o, p := options(t)
	p.tests = filepath.Join(t.TempDir(), "debian.tar.gz")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(archive(t, "usr/bin/git", "git"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(p.tests, zipped.Bytes(), 0o644))
	image, err := p.image(o, "inputs")
	require.NoError(t, err)
	layers, err := image.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 3)
	files := contents(t, image)
	assert.Equal(t, "644 git", files["usr/bin/git"])
	assert.Equal(t, fmt.Sprintf("644 %s", zipped.Bytes()), files["usr/local/share/slipway/rootfs/debian.tar.gz"], "and tests of a project get it too")
	packed, err := layers[0].Compressed()
	require.NoError(t, err)
	defer packed.Close()
	data, err := io.ReadAll(packed)
	require.NoError(t, err)
	assert.Equal(t, zipped.Bytes(), data, "it is not compressed anew")
}

func TestAnEngineOfAnOlderProgram(t *testing.T) {
	o, _ := options(t)
	o.Codegen = ""
	require.ErrorContains(t, Provide(t.Context(), o), "slipway engine stop")
}
