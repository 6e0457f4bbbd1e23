package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(Options{})
		image := twoImages(t, 1, 1000)
		root := descriptorOf(t, image)
		_, err := client.Push(t.Context(), Request{Repository: repository, Root: image, Tags: []Tag{{"1.2.3", true}}})
		require.NoError(t, err)

		dir := t.TempDir()
		found, err := client.Fetch(t.Context(), repository+":1.2.3", dir)
		require.NoError(t, err)
		assert.Equal(t, root, found)
		blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
		require.NoError(t, err)
		assert.Len(t, blobs, 1+2*(1+1+2), "an index; two manifests, each with a configuration and two layers")
		for _, blob := range blobs {
			data, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", blob.Name()))
			require.NoError(t, err)
			assert.Equal(t, blob.Name(), hashOf(data).Hex)
		}
		fetched, err := layout.ImageIndexFromPath(dir)
		require.NoError(t, err)
		_, err = fetched.ImageIndex(root.Digest)
		require.NoError(t, err)

		w.fault = func(out http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/blobs/") && other(out)
		}
		_, err = client.Fetch(t.Context(), repository+":1.2.3", t.TempDir())
		isType[*DigestError](t, err)
	})
}
