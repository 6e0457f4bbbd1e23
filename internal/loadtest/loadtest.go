// Package loadtest asks a server at a constant rate, whatever it answers, and counts every request that it lost. It is for
// tests alone.
//
//	load := loadtest.Start(t.Context(), loadtest.Plan{Address: "127.0.0.1:8080", Rate: 500})
//	// switch, upgrade, kill …
//	report := load.Stop()
//	require.Zero(t, report.Failed(), report)
//
// It is what a load test of a switch has to be:
//
//   - Open loop: a request is sent when it is due, not when the one before was answered, and its time counts from when it was due.
//   - Raw connections, old ones and new ones, with and without a body. Nothing is tried twice: what http.Transport would hide
//     (a connection that was closed while it was idle) is a failure here, as it is for clients that are simpler.
//   - Every reset, end, timeout, wrong status and short body counts.
package loadtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultRate    = 500
	defaultTimeout = 30 * time.Second
	defaultBody    = 2 << 10
	examples       = 5 // errors that a report shows
)

// Kind is a way of asking.
type Kind struct {
	Method    string // GET, or POST with a body
	KeepAlive bool   // over connections that are used again; else each request has a new one
}

func (k Kind) String() string {
	if k.KeepAlive {
		return k.Method + " keep-alive"
	}
	return k.Method + " new"
}

// Kinds are all four, in equal parts.
func Kinds() []Kind { return []Kind{{"GET", true}, {"GET", false}, {"POST", true}, {"POST", false}} }

// Plan says what is asked of whom. Address is needed.
type Plan struct {
	Address string        // host and port
	Rate    int           // requests a second, of all kinds together; 0 means 500
	Kinds   []Kind        // in turn, each once; none means Kinds
	Path    string        // "" means /
	Host    string        // "" means Address
	Body    int           // bytes of a POST; 0 means 2 KiB
	Timeout time.Duration // of one request, with its connection; 0 means 30 s
	// Check looks at the body of an answer. nil takes all.
	Check func(k Kind, body []byte) error
}

func (p Plan) settled() Plan {
	p.Rate, p.Path, p.Host = cmp.Or(p.Rate, defaultRate), cmp.Or(p.Path, "/"), cmp.Or(p.Host, p.Address)
	p.Body, p.Timeout = cmp.Or(p.Body, defaultBody), cmp.Or(p.Timeout, defaultTimeout)
	if len(p.Kinds) == 0 {
		p.Kinds = Kinds()
	}
	return p
}

// Load is requests on their way.
type Load struct {
	plan     Plan
	stop     context.CancelFunc
	sent     atomic.Int64
	waiting  atomic.Int64
	idle     pool
	open     atomic.Int64 // connections
	requests sync.WaitGroup
	done     chan struct{} // the last one was sent

	mu      sync.Mutex
	results map[Kind]*result
	failed  int
	errors  []Example
	began   time.Time
}

// Start begins to ask. The load ends with Stop, or with the context.
func Start(ctx context.Context, p Plan) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{plan: p.settled(), stop: stop, done: make(chan struct{}), results: map[Kind]*result{}, began: time.Now()}
	for _, k := range l.plan.Kinds {
		l.results[k] = &result{failures: map[string]int{}}
	}
	go l.pace(ctx)
	return l
}

// pace sends each request when it is due. Where this machine was too busy to, those that are late are sent at once.
func (l *Load) pace(ctx context.Context) {
	defer close(l.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := int64(0); ; i++ {
		due := l.began.Add(time.Duration(i) * time.Second / time.Duration(l.plan.Rate))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			return
		}
		kind := l.plan.Kinds[i%int64(len(l.plan.Kinds))]
		l.sent.Add(1)
		l.waiting.Add(1)
		l.requests.Go(func() {
			err := l.ask(kind)
			l.waiting.Add(-1)
			l.record(kind, due, err)
		})
	}
}

func (l *Load) record(k Kind, due time.Time, err error) {
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.results[k]
	r.latencies = append(r.latencies, took)
	if err == nil {
		return
	}
	l.failed++
	r.failures[class(err)]++
	if len(l.errors) < examples {
		l.errors = append(l.errors, Example{Kind: k, At: time.Since(l.began), Err: err.Error()})
	}
}

// Sent is how many requests were sent so far.
func (l *Load) Sent() int { return int(l.sent.Load()) }

// Waiting is how many requests have no answer yet.
func (l *Load) Waiting() int { return int(l.waiting.Load()) }

// Open is how many connections it has now.
func (l *Load) Open() int { return int(l.open.Load()) }

// Failed is how many requests have failed so far.
func (l *Load) Failed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Stop sends no more, waits for the answers that are missing, and says what came of it.
func (l *Load) Stop() Report {
	l.stop()
	<-l.done
	l.requests.Wait()
	l.idle.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	report := Report{Took: time.Since(l.began), Errors: slices.Clone(l.errors)}
	for _, k := range l.plan.Kinds {
		r := l.results[k]
		slices.Sort(r.latencies)
		report.Kinds = append(report.Kinds, KindReport{Kind: k, Requests: len(r.latencies), Failures: maps.Clone(r.failures),
			P50: share(r.latencies, 0.50), P99: share(r.latencies, 0.99), Max: share(r.latencies, 1)})
	}
	return report
}

// result is what came of one kind so far.
type result struct {
	latencies []time.Duration
	failures  map[string]int
}

func share(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(part*float64(len(sorted)-1))]
}
