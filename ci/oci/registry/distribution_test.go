package registry

import (
	"bufio"
	"context"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"
)

// distribution builds and starts the registry of the CNCF distribution project.
func distribution(t *testing.T) (address string) {
	t.Helper()
	return startDistribution(t, buildDistribution(t))
}

func buildDistribution(t *testing.T) (program string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a registry")
	}
	if version := strings.Replace(runtime.Version(), "go", "v", 1); semver.Compare(version, "v1.26.0") < 0 {
		t.Skip("the registry needs Go 1.26, and this is " + runtime.Version())
	}
	program = filepath.Join(t.TempDir(), "distribution")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("testdata", "distribution")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}

// startDistribution starts a registry with nothing in it.
func startDistribution(t *testing.T, program string) (address string) {
	t.Helper()
	server := exec.Command(program, t.TempDir())
	alive, err := server.StdinPipe()
	require.NoError(t, err)
	said, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { alive.Close(); _ = server.Wait() })
	address, err = bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(address)
}

// before is a way to a registry that has faults of a test's own.
func before(address string) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.ErrorLog = discard()
	return proxy
}

// What no fake can tell: that a registry which others rely on agrees.
func TestDistribution(t *testing.T) {
	address := distribution(t)
	plain := map[string]Host{address: {PlainHTTP: true}}
	client, err := New(Options{Hosts: plain, Settle: 4 * time.Second, OnRetry: func(r Retry) { t.Error(r) }})
	require.NoError(t, err)
	defer client.Close()
	image := twoImages(t, 1, 1<<21)
	root := descriptorOf(t, image)
	request := Request{Repository: address + "/team/app", Root: image, Artifacts: []Artifact{sbomOf(root, "one"), sbomOf(root, "two")}, Tags: []Tag{{"1.2.3", true}, {"latest", false}}}
	result, err := client.Push(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, 9, result.Blobs.Sent)

	began := time.Now()
	again, err := client.Push(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, Blobs{Skipped: 9}, again.Blobs)
	assert.Zero(t, again.Bytes.Sent)
	t.Logf("nothing changed: %s", time.Since(began).Round(time.Millisecond))

	for _, tag := range []string{":1.2.3", ":latest", "@" + root.Digest.String()} {
		found, err := client.Resolve(t.Context(), request.Repository+tag)
		require.NoError(t, err)
		assert.Equal(t, root, found)
	}
	found, err := client.Referrers(t.Context(), request.Repository, root.Digest, "application/vnd.cyclonedx+json")
	require.NoError(t, err)
	assert.Len(t, found, 2)

	request.Root = twoImages(t, 7, 100)
	request.Artifacts = nil
	_, err = client.Push(t.Context(), request)
	isType[*TagExistsError](t, err)

	mounted, err := client.Push(t.Context(), Request{Repository: address + "/team/other", Root: image, MountFrom: []string{request.Repository}})
	require.NoError(t, err)
	assert.Equal(t, Blobs{Mounted: 6}, mounted.Blobs)

	_, err = client.Resolve(t.Context(), request.Repository+":none")
	assert.True(t, NotFound(err), "%v", err)
	_, err = client.Resolve(t.Context(), address+"/team/none:none")
	assert.True(t, NotFound(err), "%v", err)
}

// The real registry, behind faults: what it makes of uploads that break off.
func TestDistributionBehindFaults(t *testing.T) {
	address := distribution(t)
	proxy := before(address)
	dice := &dice{rand: rand.New(rand.NewSource(1)), count: map[string]int{}}
	var received atomic.Int64
	over, end := context.WithCancel(t.Context())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &counting{r.Body, &received}
		if dice.roll(100) >= 30 {
			proxy.ServeHTTP(w, r)
			return
		}
		switch dice.roll(5) {
		case 0:
			status(http.StatusTooManyRequests)(w, r)
		case 1:
			status(http.StatusInternalServerError)(w, r)
		case 2:
			select { // nothing comes any more
			case <-r.Context().Done():
			case <-over.Done():
			}
			panic(http.ErrAbortHandler)
		case 3:
			r.Body = http.MaxBytesReader(nil, r.Body, r.ContentLength/2) // half of it gets there
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			reset(t, w)
		default:
			proxy.ServeHTTP(httptest.NewRecorder(), r) // it is done, and nobody hears of it
			reset(t, w)
		}
	}))
	server.Config.ErrorLog = discard()
	server.StartTLS()
	defer server.Close()
	defer end()
	client, err := New(Options{
		Transport: server.Client().Transport.(*http.Transport), Random: dice.float, Settle: 100 * time.Millisecond, Idle: 900 * time.Millisecond,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	require.NoError(t, err)
	defer client.Close()
	plain, err := New(Options{Hosts: map[string]Host{address: {PlainHTTP: true}}})
	require.NoError(t, err)
	defer plain.Close()
	var wanted int64
	for n := range int64(50) {
		image := twoImages(t, 100*n, 1<<18)
		root := descriptorOf(t, image)
		result, err := client.Push(t.Context(), Request{Repository: strings.TrimPrefix(server.URL, "https://") + "/team/app", Root: image, Artifacts: []Artifact{sbomOf(root, "one")}, Tags: []Tag{{"latest", false}}})
		require.NoError(t, err)
		wanted += result.Bytes.Total
		whole(t, plain, address+"/team/app", ":latest", root.Digest)
	}
	t.Logf("%d bytes received for %d (%.2f)", received.Load(), wanted, float64(received.Load())/float64(wanted))
	assert.LessOrEqual(t, float64(received.Load()), 1.5*float64(wanted))
}

type counting struct {
	rc interface {
		Read([]byte) (int, error)
		Close() error
	}
	n *atomic.Int64
}

func (c *counting) Close() error { return c.rc.Close() }
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.rc.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// whole reads all that is below a reference.
func whole(t *testing.T, client *Client, repository, reference string, want v1.Hash) {
	t.Helper()
	raw, found, err := client.Manifest(t.Context(), repository+reference)
	require.NoError(t, err)
	require.Equal(t, want, found.Digest)
	var manifest struct {
		Config            *v1.Descriptor
		Layers, Manifests []v1.Descriptor
	}
	unmarshal(t, raw, &manifest)
	for _, below := range manifest.Manifests {
		whole(t, client, repository, "@"+below.Digest.String(), below.Digest)
	}
	if manifest.Config != nil {
		manifest.Layers = append(manifest.Layers, *manifest.Config)
	}
	for _, layer := range manifest.Layers {
		_, err := client.Blob(t.Context(), repository, layer)
		require.NoError(t, err)
	}
}
