package registry

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The child of TestKilledPush finds here what it pushes to, as address and file
// of certificates.
const killedAt = "SLIPWAY_TEST_KILLED_AT"

// killer is a registry that kills the one who pushes when a request comes, or
// when it has done what the request asks for, so that the answer is lost.
type killer struct {
	world *world // its backend and its questions
	after bool

	mu    sync.Mutex
	at, n int
	kill  func() error
	ended chan struct{}
}

func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.n++
	reached, kill := k.n == k.at, k.kill
	k.mu.Unlock()
	if !reached {
		k.world.serve(w, r)
		return
	}
	if k.after {
		k.world.serve(httptest.NewRecorder(), r)
	}
	_ = kill()
	<-k.ended
	panic(http.ErrAbortHandler)
}

// R7: a push that is killed at any request leaves the old tag valid, or the new
// one with all that belongs to it, and the next push completes it.
func TestKilledPush(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process for each request of a push")
	}
	inProcess := func(referrers bool) func(*testing.T) http.Handler {
		return func(*testing.T) http.Handler {
			return registry.New(registry.Logger(discard()), registry.WithReferrersSupport(referrers))
		}
	}
	program := buildDistribution(t)
	real := func(t *testing.T) http.Handler { return before(startDistribution(t, program)) }
	for name, c := range map[string]struct {
		after   bool
		backend func(*testing.T) http.Handler
	}{
		"before the request":              {false, inProcess(true)},
		"before the answer":               {true, inProcess(false)},
		"distribution before the request": {false, real},
		"distribution before the answer":  {true, real},
	} {
		t.Run(name, func(t *testing.T) {
			points := 1
			for over := false; !over; points++ {
				require.Less(t, points, 100)
				t.Run(fmt.Sprintf("at %d", points), func(t *testing.T) { over = survives(t, points, c.after, c.backend(t)) })
				require.False(t, t.Failed())
			}
			t.Logf("killed at each of %d requests", points-2)
			assert.Greater(t, points, 16)
		})
	}
}

// survives kills a push at one request. It says whether the push was over before.
func survives(t *testing.T, at int, after bool, backend http.Handler) bool {
	t.Helper()
	k := &killer{after: after, at: -1, ended: make(chan struct{})}
	k.world = &world{t: t, backend: backend}
	server := httptest.NewUnstartedServer(k)
	server.Config.ErrorLog = discard()
	server.StartTLS()
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644))
	address := strings.TrimPrefix(server.URL, "https://")
	old, fresh := imageOf(t, 1, 100, 1), imageOf(t, 2, 100, 1)
	require.NoError(t, killable(t, address, authority, old))
	k.world.forget()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	child.Env = append(os.Environ(), killedAt+"="+address+" "+authority)
	k.mu.Lock()
	require.NoError(t, child.Start())
	k.n, k.at, k.kill = 0, at, child.Process.Kill
	k.mu.Unlock()
	err := child.Wait()
	close(k.ended)
	server.CloseClientConnections()
	k.world.complete(t, "latest")
	now, want := k.world.digest("latest"), descriptorOf(t, fresh).Digest
	assert.Contains(t, []v1.Hash{descriptorOf(t, old).Digest, want}, now)

	k.mu.Lock()
	over := k.n < at
	k.mu.Unlock()
	assert.Equal(t, over, err == nil, "%v", err)
	require.NoError(t, killable(t, address, authority, fresh))
	assert.Equal(t, want, k.world.digest("latest"))
	k.world.complete(t, "latest")
	assert.Equal(t, 2, k.world.count("PUT", "/blobs/"), "both together send the new layer and configuration once")
	return over
}

// killable pushes an image with something about it.
func killable(t *testing.T, address, authority string, image v1.Image) error {
	t.Helper()
	client, err := New(Options{Hosts: map[string]Host{address: {CAFile: authority}}, Jobs: 1, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	require.NoError(t, err)
	defer client.Close()
	root := descriptorOf(t, image)
	_, err = client.Push(t.Context(), Request{Repository: address + "/team/app", Root: image, Artifacts: []Artifact{sbomOf(root, "sbom")}, Tags: []Tag{{root.Digest.Hex[:12], true}, {"latest", false}}})
	if err != nil {
		return err
	}
	found, err := client.Referrers(t.Context(), address+"/team/app", root.Digest, "")
	assert.Len(t, found, 1)
	return err
}

func TestKilledChild(t *testing.T) {
	address, authority, ok := strings.Cut(os.Getenv(killedAt), " ")
	if !ok {
		t.Skip("TestKilledPush starts it")
	}
	require.NoError(t, killable(t, address, authority, imageOf(t, 2, 100, 1)))
}
