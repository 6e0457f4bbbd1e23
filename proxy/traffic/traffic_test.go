package traffic

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pool answers as a function says.
type pool struct {
	answer func(*http.Request) (*http.Response, error)
	idle   *atomic.Int64
}

func (p pool) RoundTrip(r *http.Request) (*http.Response, error) { return p.answer(r) }
func (p pool) CloseIdleConnections() {
	if p.idle != nil {
		p.idle.Add(1)
	}
}

func answering(status int, body string) pool {
	return pool{answer: func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
	}}
}

func to(p Pool) func(string) Pool { return func(string) Pool { return p } }

func both(blue, green int) []Share {
	return []Share{{"blue", "127.0.0.1:1", blue}, {"green", "127.0.0.1:2", green}}
}

func request(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1/", nil)
	require.NoError(t, err)
	return r
}

// Whatever the weights are: in every hundred requests each upstream has exactly its share, and never one more than one request
// off from where it should be.
func TestScheduleIsExactAndEven(t *testing.T) {
	require.NoError(t, quick.Check(func(seed uint64) bool {
		random := rand.New(rand.NewPCG(seed, 1))
		weights := make([]int, 1+random.IntN(6))
		left := 100
		for i := range weights[1:] {
			weights[i+1] = random.IntN(left + 1)
			left -= weights[i+1]
		}
		weights[0] = left
		got := make([]int, len(weights))
		order := schedule(weights)
		for n, chosen := range order {
			got[chosen]++
			for i, weight := range weights {
				if off := float64(got[i]) - float64(weight)*float64(n+1)/100; off > 1.001*float64(len(weights)) || off < -1.001*float64(len(weights)) {
					return assert.Fail(t, "far off", "%v: %d has %d after %d", weights, i, got[i], n+1)
				}
			}
		}
		return assert.Len(t, order, 100) && assert.Equal(t, weights, got)
	}, nil))
}

func TestWindowQuantiles(t *testing.T) {
	var w window
	assert.Equal(t, []time.Duration{0, 0}, w.quantiles(5, nil, 0.5, 0.99), "without requests there is nothing to say")
	for i := range 100 {
		w.add(5, time.Duration(i+1)*time.Millisecond)
	}
	got := w.quantiles(5, nil, 0.5, 0.99)
	assert.InEpsilon(t, 50*time.Millisecond, got[0], 0.07)
	assert.InEpsilon(t, 99*time.Millisecond, got[1], 0.07)
	assert.Equal(t, got, w.quantiles(34, nil, 0.5, 0.99), "30 s are looked back at")
	assert.Equal(t, []time.Duration{0}, w.quantiles(35, nil, 0.99), "and no more")
	hanging := w.quantiles(5, []time.Duration{time.Minute, time.Minute, time.Minute}, 0.99)
	assert.InEpsilon(t, time.Minute, hanging[0], 0.07, "what waits counts")
}

func TestBucketsHoldWhatTheySay(t *testing.T) {
	require.NoError(t, quick.Check(func(us uint32) bool {
		latency := time.Duration(us) * time.Microsecond
		top := ceiling(bucket(latency))
		return assert.GreaterOrEqual(t, top, latency) && assert.LessOrEqual(t, float64(top), float64(latency)*17/16+float64(time.Microsecond))
	}, nil))
	assert.Equal(t, buckets-1, bucket(1<<62))
}

func TestCountersTellUpstreamsApart(t *testing.T) {
	pools := map[string]Pool{"127.0.0.1:1": answering(200, "ok"), "127.0.0.1:2": answering(500, "no")}
	traffic := New(func(address string) Pool { return pools[address] })
	traffic.Split(both(90, 10))
	for range 100 {
		x, ok := traffic.Begin()
		require.True(t, ok)
		response, err := x.RoundTrip(request(t))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		x.End()
	}
	got := traffic.Figures()
	assert.Equal(t, []uint64{90, 10}, []uint64{got[0].Requests, got[1].Requests})
	assert.Equal(t, []uint64{0, 10}, []uint64{got[0].Errors, got[1].Errors})
	assert.Equal(t, "answered 500", got[1].LastError)
	assert.Zero(t, traffic.Active())

	traffic.Split(both(0, 100))
	traffic.Split(both(50, 50))
	assert.EqualValues(t, 90, traffic.Figures()[0].Requests, "counters outlive a split")
}

