package command_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	fake "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/release/forge/forgetest"
)

// killedWorkers is how many runs are killed at the same time.
const killedWorkers = 2

// R7, for the whole command: slipway publish is killed between its requests to the registry and to the forge, one run for each
// place where something has changed since the one before ("make soak" takes every request). The tag that was there stays valid, a
// tag that is new has all that belongs to it, nobody sees half a release, and the next run completes both.
func TestPublishKilledBetweenRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	first := newPublisher(t)
	first.start(t)
	require.NoError(t, first.publish(t, 0), first.said)
	places := first.places(os.Getenv("SLIPWAY_SOAK") != "")
	first.whole(t)
	assert.Greater(t, len(places), 25, "registry and forge together")

	points := make(chan int, len(places))
	for _, at := range places {
		points <- at
	}
	close(points)
	var all sync.WaitGroup
	for range killedWorkers {
		p := newPublisher(t)
		all.Go(func() {
			for at := range points {
				p.start(t)
				if !p.isKilled(t, at) || t.Failed() {
					return
				}
			}
		})
	}
	all.Wait()
	said := fmt.Sprintf("Killed at %d of %d requests.\n", len(places), len(first.methods))
	t.Log(said)
	if !t.Failed() {
		writeTable(t, "publish.md", said)
	}
}

// publisher is a project, the registry and the forge that it is published to, and a key.
type publisher struct {
	dir, public string
	env         []string
	server      *httptest.Server

	mu           sync.Mutex
	backend      http.Handler
	hub          *forgetest.GitHub
	requests, at int
	methods      []string // of all requests of the run
	kill         func()
	ended        chan struct{}
	old          string // digest
	said         string
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{dir: filepath.Join(t.TempDir(), "hello")}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(p.server.Close)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	p.public = filepath.Join(t.TempDir(), "public.pem")
	require.NoError(t, os.WriteFile(p.public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644))
	p.env = append(os.Environ(), "CI=true", "DOCKER_CONFIG="+t.TempDir(), "GITHUB_TOKEN="+forgetest.Token, "GOVULNDB=http://127.0.0.1:1",
		"SIGNING_KEY="+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	for file, text := range map[string]string{
		"go.mod":       "module example.com/hello\n\ngo 1.25\n",
		"main.go":      "// Command hello greets.\npackage main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") }\n",
		"slipway.yaml": "version: 1\nverify: {race: false}\napps:\n  - name: hello\n    targets: [linux/amd64]\n    image: {repository: " + p.host() + "/team/hello, latest: true}\npublish:\n  sign: {key: env://SIGNING_KEY}\n  github: {repository: example/greeter}\n  registries: {\"" + p.host() + "\": {http: true}}\n",
		".gitignore":   "dist/\n",
	} {
		require.NoError(t, os.MkdirAll(p.dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, file), []byte(text), 0o644))
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"commit", "-q", "-m", "all of it"}, {"tag", "v1.2.3"}} {
		p.git(t, args...)
	}
	return p
}

func (p *publisher) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-02-03T04:05:06Z", "GIT_COMMITTER_DATE=2026-02-03T04:05:06Z")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (p *publisher) host() string { return strings.TrimPrefix(p.server.URL, "http://") }

// start empties registry and forge, and puts an older release there.
func (p *publisher) start(t *testing.T) {
	t.Helper()
	hub, stop := forgetest.New()
	t.Cleanup(stop)
	hub.Commits = []string{p.git(t, "rev-parse", "HEAD")}
	hub.Fault = func(_ int, r *http.Request) *forgetest.Fault {
		if p.counts(r) {
			return &forgetest.Fault{Then: p.dies}
		}
		return nil
	}
	p.mu.Lock()
	p.hub, p.backend, p.kill = hub, fake.New(fake.Logger(log.New(io.Discard, "", 0)), fake.WithReferrersSupport(true)), nil
	p.mu.Unlock()
	old, err := random.Index(1000, 1, 1)
	require.NoError(t, err)
	client := p.client(t)
	defer client.Close()
	pushed, err := client.Push(t.Context(), registry.Request{Repository: p.repository(), Root: old, Tags: []registry.Tag{{Name: "latest"}}})
	require.NoError(t, err)
	p.old = pushed.Root.Digest.String()
}

func (p *publisher) repository() string { return p.host() + "/team/hello" }

func (p *publisher) client(t *testing.T) *registry.Client {
	t.Helper()
	client, err := registry.New(registry.Options{Hosts: map[string]registry.Host{p.host(): {PlainHTTP: true}}})
	require.NoError(t, err)
	return client
}

// counts counts a request, and says whether this is the one.
func (p *publisher) counts(r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kill == nil {
		return false
	}
	p.requests++
	p.methods = append(p.methods, r.Method)
	return p.requests == p.at
}

