package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// Client talks to registries. It may be used by several goroutines.
type Client struct {
	options Options
	routes  *routes
	http    *http.Client

	mu        sync.Mutex
	endpoints map[string]*endpoint

	telling sync.Mutex // of progress and tries: the callbacks are called one at a time
}

// New makes a client. An error is about a file of certificates.
func New(o Options) (*Client, error) {
	o = o.settled()
	routes, err := newRoutes(o)
	if err != nil {
		return nil, err
	}
	return &Client{options: o, routes: routes, http: &http.Client{Transport: routes}, endpoints: map[string]*endpoint{}}, nil
}

// Close ends the connections that are kept for later.
func (c *Client) Close() { c.routes.closeIdle() }

// endpoint is one registry: what it wants to be shown, and when it wants to be
// left alone.
type endpoint struct {
	registry name.Registry
	host     string
	scheme   string
	redactor redactor

	mu           sync.Mutex
	until        time.Time
	because      error
	expectsFails bool

	login chan struct{} // holds one token: who has it may change what is below
	known login
}

func (c *Client) endpoint(registry name.Registry) *endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	host := registry.RegistryStr()
	if e, ok := c.endpoints[host]; ok {
		return e
	}
	e := &endpoint{registry: registry, host: host, scheme: c.routes.scheme(host), login: make(chan struct{}, 1)}
	e.known.tokens = map[string]string{}
	c.endpoints[host] = e
	return e
}

func (e *endpoint) quiet() (until time.Time, because error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.until, e.because
}

// keepQuiet notes that the registry asks all of us to wait.
func (e *endpoint) keepQuiet(until time.Time, because error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if until.After(e.until) {
		e.until, e.because = until, because
	}
}

// What a session may do, as scopes of tokens.
const (
	pushScope = "push,pull"
	pullScope = "pull"
)

// session is some work on one repository, with one deadline.
type session struct {
	client     *Client
	endpoint   *endpoint
	repository name.Repository
	scopes     []string
	began, end time.Time
}

// begin starts a session. allowance is time beyond the deadline.
func (c *Client) begin(ctx context.Context, repository name.Repository, action string, allowance time.Duration) (*session, context.Context, context.CancelFunc) {
	now := c.options.Now()
	limit := c.options.Deadline + allowance
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errDeadline)
	s := &session{
		client: c, endpoint: c.endpoint(repository.Registry), repository: repository,
		scopes: []string{repository.Scope(action)}, began: now, end: now.Add(limit),
	}
	return s, ctx, cancel
}

// parseRepository reads the name of a repository. The registry is never
// guessed: what was meant for a company's own would go to a public one.
func parseRepository(text string) (name.Repository, error) {
	host, _, ok := strings.Cut(text, "/")
	if !ok || !strings.ContainsAny(host, ".:") {
		return name.Repository{}, fmt.Errorf("repository %q names no registry: write it as registry.example.org/team/app", text)
	}
	repository, err := name.NewRepository(text, name.StrictValidation)
	if err != nil {
		return name.Repository{}, fmt.Errorf("repository %q: %w", text, err)
	}
	return repository, nil
}

func (c *Client) retried(r Retry) {
	if c.options.OnRetry == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	c.options.OnRetry(r)
}