func TestWhatIsAnError(t *testing.T) {
	refused := errors.New("connection refused")
	short := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{io.ErrUnexpectedEOF}))}, nil
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, c := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		client context.Context
		errors uint64
		last   string
	}{
		"refused":                {func(*http.Request) (*http.Response, error) { return nil, refused }, t.Context(), 1, "connection refused"},
		"short body":             {short, t.Context(), 1, "its answer ended early: unexpected EOF"},
		"404":                    {answering(404, "").answer, t.Context(), 0, ""},
		"503":                    {answering(503, "").answer, t.Context(), 1, "answered 503"},
		"client gone":            {func(*http.Request) (*http.Response, error) { return nil, context.Canceled }, gone, 0, ""},
		"client gone, in a body": {short, gone, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			traffic := New(to(pool{answer: c.answer}))
			traffic.Split(both(100, 0))
			x, _ := traffic.Begin()
			if response, err := x.RoundTrip(request(t).WithContext(c.client)); err == nil {
				_, _ = io.ReadAll(response.Body)
				response.Body.Close()
			}
			x.End()
			got := traffic.Figures()[0]
			assert.Equal(t, c.errors, got.Errors)
			assert.Equal(t, c.last, got.LastError)
			assert.EqualValues(t, 1, got.Requests)
		})
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// A body that the client does not send to its end says nothing about the instance.
func TestClientsThatFail(t *testing.T) {
	traffic := New(to(pool{answer: func(r *http.Request) (*http.Response, error) {
		_, err := io.ReadAll(r.Body)
		return nil, err
	}}))
	traffic.Split(both(100, 0))
	x, _ := traffic.Begin()
	r := request(t)
	r.Body = io.NopCloser(broken{io.ErrUnexpectedEOF})
	_, err := x.RoundTrip(r)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.ErrorIs(t, x.ClientError(), io.ErrUnexpectedEOF)
	assert.Zero(t, traffic.Figures()[0].Errors)
}

// A request that failed goes to another instance, once each, and is counted where it was.
func TestAgainTriesEachInstanceOnce(t *testing.T) {
	traffic := New(to(pool{answer: func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }}))
	traffic.Split(both(60, 40))
	x, _ := traffic.Begin()
	first := x.Upstream()
	assert.False(t, x.Tried())
	_, err := x.RoundTrip(request(t))
	require.Error(t, err)
	assert.True(t, x.Tried())
	require.True(t, x.Again())
	assert.NotEqual(t, first, x.Upstream())
	assert.False(t, x.Tried())
	assert.Equal(t, 1, traffic.Active())
	_, err = x.RoundTrip(request(t))
	require.Error(t, err)
	assert.False(t, x.Again())
	x.End()
	assert.Zero(t, traffic.Active())
	for _, f := range traffic.Figures() {
		assert.EqualValues(t, 1, f.Errors)
	}
}

// However often a canary fails, it gets its share and no more.
func TestTryingAgainChangesNoShares(t *testing.T) {
	pools := map[string]Pool{"127.0.0.1:1": answering(200, "ok"), "127.0.0.1:2": pool{answer: func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }}}
	traffic := New(func(address string) Pool { return pools[address] })
	traffic.Split(both(90, 10))
	for range 1000 {
		x, _ := traffic.Begin()
		if _, err := x.RoundTrip(request(t)); err != nil {
			require.True(t, x.Again())
			_, err = x.RoundTrip(request(t))
			require.NoError(t, err)
		}
		x.End()
	}
	got := traffic.Figures()
	assert.Equal(t, []uint64{1000, 100}, []uint64{got[0].Requests, got[1].Requests})
}

func TestNobodyToAsk(t *testing.T) {
	traffic := New(to(answering(200, "")))
	_, ok := traffic.Begin()
	assert.False(t, ok)
	traffic.Split(both(100, 0))
	_, ok = traffic.Begin()
	assert.True(t, ok)
	traffic.Split(nil)
	_, ok = traffic.Begin()
	assert.False(t, ok)
	assert.Equal(t, 1, traffic.Figures()[0].Active, "what is in flight is shown as long as it is")
}