// places are the requests at which to kill: all, or the first and each that comes after a change.
func (p *publisher) places(all bool) (found []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.methods {
		if all || i == 0 || (p.methods[i-1] != http.MethodGet && p.methods[i-1] != http.MethodHead) {
			found = append(found, i+1)
		}
	}
	return found
}

// dies kills the run, and waits until it is gone.
func (p *publisher) dies() {
	p.kill()
	<-p.ended
}

func (p *publisher) serve(w http.ResponseWriter, r *http.Request) {
	if p.counts(r) {
		p.dies()
		panic(http.ErrAbortHandler)
	}
	p.backend.ServeHTTP(w, r)
}

// publish runs the command and kills it at one request; at 0 leaves it alone.
func (p *publisher) publish(t *testing.T, at int) error {
	t.Helper()
	cmd := p.command("publish", "-C", p.dir, "--engine", "embedded")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out // a file: what the run started may hold on to it longer than the run
	p.mu.Lock()
	require.NoError(t, cmd.Start())
	p.requests, p.at, p.methods, p.ended = 0, at, nil, make(chan struct{})
	p.kill = func() { _ = cmd.Process.Kill() }
	p.mu.Unlock()
	err = cmd.Wait()
	close(p.ended)
	p.mu.Lock()
	p.kill = nil
	p.mu.Unlock()
	said, readErr := os.ReadFile(out.Name())
	require.NoError(t, readErr)
	p.said = string(said)
	return err
}

func (p *publisher) command(args ...string) *exec.Cmd {
	cmd := exec.Command("slipway", args...)
	cmd.Env = append(p.env, "GITHUB_API_URL="+p.hub.API)
	return cmd
}

// isKilled kills a run at one request, looks at what it leaves, and lets the next one complete it. It says whether to go on.
func (p *publisher) isKilled(t *testing.T, at int) bool {
	t.Helper()
	if !assert.Error(t, p.publish(t, at), "request %d: the run ended before", at) {
		return false
	}
	for _, tag := range p.tags(t) {
		if digest := p.digest(t, tag); digest != "" && digest != p.old {
			assert.NoError(t, p.verify(digest), "request %d: a tag that is there has all that belongs to it", at)
		} else if tag == "latest" {
			assert.NoError(t, p.fetch(t, tag), "request %d: what was published before", at)
		}
	}
	if p.hub.Release("v1.2.3") != nil {
		p.released(t)
	}
	if !assert.NoError(t, p.publish(t, 0), "request %d: the next run completes it: %s", at, p.said) {
		return false
	}
	p.whole(t)
	return true
}

func (p *publisher) tags(t *testing.T) []string {
	t.Helper()
	return []string{"latest", "1.2.3", "1.2", p.git(t, "rev-parse", "--short=12", "HEAD")}
}

func (p *publisher) digest(t *testing.T, tag string) string {
	t.Helper()
	client := p.client(t)
	defer client.Close()
	found, err := client.Resolve(t.Context(), p.repository()+":"+tag)
	if err != nil {
		require.True(t, registry.NotFound(err), "%v", err)
		return ""
	}
	return found.Digest.String()
}

// fetch gets all of an image, which looks at every digest.
func (p *publisher) fetch(t *testing.T, tag string) error {
	t.Helper()
	client := p.client(t)
	defer client.Close()
	_, err := client.Fetch(t.Context(), p.repository()+":"+tag, t.TempDir())
	return err
}

// verify proves a release as users do.
func (p *publisher) verify(digest string) error {
	cmd := p.command("verify-release", p.repository()+"@"+digest, "--key", p.public, "-C", p.dir)
	return cmd.Run()
}

// whole says that all has been published.
func (p *publisher) whole(t *testing.T) {
	t.Helper()
	digest := p.digest(t, "1.2.3")
	for _, tag := range p.tags(t) {
		assert.Equal(t, digest, p.digest(t, tag), tag)
	}
	assert.NotEqual(t, p.old, digest)
	assert.NoError(t, p.verify(digest))
	p.released(t)
}

func (p *publisher) released(t *testing.T) {
	t.Helper()
	release := p.hub.Release("v1.2.3")
	if !assert.NotNil(t, release) {
		return
	}
	assert.False(t, release.Draft)
	var names []string
	for _, asset := range release.Assets {
		names = append(names, asset.Name)
		assert.Equal(t, "uploaded", asset.State, asset.Name)
	}
	assert.ElementsMatch(t, []string{"hello_1.2.3_linux_amd64.tar.gz", "hello_linux_amd64.cdx.json", "hello_image.cdx.json", "checksums.txt"}, names)
}
