// Package traffic decides which instance a request goes to, and keeps count of what comes of it. It knows no proxy: the
// standard library is all it needs.
//
//	t := traffic.New(connect)
//	t.Split([]traffic.Share{{"blue", "127.0.0.1:20001", 90}, {"green", "127.0.0.1:20002", 10}})
//	exchange, ok := t.Begin()
//	defer exchange.End()
//	response, err := exchange.RoundTrip(request)
//
// It guarantees:
//
//   - A split takes effect with the next request: it is one atomic pointer.
//   - When Drain returns, no request is with that upstream, and none comes later while its share is 0.
//   - Shares are exact over every hundred requests.
package traffic

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keep is how many upstreams are remembered, for their counters.
const keep = 64

// Share is an upstream's part of the requests, in percent.
type Share struct {
	Name, Address string
	Weight        int
}

// Traffic is the instances of a service.
type Traffic struct {
	table    atomic.Pointer[table]
	turn     atomic.Uint64
	retiring atomic.Bool
	connect  func(address string) Pool
	started  time.Time

	mu    sync.Mutex
	known []*Upstream // in the order in which they were first seen
}

// table is a split: never changed, only replaced.
type table struct {
	shares    []Share
	upstreams []*Upstream
	order     []uint8 // indices of upstreams, one for each of a hundred requests; none when there are no upstreams
}

// New is traffic to no upstreams. connect makes the connections to one.
func New(connect func(address string) Pool) *Traffic {
	t := &Traffic{connect: connect, started: time.Now()}
	t.table.Store(&table{})
	return t
}

// Split replaces the shares, which add up to 100, or are none. Upstreams that are not among them any more keep what is in
// flight.
func (t *Traffic) Split(shares []Share) {
	next := &table{shares: slices.Clone(shares)}
	weights := make([]int, len(shares))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, share := range shares {
		next.upstreams = append(next.upstreams, t.find(share))
		weights[i] = share.Weight
	}
	if len(shares) > 0 {
		next.order = schedule(weights)
	}
	t.table.Store(next)
	t.forget(next)
}

// find is the upstream of a share, the one that was there before if there was one.
func (t *Traffic) find(share Share) *Upstream {
	for _, u := range t.known {
		if u.Name == share.Name && u.Address == share.Address {
			return u
		}
	}
	u := &Upstream{Name: share.Name, Address: share.Address, pool: t.connect(share.Address),
		clock: func() time.Duration { return time.Since(t.started) }, attempts: map[*attempt]struct{}{}}
	t.known = append(t.known, u)
	return u
}

// forget drops the oldest upstreams that nothing uses, when there are many.
func (t *Traffic) forget(current *table) {
	t.known = slices.DeleteFunc(t.known, func(u *Upstream) bool {
		return len(t.known) > keep && !slices.Contains(current.upstreams, u) && u.active() == 0
	})
}

// Begin chooses an upstream for a request. It is false when there is none.
func (t *Traffic) Begin() (*Exchange, bool) {
	first := t.enter(nil)
	return &Exchange{traffic: t, now: first}, first != nil
}

// enter chooses an upstream, none of those, and makes the request one of its own. It looks again after that: a request that
// entered after a split is one that a drain would not have seen. A request that is tried again takes no turn of another's.
func (t *Traffic) enter(tried []*Upstream) *attempt {
	turn := t.turn.Load()
	if len(tried) == 0 {
		turn = t.turn.Add(1)
	}
	for {
		current := t.table.Load()
		u := current.choose(turn, tried)
		if u == nil {
			return nil
		}
		a := u.enter()
		if t.table.Load() == current {
			return a
		}
		a.leave()
	}
}

// choose is the upstream whose turn it is, or the next in turn that was not tried.
func (t *table) choose(turn uint64, tried []*Upstream) *Upstream {
	for i := range uint64(len(t.order)) {
		u := t.upstreams[t.order[(turn+i)%rounds]]
		if !slices.Contains(tried, u) {
			return u
		}
	}
	return nil
}

// Weight is an upstream's share now, by name.
func (t *Traffic) Weight(name string) int {
	total := 0
	for _, share := range t.table.Load().shares {
		if share.Name == name {
			total += share.Weight
		}
	}
	return total
}

// Drain waits until no request is with the upstreams of a name, and cuts what is when the context's deadline is over. It gives what is in
// flight then, which is 0 unless a split gave them a share meanwhile, and how many were cut.
func (t *Traffic) Drain(ctx context.Context, name string) (active, cut int) {
	for _, u := range t.all() {
		if u.Name == name {
			cut += u.drain(ctx)
			active += u.active()
		}
	}
	return active, cut
}

// Retire makes every answer from now on the last on its connection.
func (t *Traffic) Retire() { t.retiring.Store(true) }

// Retiring says whether Retire was called.
func (t *Traffic) Retiring() bool { return t.retiring.Load() }

// Cut ends everything that is in flight, and says how much it was.
func (t *Traffic) Cut() int {
	cut := 0
	for _, u := range t.all() {
		cut += u.cutAll()
	}
	return cut
}

// Active is how many requests are in flight.
func (t *Traffic) Active() int {
	active := 0
	for _, u := range t.all() {
		active += u.active()
	}
	return active
}

// Figures are the counters of the upstreams that have a share, in its order, and of those that still have requests.
func (t *Traffic) Figures() []Figures {
	current := t.table.Load()
	all := make([]Figures, 0, len(current.upstreams))
	for i, u := range current.upstreams {
		all = append(all, u.figures(current.shares[i].Weight))
	}
	var rest []Figures
	for _, u := range t.all() {
		if f := u.figures(0); !slices.Contains(current.upstreams, u) && (f.Active > 0 || f.Draining) {
			rest = append(rest, f)
		}
	}
	slices.SortFunc(rest, func(a, b Figures) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address)) })
	return append(all, rest...)
}

func (t *Traffic) all() []*Upstream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.known)
}