// After a drain, no request is with the instance: while clients ask and the split moves back and forth.
func TestNothingIsInFlightAfterADrain(t *testing.T) {
	var with [2]atomic.Int64
	connect := func(address string) Pool {
		i := int(address[len(address)-1] - '1')
		return pool{answer: func(*http.Request) (*http.Response, error) {
			with[i].Add(1)
			defer with[i].Add(-1)
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}}
	}
	traffic := New(connect)
	traffic.Split(both(100, 0))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				x, ok := traffic.Begin()
				if assert.True(t, ok) {
					_, err := x.RoundTrip(request(t))
					assert.NoError(t, err)
					x.End()
				}
			}
		})
	}
	for round := range 200 {
		names := []string{"blue", "green"}
		old := round % 2
		traffic.Split(both(old*100, 100-old*100))
		active, cut := traffic.Drain(t.Context(), names[old])
		require.Zero(t, active)
		require.Zero(t, cut)
		require.Zero(t, with[old].Load(), "round %d", round)
	}
	close(stop)
	clients.Wait()
}

// A stream is cut when the time is over, and counted; another instance's streams go on.
func TestDrainCutsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		idle := &atomic.Int64{}
		traffic := New(to(pool{idle: idle, answer: func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: stream{r.Context(), make(chan struct{})}}, nil
		}}))
		traffic.Split(both(50, 50))
		ends := map[string]chan error{}
		for range 2 {
			x, _ := traffic.Begin()
			response, err := x.RoundTrip(request(t))
			require.NoError(t, err)
			end := make(chan error, 1)
			ends[x.Upstream().Name] = end
			go func() {
				defer x.End()
				_, err := io.ReadAll(response.Body)
				end <- err
			}()
		}
		traffic.Split(both(0, 100))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		active, cut := traffic.Drain(ctx, "blue")
		assert.Equal(t, 10*time.Second, time.Since(began))
		assert.Zero(t, active)
		assert.Equal(t, 1, cut)
		assert.ErrorIs(t, <-ends["blue"], ErrCut)
		assert.EqualValues(t, 1, idle.Load(), "no connection stays open")
		blue, green := traffic.Figures()[0], traffic.Figures()[1]
		assert.EqualValues(t, 1, blue.Cut)
		assert.Zero(t, blue.Errors, "the instance did nothing wrong")
		assert.Equal(t, 1, green.Active)
		traffic.Cut()
		assert.ErrorIs(t, <-ends["green"], ErrCut)
	})
}

// stream is a body without an end.
type stream struct {
	ctx    context.Context
	closed chan struct{}
}

func (s stream) Read([]byte) (int, error) {
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-s.closed:
		return 0, http.ErrBodyReadAfterClose
	}
}

func (s stream) Close() error {
	close(s.closed)
	return nil
}

// Who asks for a drain and goes away cuts nothing.
func TestDrainOfNobody(t *testing.T) {
	traffic := New(to(answering(200, "")))
	traffic.Split(both(100, 0))
	x, _ := traffic.Begin()
	traffic.Split(both(0, 100))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	active, cut := traffic.Drain(ctx, "blue")
	assert.Equal(t, 1, active)
	assert.Zero(t, cut)
	x.End()
}

// A request that hangs shows in the percentiles, or a canary that never answers would look well.
func TestHangingRequestsShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traffic := New(to(pool{answer: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}))
		traffic.Split(both(100, 0))
		x, _ := traffic.Begin()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := x.RoundTrip(request(t))
			assert.ErrorIs(t, err, ErrCut)
			x.End()
		}()
		time.Sleep(10 * time.Second)
		assert.InEpsilon(t, 10*time.Second, traffic.Figures()[0].P99, 0.07)
		traffic.Cut()
		<-done
	})
}

func TestFewUpstreamsAreRemembered(t *testing.T) {
	traffic := New(to(answering(200, "")))
	for i := range 10 * keep {
		traffic.Split([]Share{{"blue", "127.0.0.1:" + string(rune('a'+i)), 100}})
	}
	assert.LessOrEqual(t, len(traffic.known), keep+1)
}
