package oci

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriteRootfs(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, WriteRootfs(path, v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, func() (io.ReadCloser, error) {
			opened, err := tarballOf(t)
			return opened, err
		}))
		return path
	}
	one, two := write("one.tar"), write("two.tar")
	index, err := ReadTar(one)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	assert.Equal(t, "linux/arm/v7", manifest.Manifests[0].Platform.String())
	image, err := index.Image(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, []string{"linux", "arm", "v7"}, []string{config.OS, config.Architecture, config.Variant}, "the engine reads the platform there")
	layers, err := image.Layers()
	require.NoError(t, err)
	assert.Len(t, layers, 1)

	first, err := os.ReadFile(one)
	require.NoError(t, err)
	second, err := os.ReadFile(two)
	require.NoError(t, err)
	assert.Equal(t, first, second, "the same root gives the same file")
	onlyIn(t, dir, "one.tar", "two.tar")
}

func tarballOf(t *testing.T) (io.ReadCloser, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.tar")
	if err := os.WriteFile(path, tarOf(t, dir("tmp"), file("etc/os-release", "ID=x\n")), 0o644); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func TestWriteRootfsThatCannotBeReadLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	broken := errors.New("broken")
	opened := 0
	for name, opener := range map[string]func() (io.ReadCloser, error){
		"at once": func() (io.ReadCloser, error) { return nil, broken },
		"later": func() (io.ReadCloser, error) {
			if opened++; opened > 1 {
				return nil, broken
			}
			return tarballOf(t)
		},
	} {
		require.ErrorIs(t, WriteRootfs(filepath.Join(parent, "root.tar"), amd64, opener), broken, name)
		onlyIn(t, parent)
	}
}
