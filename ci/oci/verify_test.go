package oci

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestVerifyLayout(t *testing.T) {
	idx, err := random.Index(512, 2, 2)
	require.NoError(t, err)
	idx = mutate.Annotations(idx, map[string]string{"made": "of this"}).(v1.ImageIndex)
	dir := filepath.Join(t.TempDir(), "layout")
	want, err := WriteLayout(dir, idx)
	require.NoError(t, err)

	digest, annotations, err := VerifyLayout(dir)
	require.NoError(t, err)
	assert.Equal(t, want, digest)
	assert.Equal(t, map[string]string{"made": "of this"}, annotations)

	names, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	require.NoError(t, err)
	for _, name := range names {
		whole, err := os.ReadFile(name)
		require.NoError(t, err)
		changed := append([]byte{}, whole...)
		changed[len(changed)/2] ^= 1
		for what, content := range map[string][]byte{"changed": changed, "cut": whole[:len(whole)-1], "longer": append(append([]byte{}, whole...), ' ')} {
			require.NoError(t, os.WriteFile(name, content, 0o644))
			_, _, err = VerifyLayout(dir)
			assert.Error(t, err, "%s %s", name, what)
		}
		require.NoError(t, os.Remove(name))
		_, _, err = VerifyLayout(dir)
		assert.Error(t, err, "%s removed", name)
		require.NoError(t, os.WriteFile(name, whole, 0o644))
	}
	_, _, err = VerifyLayout(dir)
	require.NoError(t, err)
}
