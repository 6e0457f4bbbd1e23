package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// host is a name that httptest's certificate is for.
const (
	host       = "example.com"
	repository = host + "/team/app"
)

// world is a registry, what goes wrong before it, and a network in memory that
// leads there: in the time of testing/synctest, waiting costs nothing.
type world struct {
	t       *testing.T
	backend http.Handler
	listen  *memoryListener
	server  *httptest.Server

	// fault sees every request, whose body has been read into memory when it is
	// called, and answers in place of the registry when it returns true.
	fault func(w http.ResponseWriter, r *http.Request) bool
	// early sees every request before its body is read.
	early func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests []string // "PUT /v2/…"
	received int64    // bytes of bodies
}

func newWorld(t *testing.T, options ...registry.Option) *world {
	t.Helper()
	if len(options) == 0 {
		options = []registry.Option{registry.WithReferrersSupport(true)}
	}
	quiet := log.New(io.Discard, "", 0)
	w := &world{t: t, backend: registry.New(append(options, registry.Logger(quiet))...), listen: newMemoryListener()}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(w.serve))
	w.server.Listener.Close()
	w.server.Listener = w.listen
	w.server.Config.ErrorLog = quiet
	w.server.StartTLS()
	t.Cleanup(func() { w.listen.cut(); w.server.Close() })
	return w
}

func (w *world) serve(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.requests = append(w.requests, r.Method+" "+r.URL.Path)
	w.mu.Unlock()
	r.Body = countedBody{r.Body, w}
	if w.early != nil && w.early(out, r) {
		return
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // half a body is no body
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	if w.fault != nil && w.fault(out, r) {
		return
	}
	w.backend.ServeHTTP(out, r)
}

type countedBody struct {
	io.ReadCloser
	w *world
}

func (c countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.received += int64(n)
	return n, err
}

// forget starts counting anew.
func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.received = nil, 0
}

func (w *world) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

func (w *world) bytes() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received
}

// count is how many requests contain all of the texts.
func (w *world) count(texts ...string) int {
	n := 0
	for _, request := range w.seen() {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(request, text) }) {
			n++
		}
	}
	return n
}

// transport trusts the world's certificate.
func (w *world) transport() *http.Transport {
	server := w.server.Client().Transport.(*http.Transport)
	return &http.Transport{DialContext: w.listen.dial, TLSClientConfig: server.TLSClientConfig.Clone(), ExpectContinueTimeout: time.Second}
}

// client is one with the world's network and dice that always show the same.
func (w *world) client(options Options) *Client {
	w.t.Helper()
	if options.Transport == nil {
		options.Transport = w.transport()
	}
	if options.Random == nil {
		options.Random = func() float64 { return 0.5 }
	}
	client, err := New(options)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { w.listen.cut(); client.Close() })
	return client
}

// ask asks the registry itself, beside all faults.
func (w *world) ask(path string) *httptest.ResponseRecorder {
	answer, question := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v2/team/app/"+path, nil)
	question.Header["Accept"] = []string{string(types.OCIImageIndex), string(types.OCIManifestSchema1), "*/*"}
	w.backend.ServeHTTP(answer, question)
	return answer
}

// digest is what a tag names, the empty one when that is nothing.
func (w *world) digest(tag string) v1.Hash {
	answer := w.ask("manifests/" + tag)
	if answer.Code != http.StatusOK {
		return v1.Hash{}
	}
	return hashOf(answer.Body.Bytes())
}

// complete asserts that all below a manifest is there.
func (w *world) complete(t *testing.T, reference string) {
	t.Helper()
	answer := w.ask("manifests/" + reference)
	require.Equal(t, http.StatusOK, answer.Code, reference)
	var manifest struct {
		Config            *v1.Descriptor
		Layers, Manifests []v1.Descriptor
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &manifest))
	for _, below := range manifest.Manifests {
		w.complete(t, below.Digest.String())
	}
	if manifest.Config != nil {
		manifest.Layers = append(manifest.Layers, *manifest.Config)
	}
	for _, layer := range manifest.Layers {
		found := w.ask("blobs/" + layer.Digest.String())
		require.Equal(t, http.StatusOK, found.Code, "blob %s of %s", layer.Digest, reference)
		require.Equal(t, layer.Digest, hashOf(found.Body.Bytes()))
	}
}

// memoryListener and its connections are a network without a kernel.
type memoryListener struct {
	connections chan net.Conn
	once        sync.Once
	closed      chan struct{}

	mu   sync.Mutex
	made []net.Conn
}

// cut ends all connections without a word. The farewell of TLS waits for the
// other side, with locks held that other goroutines wait for: in the time of
// testing/synctest, nobody would ever move again.
func (l *memoryListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, connection := range l.made {
		connection.Close()
	}
}

func newMemoryListener() *memoryListener {
	return &memoryListener{connections: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case connection := <-l.connections:
		return connection, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (l *memoryListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	l.mu.Lock()
	l.made = append(l.made, ours, theirs)
	l.mu.Unlock()
	select {
	case l.connections <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// imageOf is an image with random layers, the same for a seed.
func imageOf(t *testing.T, seed, size, layers int64) v1.Image {
	t.Helper()
	image, err := random.Image(size, layers, random.WithSource(rand.NewSource(seed)))
	require.NoError(t, err)
	return mutate.MediaType(image, types.OCIManifestSchema1)
}

// indexOf is an index of two of them.
func twoImages(t *testing.T, seed, size int64) v1.ImageIndex {
	t.Helper()
	return mutate.AppendManifests(mutate.IndexMediaType(emptyIndex(t), types.OCIImageIndex),
		mutate.IndexAddendum{Add: imageOf(t, seed, size, 2), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: imageOf(t, seed+1, size, 2), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
}

func emptyIndex(t *testing.T) v1.ImageIndex {
	t.Helper()
	index, err := random.Index(1, 1, 0)
	require.NoError(t, err)
	return index
}

type described interface {
	Digest() (v1.Hash, error)
	Size() (int64, error)
	MediaType() (types.MediaType, error)
}

func descriptorOf(t *testing.T, of described) v1.Descriptor {
	t.Helper()
	digest, err := of.Digest()
	require.NoError(t, err)
	size, err := of.Size()
	require.NoError(t, err)
	kind, err := of.MediaType()
	require.NoError(t, err)
	return v1.Descriptor{MediaType: kind, Size: size, Digest: digest}
}

// sbomOf is an artifact about something.
func sbomOf(subject v1.Descriptor, text string) Artifact {
	return Artifact{
		Type: "application/vnd.cyclonedx+json", Subject: subject, Annotations: map[string]string{"org.opencontainers.image.title": text},
		Parts: []Part{{MediaType: "application/vnd.cyclonedx+json", Data: []byte(fmt.Sprintf("{%q: 1}", text))}},
	}
}

// complain answers as registries do.
func complain(w http.ResponseWriter, status int, code, message string) bool {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
	return true
}

// kind sorts a request into the steps of a push.
func kind(request string) int {
	switch {
	case strings.Contains(request, "/blobs/"):
		return 1
	case strings.Contains(request, "/manifests/sha256:"):
		return 2
	case strings.Contains(request, "/referrers/"), strings.Contains(request, "/manifests/sha256-"):
		return 3
	}
	return 4
}

func isType[E error](t *testing.T, err error) E {
	t.Helper()
	var want E
	require.Error(t, err)
	assert.ErrorAs(t, err, &want, "%T: %v", err, err)
	return want
}

func unmarshal(t *testing.T, data []byte, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, into))
}
