// Package forgetest is a GitHub for tests: one repository's releases, as far as
// uploads need them, over real HTTP and with the habits that matter there.
//
//   - A draft has no address by tag, and one tag may have several drafts.
//   - An upload that breaks off leaves an asset in the state "starter", whose
//     name is taken.
//   - Names of assets lose what GitHub does not keep in them.
//   - Downloads are redirected to a storage on another host, which refuses a
//     request that carries the token.
//   - Publishing a draft makes its tag.
//
// Faults are scripted with [GitHub.Fault].
package forgetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Token is the one that the fake takes.
const Token = "ghp_s3cret/t+ken="

// Asset is a file of a release.
type Asset struct {
	ID      int64
	Name    string
	State   string // "uploaded" or "starter"
	Content []byte
}

// Release is a release or a draft.
type Release struct {
	ID         int64
	Tag        string
	Commit     string // target_commitish
	Name, Body string
	Draft      bool
	Prerelease bool
	Latest     string // make_latest
	Assets     []*Asset
}

// Fault is what happens to a request instead of an answer. The zero value closes
// the connection at once.
type Fault struct {
	Status int         // answered at once; 0: see below
	Header http.Header // of that answer
	Body   string
	Lost   bool   // the request is carried out, and its answer is lost
	Cut    bool   // the connection is closed in the middle of what is sent
	Stall  bool   // nothing happens until the client has gone
	Then   func() // is called when it has happened, before the client hears of it
}

// GitHub is a fake with the repository example/greeter. Its fields may be read
// and set while no request runs.
type GitHub struct {
	API         string // for forge.GitHubOptions
	Releases    []*Release
	Tags        map[string]string // tag to commit
	Commits     []string          // that were pushed
	HideDigests bool              // as older servers do
	PageSize    int               // at most so many in a list
	// Fault may give a fault for the nth request, counted from 1.
	Fault func(n int, r *http.Request) *Fault

	mu       sync.Mutex
	next     int64
	requests int
	received map[string]int // uploads that were complete, by name
	leaked   bool
	storage  *httptest.Server
}

// New starts a fake; stop ends it.
func New() (hub *GitHub, stop func()) {
	hub = &GitHub{Tags: map[string]string{}, PageSize: 100, next: 1000, received: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(hub.serve))
	hub.storage = httptest.NewServer(http.HandlerFunc(hub.serveStorage))
	hub.API = server.URL + "/api/v3"
	return hub, func() { server.Close(); hub.storage.Close() }
}

// Requests is how many requests there were.
func (g *GitHub) Requests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

// Received is how often a file was received completely.
func (g *GitHub) Received(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.received[name]
}

// Leaked says that the storage was sent a token.
func (g *GitHub) Leaked() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leaked
}

// Add puts a release there, as somebody else would.
func (g *GitHub) Add(r Release) *Release {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.ID = g.id()
	for _, a := range r.Assets {
		a.ID = g.id()
	}
	g.Releases = append(g.Releases, &r)
	return &r
}

// Release is the release of a tag that people see, nil when there is none.
func (g *GitHub) Release(tag string) *Release {
	for _, r := range g.Releases {
		if r.Tag == tag && !r.Draft {
			return r
		}
	}
	return nil
}

// Digest is how GitHub writes the digest of a content.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (g *GitHub) id() int64 {
	g.next++
	return g.next
}

func (g *GitHub) serve(w http.ResponseWriter, r *http.Request) {
	fault := g.fault(r)
	switch {
	case fault == nil:
		g.route(w, r)
		return
	case fault.Lost:
		g.route(httptest.NewRecorder(), r)
	case fault.Cut:
		g.cut(r)
	case fault.Stall:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	if fault.Then != nil {
		fault.Then()
	}
	if fault.Status == 0 {
		hangup(w)
		return
	}
	for key, values := range fault.Header {
		w.Header()[key] = values
	}
	http.Error(w, fault.Body, fault.Status)
}

func (g *GitHub) fault(r *http.Request) *Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests++
	if g.Fault == nil {
		return nil
	}
	return g.Fault(g.requests, r)
}

func hangup(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// cut reads the first half of an upload, whose asset stays a starter.
func (g *GitHub) cut(r *http.Request) {
	half := make([]byte, r.ContentLength/2)
	_, _ = io.ReadFull(r.Body, half)
	if found := uploadPath().FindStringSubmatch(r.URL.Path); found != nil {
		g.mu.Lock()
		if release := g.byID(found[1]); release != nil {
			release.Assets = append(release.Assets, &Asset{ID: g.id(), Name: stored(r.URL.Query().Get("name")), State: "starter"})
		}
		g.mu.Unlock()
	}
}

func uploadPath() *regexp.Regexp {
	return regexp.MustCompile(`^/api/uploads/repos/example/greeter/releases/(\d+)/assets$`)
}

// stored is a name as GitHub keeps it.
func stored(name string) string {
	return strings.Trim(regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(name, "."), ".")
}

func (g *GitHub) byID(id string) *Release {
	at := slices.IndexFunc(g.Releases, func(r *Release) bool { return fmt.Sprint(r.ID) == id })
	if at < 0 {
		return nil
	}
	return g.Releases[at]
}

// serveStorage is where downloads are redirected to.
func (g *GitHub) serveStorage(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		g.leaked = true
		http.Error(w, "only one way to authenticate is allowed", http.StatusBadRequest)
		return
	}
	if _, asset := g.asset(strings.TrimPrefix(r.URL.Path, "/")); asset != nil {
		_, _ = w.Write(asset.Content)
		return
	}
	http.NotFound(w, r)
}

func (g *GitHub) asset(id string) (*Release, *Asset) {
	for _, r := range g.Releases {
		for _, a := range r.Assets {
			if fmt.Sprint(a.ID) == id {
				return r, a
			}
		}
	}
	return nil, nil
}
