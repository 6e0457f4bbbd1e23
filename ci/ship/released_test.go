package ship

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// shelf is a registry with releases.
type shelf struct {
	repository string
	client     *registry.Client
}

func newShelf(t *testing.T) shelf {
	t.Helper()
	backend := httptest.NewServer(server.New(server.WithReferrersSupport(true), server.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(backend.Close)
	host := strings.TrimPrefix(backend.URL, "http://")
	client, err := registry.New(registry.Options{Hosts: map[string]registry.Host{host: {PlainHTTP: true}}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return shelf{host + "/team/hello", client}
}

// put publishes a release with a program of this content, signed where a key is given.
func (s shelf) put(t *testing.T, version, program string, key *attest.Key) {
	t.Helper()
	root := indexWith(t, version, program)
	at, platforms, err := describe(root)
	require.NoError(t, err)
	require.Len(t, platforms, 1)
	request := registry.Request{Repository: s.repository, Root: root, Tags: []registry.Tag{{Name: version}}}
	if key != nil {
		statement, err := attest.Signature(attest.Subject{Name: s.repository, Digest: at.Digest.String()})
		require.NoError(t, err)
		bundle, err := attest.Sign(t.Context(), key, statement)
		require.NoError(t, err)
		refer, err := attest.Refer(bundle, time.Unix(1e9, 0))
		require.NoError(t, err)
		request.Artifacts = []registry.Artifact{attached(at, refer.Type, refer.Data, refer.Annotations)}
	}
	_, err = s.client.Push(t.Context(), request)
	require.NoError(t, err)
}

func indexWith(t *testing.T, version, program string) v1.ImageIndex {
	t.Helper()
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	require.NoError(t, archive.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program))}))
	_, err := io.WriteString(archive, program)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	require.NoError(t, err)
	image, err := mutate.AppendLayers(empty.Image, content)
	require.NoError(t, err)
	image, err = mutate.Config(image, v1.Config{Entrypoint: []string{"/app"}, Labels: map[string]string{"org.opencontainers.image.version": version, "org.opencontainers.image.revision": "0123abc"}})
	require.NoError(t, err)
	return mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
}

func signingKey(t *testing.T) *attest.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	key, err := attest.ReadKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	require.NoError(t, err)
	return key
}

// take fetches a release as deploy --release does, and says what was left in its directory.
func (s shelf) take(t *testing.T, reference string, trust attest.Trust) (content, string, error) {
	t.Helper()
	dir, c := t.TempDir(), content{}
	stage := report.NewRecorder(report.Run{}, nil, time.Now).Stage("release")
	err := fetched{client: s.client, reference: reference, repository: s.repository, trust: trust, stage: stage}.into(t.Context(), dir, &c, project.App{Binary: "hello"})
	return c, filepath.Join(dir, "bin", "amd64", "hello"), err
}

// What is rolled out from a registry is what was signed; otherwise nothing is taken out of it.
func TestReleasesAreProvedBeforeTheyAreRolledOut(t *testing.T) {
	s, ours, theirs := newShelf(t), signingKey(t), signingKey(t)
	s.put(t, "1.0.0", "ours", ours)
	s.put(t, "1.1.0", "nobody's", nil)
	s.put(t, "1.2.0", "theirs", theirs)

	c, program, err := s.take(t, s.repository+":1.0.0", ours.Public())
	require.NoError(t, err)
	assert.Equal(t, "1.0.0", c.version)
	assert.Equal(t, "0123abc", c.commit)
	assert.Equal(t, program, c.programs["amd64"].Path)
	data, err := os.ReadFile(program)
	require.NoError(t, err)
	assert.Equal(t, "ours", string(data))

	refused := func(reference, says string) {
		t.Helper()
		c, program, err := s.take(t, reference, ours.Public())
		require.ErrorContains(t, err, "is not signed by "+ours.Identity())
		assert.ErrorContains(t, err, says)
		assert.Empty(t, c.programs)
		assert.NoFileExists(t, program)
	}
	refused(s.repository+":1.1.0", "no ")
	refused(s.repository+":1.2.0", theirs.Identity())
	s.put(t, "1.0.0", "moved", nil) // the tag names another image now
	refused(s.repository+":1.0.0", "no ")

	_, _, err = s.take(t, s.repository+":1.1.0", nil)
	require.NoError(t, err, "a project that signs nothing takes what is there")
	_, _, err = s.take(t, s.repository+":9.9.9", nil)
	assert.ErrorContains(t, err, "fetch "+s.repository+":9.9.9")
}
