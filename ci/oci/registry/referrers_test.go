package registry

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func withoutAPI(t *testing.T) *world {
	t.Helper()
	return newWorld(t, registry.WithReferrersSupport(false))
}

// R8: without the Referrers API, the list is under a tag of its own.
func TestReferrersWithoutAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withoutAPI(t)
		image := imageOf(t, 1, 100, 1)
		root := descriptorOf(t, image)
		client := w.client(Options{})
		request := Request{Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(root, "one"), sbomOf(root, "two")}, Tags: []Tag{{"a", true}}}
		result, err := client.Push(t.Context(), request)
		require.NoError(t, err)
		w.complete(t, "a")
		inOrder(t, w.seen(), func(request string) bool { return strings.HasPrefix(request, "P") })
		assert.Equal(t, 1, w.count("PUT", "manifests/sha256-"), "both at once")

		found, err := client.Referrers(t.Context(), repository, root.Digest, "application/vnd.cyclonedx+json")
		require.NoError(t, err)
		require.Len(t, found, 2)
		for i, text := range []string{"one", "two"} {
			assert.Equal(t, result.Artifacts[i].Digest, found[i].Digest)
			assert.Equal(t, "application/vnd.cyclonedx+json", found[i].ArtifactType)
			assert.Equal(t, text, found[i].Annotations["org.opencontainers.image.title"])
			manifest, _, err := client.Manifest(t.Context(), repository+"@"+found[i].Digest.String())
			require.NoError(t, err)
			var parsed v1.Manifest
			require.NoError(t, json.Unmarshal(manifest, &parsed))
			data, err := client.Blob(t.Context(), repository, parsed.Layers[0])
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprintf("{%q: 1}", text), string(data))
		}
		none, err := client.Referrers(t.Context(), repository, root.Digest, "application/other")
		require.NoError(t, err)
		assert.Empty(t, none)

		w.forget()
		began := time.Now()
		_, err = client.Push(t.Context(), request)
		require.NoError(t, err)
		assert.Zero(t, w.count("PUT")+w.count("POST"))
		assert.Less(t, time.Since(began), time.Second, "nothing is waited for when nothing changes")
	})
}

// What others put into the list stays as it is, whatever it says.
func TestReferrersOfOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withoutAPI(t)
		image := imageOf(t, 1, 100, 1)
		root := descriptorOf(t, image)
		client := w.client(Options{})
		_, err := client.Push(t.Context(), Request{Repository: repository, Root: image})
		require.NoError(t, err)
		foreign := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":%d,"digest":%q,"artifactType":"application/theirs","later":{"field":1}}`, root.Size, root.Digest)
		put(t, w, fallbackTag(root.Digest), string(types.OCIImageIndex), fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s],"annotations":{"a":"b"}}`, foreign))
		_, err = client.Push(t.Context(), Request{Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(root, "one")}})
		require.NoError(t, err)
		list := w.ask("manifests/" + fallbackTag(root.Digest)).Body.String()
		assert.Contains(t, list, foreign)
		assert.Contains(t, list, `"annotations":{"a":"b"}`)
		found, err := client.Referrers(t.Context(), repository, root.Digest, "")
		require.NoError(t, err)
		assert.Len(t, found, 2)

		put(t, w, fallbackTag(root.Digest), "application/vnd.oci.image.manifest.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`)
		_, err = client.Push(t.Context(), Request{Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(root, "one")}, Tags: []Tag{{"a", true}}})
		assert.ErrorContains(t, err, "is no list of referrers")
		assert.Empty(t, w.digest("a"), "tags come last")
	})
}

func put(t *testing.T, w *world, tag, kind, data string) {
	t.Helper()
	client := w.client(Options{})
	named, err := parseRepository(repository)
	require.NoError(t, err)
	s, ctx, cancel := client.begin(t.Context(), named, pushScope, 0)
	defer cancel()
	_, err = s.send(ctx, call{method: http.MethodPut, path: "manifests/" + tag, header: map[string]string{"Content-Type": kind}, body: &body{size: int64(len(data)), open: opened([]byte(data))}}, http.StatusCreated)
	require.NoError(t, err)
}

// R8: many write the list at once, each some time after it has read it, and
// none is lost. With a registry that knows conditions, and with one that does
// not.
func TestReferrersAtOnce(t *testing.T) {
	for _, conditions := range []bool{false, true} {
		t.Run(fmt.Sprintf("conditions %v", conditions), func(t *testing.T) {
			for seed := range int64(10) {
				synctest.Test(t, func(t *testing.T) { atOnce(t, seed, conditions) })
			}
		})
	}
}

