package traffic

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// patience is when a request without an answer starts to count among the latencies: an upstream that hangs has no other.
const patience = time.Second

// Pool is the connections to one upstream.
type Pool interface {
	http.RoundTripper
	CloseIdleConnections()
}

// Upstream is one instance that requests go to, and what is known of it since this process first saw it.
type Upstream struct {
	Name, Address string

	pool  Pool
	clock func() time.Duration

	mu       sync.Mutex
	attempts map[*attempt]struct{} // in flight, WebSockets and event streams included
	idle     chan struct{}         // closed when none are; nil while nobody waits for that
	draining int                   // calls of drain
	requests uint64
	errors   uint64
	cut      uint64
	last     string
	window   window
}

// Figures are an upstream's counters.
type Figures struct {
	Name, Address string
	Weight        int
	Draining      bool
	Active        int
	Requests      uint64
	Errors        uint64
	Cut           uint64
	P50, P99      time.Duration
	LastError     string
}

// attempt is one request that is with an upstream.
type attempt struct {
	upstream *Upstream
	sent     time.Duration
	waiting  bool // sent, and not answered
	cut      bool
	abort    func()
}

func (u *Upstream) enter() *attempt {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := &attempt{upstream: u}
	u.attempts[a] = struct{}{}
	return a
}

func (a *attempt) leave() {
	u := a.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.attempts, a)
	u.tellIdle()
}

func (u *Upstream) tellIdle() {
	if len(u.attempts) == 0 && u.idle != nil {
		close(u.idle)
		u.idle = nil
	}
}

// empty is closed when nothing is in flight.
func (u *Upstream) empty() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.idle == nil {
		u.idle = make(chan struct{})
	}
	idle := u.idle
	u.tellIdle()
	return idle
}

// drain waits until nothing is in flight, and cuts what is when the time is over. Where whoever asked is gone before that,
// nothing is cut.
func (u *Upstream) drain(ctx context.Context) (cut int) {
	u.locked(func() { u.draining++ })
	defer u.locked(func() { u.draining-- })
	select {
	case <-u.empty():
	case <-ctx.Done():
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return 0
		}
		cut = u.cutAll()
	}
	u.pool.CloseIdleConnections()
	return cut
}

// cutAll ends what is in flight: the upstream has nothing more to do with it, whatever its clients do.
func (u *Upstream) cutAll() int {
	u.mu.Lock()
	list := slices.Collect(maps.Keys(u.attempts))
	var aborts []func()
	for _, a := range list {
		a.cut, a.waiting = true, false
		if a.abort != nil {
			aborts = append(aborts, a.abort)
		}
	}
	u.cut += uint64(len(list))
	clear(u.attempts)
	u.tellIdle()
	u.mu.Unlock()
	for _, abort := range aborts {
		abort()
	}
	return len(list)
}

func (u *Upstream) locked(change func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change()
}

func (u *Upstream) active() (n int) {
	u.locked(func() { n = len(u.attempts) })
	return n
}

func (u *Upstream) figures(weight int) Figures {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.clock()
	var waiting []time.Duration
	for a := range u.attempts {
		if age := now - a.sent; a.waiting && age >= patience {
			waiting = append(waiting, age)
		}
	}
	found := u.window.quantiles(int64(now/time.Second), waiting, 0.50, 0.99)
	return Figures{Name: u.Name, Address: u.Address, Weight: weight, Draining: u.draining > 0, Active: len(u.attempts),
		Requests: u.requests, Errors: u.errors, Cut: u.cut, P50: found[0], P99: found[1], LastError: u.last}
}
