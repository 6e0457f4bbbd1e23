package attest

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/internal/cosigntest"
)

// pushed is an image in a registry, with bundles about it.
func pushed(t *testing.T, server *httptest.Server, bundles ...[]byte) (reference string) {
	t.Helper()
	image, err := random.Image(100, 1)
	require.NoError(t, err)
	described, err := partial.Descriptor(image)
	require.NoError(t, err)
	return push(t, server, image, *described, bundles)
}

func push(t *testing.T, server *httptest.Server, image v1.Image, described v1.Descriptor, bundles [][]byte) string {
	t.Helper()
	host := strings.TrimPrefix(server.URL, "http://")
	client, err := registry.New(registry.Options{Hosts: map[string]registry.Host{host: {PlainHTTP: true}}})
	require.NoError(t, err)
	defer client.Close()
	request := registry.Request{Repository: host + "/team/greeter", Root: image, Tags: []registry.Tag{{Name: "1.2.3"}}}
	for _, bundle := range bundles {
		r, err := Refer(bundle, committed)
		require.NoError(t, err)
		request.Artifacts = append(request.Artifacts, registry.Artifact{
			Type: r.Type, Subject: described, Annotations: r.Annotations, Parts: []registry.Part{{MediaType: r.MediaType, Data: r.Data}},
		})
	}
	_, err = client.Push(t.Context(), request)
	require.NoError(t, err)
	return request.Repository + "@" + described.Digest.String()
}

// cosign's own key, cosign's own verification, our bundles.
func TestCosign(t *testing.T) {
	program, dir := cosigntest.Program(t), t.TempDir()
	for _, name := range []string{"cosign", "other"} {
		output, err := cosigntest.Run(t, program, dir, "generate-key-pair", "--output-key-prefix", name)
		require.NoError(t, err, output)
	}
	data, err := os.ReadFile(filepath.Join(dir, "cosign.key"))
	require.NoError(t, err)
	key, err := ReadKey(data, []byte("pass"))
	require.NoError(t, err)
	public, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
	require.NoError(t, err)
	assert.Equal(t, string(public), string(key.Public().PEM()))

	for name, referrers := range map[string]bool{"with the Referrers API": true, "without it": false} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(fake.New(fake.WithReferrersSupport(referrers), fake.Logger(log.New(io.Discard, "", 0))))
			defer server.Close()
			accepted(t, program, dir, key, server)
		})
	}
}

func accepted(t *testing.T, program, dir string, key *Key, server *httptest.Server) {
	t.Helper()
	image, err := random.Image(100, 1)
	require.NoError(t, err)
	described, err := partial.Descriptor(image)
	require.NoError(t, err)
	about := Subject{Name: "greeter", Digest: described.Digest.String()}
	var bundles [][]byte
	for _, s := range statements(t) {
		s.Subjects = []Subject{about}
		bundles = append(bundles, signed(t, key, s))
	}
	reference := push(t, server, image, *described, bundles)

	verify := func(verb, public string, more ...string) (string, error) {
		arguments := append([]string{verb, "--key", public, "--insecure-ignore-tlog=true", "--allow-http-registry"}, more...)
		return cosigntest.Run(t, program, dir, append(arguments, reference)...)
	}
	output, err := verify("verify", "cosign.pub")
	require.NoError(t, err, output)
	assert.Contains(t, output, PredicateSignature)
	for _, kind := range []string{"slsaprovenance1", "cyclonedx", "vuln", PredicateTests, PredicateCoverage} {
		output, err := verify("verify-attestation", "cosign.pub", "--type", kind)
		require.NoError(t, err, "%s: %s", kind, output)
	}
	output, err = verify("verify", "other.pub")
	assert.Error(t, err)
	assert.Contains(t, output, "could not verify envelope")
	output, err = verify("verify-attestation", "other.pub", "--type", "slsaprovenance1")
	assert.Error(t, err)
	assert.Contains(t, output, "could not verify envelope")
	output, err = verify("verify-attestation", "cosign.pub", "--type", "openvex")
	assert.Error(t, err)
	assert.Contains(t, output, "none of the attestations matched the predicate type")
}

// What is about another image, and what was changed, cosign refuses as well.
func TestCosignRefuses(t *testing.T) {
	program, dir := cosigntest.Program(t), t.TempDir()
	key := signerOf(t, 0)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pub"), key.Public().PEM(), 0o600))
	server := httptest.NewServer(fake.New(fake.WithReferrersSupport(true), fake.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	bundle := signed(t, key, provenanceOf(t, build()))
	changed := change(t, bundle, func(b *bundleJSON) {
		b.Envelope.Payload = bytes.Replace(b.Envelope.Payload, []byte("amd64"), []byte("s390x"), 1)
	})
	for reference, want := range map[string]string{
		pushed(t, server, bundle):  "provided artifact digest does not match any digest in statement",
		pushed(t, server, changed): "could not verify envelope",
		pushed(t, server):          "no signatures found",
	} {
		output, err := cosigntest.Run(t, program, dir, "verify", "--key", "key.pub", "--insecure-ignore-tlog=true", "--allow-http-registry", reference)
		assert.Error(t, err)
		assert.Contains(t, output, want)
	}
}

// cosign and an Ed25519 key: what the package says of it has to stay true.
func TestCosignWithEd25519(t *testing.T) {
	program, dir := cosigntest.Program(t), t.TempDir()
	key := signerOf(t, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cosign.pub"), key.Public().PEM(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.pub"), signerOf(t, 3).Public().PEM(), 0o600))
	server := httptest.NewServer(fake.New(fake.WithReferrersSupport(true), fake.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	accepted(t, program, dir, key, server)
}