func atOnce(t *testing.T, seed int64, conditions bool) {
	const writers = 8
	w := withoutAPI(t)
	image := imageOf(t, 1, 100, 1)
	root := descriptorOf(t, image)
	dice := &dice{rand: rand.New(rand.NewSource(seed)), count: map[string]int{}}
	var writing sync.Mutex
	w.fault = func(out http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "manifests/sha256-") {
			return false
		}
		time.Sleep(time.Duration(dice.roll(600)) * time.Millisecond)
		if !conditions {
			return false
		}
		writing.Lock()
		defer writing.Unlock()
		etag := w.digest(fallbackTag(root.Digest)).Hex
		if r.Method == http.MethodPut && ((r.Header.Get("If-None-Match") == "*" && etag != "") || (r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag)) {
			return complain(out, http.StatusPreconditionFailed, "", "")
		}
		if r.Method == http.MethodGet {
			out.Header().Set("ETag", etag)
		}
		w.backend.ServeHTTP(out, r)
		return true
	}
	var group sync.WaitGroup
	for n := range writers {
		group.Go(func() {
			_, err := w.client(Options{Random: dice.float}).Push(t.Context(), Request{Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(root, fmt.Sprint(n))}})
			assert.NoError(t, err)
		})
	}
	group.Wait()
	w.fault = nil
	found, err := w.client(Options{}).Referrers(t.Context(), repository, root.Digest, "")
	require.NoError(t, err)
	assert.Len(t, found, writers)
}

// R8: the API lists by itself, and the tag is not written.
func TestReferrersWithAPI(t *testing.T) {
	for name, header := range map[string]bool{"it says so": true, "it is asked": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				image := imageOf(t, 1, 100, 1)
				root := descriptorOf(t, image)
				w.fault = func(out http.ResponseWriter, _ *http.Request) bool {
					if header {
						out.Header().Set("OCI-Subject", root.Digest.String())
					}
					return false
				}
				_, err := w.client(Options{}).Push(t.Context(), Request{Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(root, "one")}})
				require.NoError(t, err)
				assert.Zero(t, w.count("manifests/sha256-", "PUT"))
				assert.Equal(t, header, w.count("/referrers/") == 0)
			})
		})
	}
}

// R8: an API that answers and lists nothing is not believed.
func TestReferrersThatAreNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fault = func(out http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			fmt.Fprint(out, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			return true
		}
		image := imageOf(t, 1, 100, 1)
		root := descriptorOf(t, image)
		client := w.client(Options{})
		_, err := client.Push(t.Context(), Request{Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(root, "one")}})
		require.NoError(t, err)
		found, err := client.Referrers(t.Context(), repository, root.Digest, "")
		require.NoError(t, err)
		assert.Len(t, found, 1)
	})
}

func TestReferrersInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fault = func(out http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			page := r.URL.Query().Get("page")
			if len(page) < 3 {
				out.Header().Add("Link", `</x>; rel="first"`)
				out.Header().Add("Link", fmt.Sprintf(`<%s?page=%sx>; rel="next"`, r.URL.Path, page))
			}
			fmt.Fprintf(out, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"a/b","size":1,"digest":%q}]}`, hashOf([]byte(page)))
			return true
		}
		found, err := w.client(Options{}).Referrers(t.Context(), repository, hashOf(nil), "")
		require.NoError(t, err)
		assert.Len(t, found, 4)
	})
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"sha256:0"}]}`))
	f.Add([]byte(`{"manifests":[1,null,{}],"annotations":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := answer{status: http.StatusOK, body: data}
		entries := []document{{Descriptor: v1.Descriptor{Digest: hashOf([]byte("x")), Size: 1, MediaType: "a/b"}}}
		merged, _, err := merge(read, entries)
		if err != nil {
			return
		}
		before, err := parseList(data)
		require.NoError(t, err)
		after, err := parseList(merged)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(after.Manifests), len(before.Manifests))
		assert.GreaterOrEqual(t, indexOf(after.Manifests, entries[0].Digest), 0)
		_, changed, err := merge(answer{status: http.StatusOK, body: merged}, entries)
		require.NoError(t, err)
		assert.False(t, changed)
	})
}
