package registry

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/oci"
)

func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		image := twoImages(t, 1, 3000)
		root := descriptorOf(t, image)
		var last Progress
		facts := map[FactKind]int{}
		client := w.client(Options{OnProgress: func(p Progress) { last = p }, OnFact: func(f Fact) { facts[f.Kind]++ }})
		request := Request{
			Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(root, "one"), sbomOf(root, "two")},
			Tags: []Tag{{"1.2.3", true}, {"1.2", false}, {"latest", false}},
		}
		result, err := client.Push(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, root.Digest, result.Root.Digest)
		assert.Equal(t, Blobs{Sent: 9}, result.Blobs, "six of the images, {} and two of the artifacts")
		assert.Equal(t, []TagResult{{Name: "1.2.3", Changed: true}, {Name: "1.2", Changed: true}, {Name: "latest", Changed: true}}, result.Tags)
		for _, tag := range []string{"1.2.3", "1.2", "latest"} {
			assert.Equal(t, root.Digest, w.digest(tag))
			w.complete(t, tag)
		}
		assert.Equal(t, last.Total, last.Sent)
		assert.Equal(t, last, result.Bytes)
		assert.Zero(t, last.Skipped+last.Wasted)

		sure := map[FactKind]int{BlobFact: 9, ManifestFact: 3, ArtifactFact: 2, TagFact: 3}
		assert.Equal(t, sure, facts)
		inOrder(t, w.seen(), func(request string) bool { return strings.HasPrefix(request, "P") })

		clear(facts)
		w.forget()
		again, err := client.Push(t.Context(), request)
		require.NoError(t, err)
		assert.Zero(t, w.count("POST")+w.count("PUT")+w.count("PATCH"), "nothing has changed: %v", w.seen())
		assert.Equal(t, Blobs{Skipped: 9}, again.Blobs)
		assert.Equal(t, sure, facts, "what was there is as certain")
		assert.Equal(t, again.Bytes.Total, again.Bytes.Skipped)
		assert.Equal(t, []TagResult{{Name: "1.2.3", Before: root.Digest}, {Name: "1.2", Before: root.Digest}, {Name: "latest", Before: root.Digest}}, again.Tags)
		assert.Equal(t, result.Artifacts, again.Artifacts)
	})
}

// inOrder asserts that writes come in the order blobs, manifests, lists, tags.
func inOrder(t *testing.T, requests []string, filter func(string) bool) {
	t.Helper()
	last := 0
	for _, request := range requests {
		if filter(request) {
			assert.GreaterOrEqual(t, kind(request), last, "%s in %v", request, requests)
			last = max(last, kind(request))
		}
	}
}

func TestPushOfALayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	digest, err := oci.WriteLayout(dir, twoImages(t, 1, 100))
	require.NoError(t, err)
	image, err := oci.ReadLayout(dir)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, err := w.client(Options{}).Push(t.Context(), Request{Repository: repository, Root: image, Tags: []Tag{{"a", true}}})
		require.NoError(t, err)
		assert.Equal(t, digest, w.digest("a"))
		w.complete(t, "a")
	})
}

// What is damaged on our side is no fault of the registry: no second try.
func TestPushOfADamagedLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	_, err := oci.WriteLayout(dir, twoImages(t, 1, 5000))
	require.NoError(t, err)
	image, err := oci.ReadLayout(dir)
	require.NoError(t, err)
	layer := largest(t, filepath.Join(dir, "blobs", "sha256"))
	data, err := os.ReadFile(layer)
	require.NoError(t, err)
	data[100] ^= 1
	for name, damaged := range map[string][]byte{"another byte": data, "an early end": data[:3000], "more": append(slices.Clone(data), 1)} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(layer, damaged, 0o644))
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				retries := 0
				_, err := w.client(Options{OnRetry: func(Retry) { retries++ }}).Push(t.Context(), Request{Repository: repository, Root: image, Tags: []Tag{{"a", true}}})
				assert.ErrorContains(t, err, "read what is pushed")
				assert.ErrorContains(t, err, filepath.Base(layer))
				assert.Zero(t, retries)
				assert.Empty(t, w.digest("a"))
			})
		})
	}
}

func largest(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	best, size := "", int64(0)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		if info.Size() > size {
			best, size = filepath.Join(dir, entry.Name()), info.Size()
		}
	}
	return best
}

func TestFixedTagsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(Options{})
		push := func(image v1.Image, force bool) (Result, error) {
			return client.Push(t.Context(), Request{Repository: repository, Root: image, Tags: []Tag{{"1.0.0", true}, {"latest", false}}, Force: force})
		}
		first, second := imageOf(t, 1, 10, 1), imageOf(t, 2, 10, 1)
		_, err := push(first, false)
		require.NoError(t, err)
		w.forget()

		_, err = push(second, false)
		exists := isType[*TagExistsError](t, err)
		assert.Equal(t, &TagExistsError{repository, "1.0.0", descriptorOf(t, first).Digest, descriptorOf(t, second).Digest}, exists)
		assert.ErrorContains(t, err, descriptorOf(t, first).Digest.String(), "it says what is there")
		assert.Equal(t, 1, len(w.seen()), "nothing is sent: %v", w.seen())
		assert.Equal(t, descriptorOf(t, first).Digest, w.digest("latest"))

		result, err := push(second, true)
		require.NoError(t, err)
		assert.Equal(t, TagResult{Name: "1.0.0", Before: descriptorOf(t, first).Digest, Changed: true}, result.Tags[0])
		assert.Equal(t, descriptorOf(t, second).Digest, w.digest("1.0.0"))
	})
}

// A fixed tag that appears while the blobs are sent is not moved either.
func TestFixedTagThatAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, second := imageOf(t, 1, 10, 1), imageOf(t, 2, 10, 1)
		other := w.client(Options{})
		var once atomic.Bool
		w.fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost && once.CompareAndSwap(false, true) {
				_, err := other.Push(t.Context(), Request{Repository: repository, Root: first, Tags: []Tag{{"1.0.0", true}}})
				assert.NoError(t, err)
			}
			return false
		}
		_, err := w.client(Options{}).Push(t.Context(), Request{Repository: repository, Root: second, Tags: []Tag{{"1.0.0", true}}})
		isType[*TagExistsError](t, err)
		assert.Equal(t, descriptorOf(t, first).Digest, w.digest("1.0.0"))
	})
}

func TestMount(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   Blobs
	}{"mounted": {http.StatusCreated, Blobs{Mounted: 3}}, "not this time": {http.StatusAccepted, Blobs{Sent: 3}}, "refused": {http.StatusForbidden, Blobs{Sent: 3}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				image := imageOf(t, 1, 1000, 2)
				client := w.client(Options{Jobs: 1})
				_, err := client.Push(t.Context(), Request{Repository: host + "/team/base", Root: image})
				require.NoError(t, err)
				var mounts []url.Values
				w.fault = func(out http.ResponseWriter, r *http.Request) bool {
					if r.URL.Query().Get("mount") != "" {
						mounts = append(mounts, r.URL.Query())
						out.Header().Set("Location", "/v2/team/app/blobs/uploads/1")
						out.WriteHeader(c.status)
						return true
					}
					elsewhere := strings.Contains(r.URL.Path, "/team/app/blobs/sha256") || strings.Contains(r.URL.Path, "/team/nothing/")
					return r.Method == http.MethodHead && elsewhere && complain(out, http.StatusNotFound, "BLOB_UNKNOWN", "")
				}
				result, err := client.Push(t.Context(), Request{Repository: repository, Root: image, MountFrom: []string{repository, "other.example.com/x/y", host + "/team/nothing", host + "/team/base"}})
				require.NoError(t, err)
				assert.Equal(t, c.want, result.Blobs)
				assert.Len(t, mounts, 3)
				for _, query := range mounts {
					assert.Equal(t, "team/base", query.Get("from"))
				}
				assert.Equal(t, result.Bytes.Total, result.Bytes.Sent+result.Bytes.Skipped)
			})
		})
	}
}

// Signed addresses of uploads, on another host and with a query of their own,
// are used as they are, and do not see the credential.
func TestUploadElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret := "signature-Zm9v"
		w.fault = func(out http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "uploads") {
				assert.True(t, strings.HasPrefix(r.URL.RawQuery, "b=2&a=1&s="+secret+"&digest=sha256"), r.URL.RawQuery)
				assert.Equal(t, r.Header.Get("Authorization") == "", r.Host == "www.example.com")
				return complain(out, http.StatusTeapot, "", "no")
			}
			if r.Method == http.MethodPost {
				out.Header().Set("Location", "https://www.example.com/v2/team/app/blobs/uploads/1?b=2&a=1&s="+secret)
				out.WriteHeader(http.StatusAccepted)
				return true
			}
			return false
		}
		_, err := w.client(Options{}).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 10, 1)})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), secret)
	})
}

func TestRequestsThatAreWrong(t *testing.T) {
	image := imageOf(t, 1, 10, 1)
	client, err := New(Options{})
	require.NoError(t, err)
	for want, request := range map[string]Request{
		"names no registry":           {Repository: "team/app", Root: image},
		"tag must be between":         {Repository: repository, Root: image, Tags: []Tag{{"a/b", false}}},
		"there is no image":           {Repository: repository},
		"needs a type, and a subject": {Repository: repository, Root: image, Artifacts: []Artifact{{Type: "a/b"}}},
		`repository "example.com/A"`:  {Repository: "example.com/A", Root: image},
		`repository "x"`:              {Repository: repository, Root: image, MountFrom: []string{"x"}},
	} {
		_, err := client.Push(t.Context(), request)
		assert.ErrorContains(t, err, want)
	}
	_, err = New(Options{Hosts: map[string]Host{"example.org": {CAFile: filepath.Join(t.TempDir(), "none")}}})
	assert.ErrorContains(t, err, "read certificates for example.org")
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o644))
	_, err = New(Options{Hosts: map[string]Host{"example.org": {CAFile: empty}}})
	assert.ErrorContains(t, err, "holds no certificate as PEM")
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fault = func(out http.ResponseWriter, r *http.Request) bool {
			return complain(out, http.StatusBadGateway, "", "")
		}
		ctx, cancel := contextWithCancelAfter(t, 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err := w.client(Options{}).Push(ctx, Request{Repository: repository, Root: imageOf(t, 1, 10, 1)})
		assert.ErrorContains(t, err, "interrupted")
		assert.Equal(t, 3*time.Second, time.Since(began))
		var gaveUp *DeadlineError
		assert.NotErrorAs(t, err, &gaveUp)
	})
}

// What artifacts are depends on nothing but what is in them.
func TestArtifactsAreDeterministic(t *testing.T) {
	subject := descriptorOf(t, imageOf(t, 1, 10, 1))
	subject.Annotations, subject.Platform = map[string]string{"a": "b"}, &v1.Platform{OS: "linux"}
	one, err := sbomOf(subject, "a<b").Descriptor()
	require.NoError(t, err)
	two, err := sbomOf(v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}, "a<b").Descriptor()
	require.NoError(t, err)
	assert.Equal(t, one, two)

	c := &content{seen: map[v1.Hash]bool{}}
	d, err := c.addArtifact(Artifact{Type: "application/x", Subject: subject})
	require.NoError(t, err)
	var manifest map[string]any
	require.NoError(t, json.Unmarshal(d.raw, &manifest))
	assert.Equal(t, "application/x", manifest["artifactType"])
	assert.Len(t, manifest["layers"], 1, "the specification wants one")
	require.Len(t, c.blobs, 1)
	opened, err := c.blobs[0].open()
	require.NoError(t, err)
	data, err := io.ReadAll(opened)
	require.NoError(t, err)
	assert.Equal(t, "{}", string(data))
}

func TestArtifactOfAnArtifact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, registry.WithReferrersSupport(true))
		image := imageOf(t, 1, 10, 1)
		sbom := sbomOf(descriptorOf(t, image), "sbom")
		about, err := sbom.Descriptor()
		require.NoError(t, err)
		client := w.client(Options{})
		_, err = client.Push(t.Context(), Request{Repository: repository, Root: image, Artifacts: []Artifact{sbom, sbomOf(about, "signature")}})
		require.NoError(t, err)
		found, err := client.Referrers(t.Context(), repository, about.Digest, "")
		require.NoError(t, err)
		assert.Len(t, found, 1)
	})
}
