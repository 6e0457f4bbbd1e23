package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func contextWithCancelAfter(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(d, func() { cancel(errors.New("interrupted")) })
	return ctx, func() { timer.Stop(); cancel(nil) }
}

// failing pushes a small image through a fault that meets the first requests of
// one kind, and tells the waits before further tries.
func failing(t *testing.T, match string, times int, fault func(out http.ResponseWriter, r *http.Request) bool) (*world, []time.Duration, error) {
	t.Helper()
	w := newWorld(t)
	met := 0
	w.fault = func(out http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Method+" "+r.URL.Path, match) || met >= times {
			return false
		}
		met++
		return fault(out, r)
	}
	var waits []time.Duration
	_, err := w.client(Options{Jobs: 1, OnRetry: func(r Retry) { waits = append(waits, r.Wait) }}).
		Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 2*small, 1), Tags: []Tag{{"a", false}}})
	return w, waits, err
}

func status(status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(out http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i < len(header); i += 2 {
			out.Header().Set(header[i], header[i+1])
		}
		return complain(out, status, "UNAVAILABLE", "come back later")
	}
}

// R2: as long as the registry asks for, but no longer than a minute; the dice
// show one half, so that a quarter of a second is added.
func TestRetryAfter(t *testing.T) {
	const little = 250 * time.Millisecond
	for header, want := range map[string]time.Duration{
		"7":                     7*time.Second + little,
		"60":                    60*time.Second + little,
		"3600":                  60*time.Second + little,
		"99999999999999999999":  60*time.Second + little,
		"9223372036854775807":   60*time.Second + little,
		"in 5 seconds":          10*time.Second + little,
		"in 2 hours":            60*time.Second + little,
		"an hour ago":           little,
		"-5":                    little,
		"0":                     little,
		"soon":                  little,
		"1.5":                   little,
		"":                      little,
		"Mon, 99 Foo 2000 00:0": little,
	} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w, waits, err := failing(t, "POST", 1, func(out http.ResponseWriter, r *http.Request) bool {
					value := header
					switch header {
					case "in 5 seconds":
						value = time.Now().Add(10 * time.Second).UTC().Format(http.TimeFormat)
					case "in 2 hours":
						value = time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat)
					case "an hour ago":
						value = time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
					}
					return status(http.StatusTooManyRequests, "Retry-After", value)(out, r)
				})
				require.NoError(t, err)
				assert.Equal(t, []time.Duration{want}, waits)
				assert.Equal(t, want, time.Since(began))
				w.complete(t, "a")
			})
		})
	}
}

// R2: without a time, each wait is a random part of a bound that doubles.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, waits, err := failing(t, "POST", 8, status(http.StatusTooManyRequests))
		require.NoError(t, err)
		half := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond / 2 }
		assert.Equal(t, []time.Duration{half(500), half(1000), half(2000), half(4000), half(8000), half(16000), half(20000), half(20000)}, waits)
	})
	o := Options{Random: func() float64 { return 0.999 }}.settled()
	for n := range 100 {
		assert.Less(t, o.wait(n+1, errors.New("x")), DefaultMaxBackoff)
	}
}

// R2: what never gets better ends after five minutes, not one second later.
func TestDeadline(t *testing.T) {
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"429 with a time":    status(http.StatusTooManyRequests, "Retry-After", "50"),
		"429 without a time": status(http.StatusTooManyRequests),
		"503":                status(http.StatusServiceUnavailable),
		"silence":            silence,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, waits, err := failing(t, "PUT", 1<<30, fault)
				gaveUp := isType[*DeadlineError](t, err)
				assert.LessOrEqual(t, time.Since(began), DefaultDeadline+time.Second)
				assert.GreaterOrEqual(t, time.Since(began), DefaultDeadline-70*time.Second, "it makes use of its time")
				assert.Contains(t, err.Error(), "gave up after 5m0s")
				assert.Contains(t, err.Error(), host)
				assert.Contains(t, err.Error(), "run it again later")
				assert.NotNil(t, gaveUp.Cause)
				assert.Greater(t, len(waits), 3)
			})
		})
	}
}

// silence never answers, until the other side has gone.
func silence(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// R2: when one request is told to wait, the others do too.
func TestOneIsToldAllWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var told time.Time
		var early atomic.Int64
		var mu sync.Mutex
		w.fault = func(out http.ResponseWriter, r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			if told.IsZero() && r.Method == http.MethodPost {
				told = time.Now()
				return status(http.StatusTooManyRequests, "Retry-After", "20")(out, r)
			}
			if since := time.Since(told); !told.IsZero() && since > time.Second && since < 20*time.Second {
				early.Add(1)
			}
			return false
		}
		began := time.Now()
		_, err := w.client(Options{Jobs: 4}).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 100, 12)})
		require.NoError(t, err)
		assert.Zero(t, early.Load())
		assert.Less(t, time.Since(began), 25*time.Second)
	})
}

// R3: what is wrong for the moment, at every kind of request, is tried again,
// and only the blob that it met is sent again.
func TestServerErrors(t *testing.T) {
	for _, code := range []int{408, 429, 500, 502, 503, 504} {
		for _, match := range []string{"HEAD", "POST", "PUT /v2/team/app/blobs", "PUT /v2/team/app/manifests/sha256", "GET /v2/team/app/manifests/sha256", "PUT /v2/team/app/manifests/a", "GET /v2/team/app/manifests/a"} {
			t.Run(fmt.Sprint(code, " ", match), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, waits, err := failing(t, match, 2, status(code))
					require.NoError(t, err)
					assert.Len(t, waits, 2)
					w.complete(t, "a")
					inOrder(t, w.seen(), func(request string) bool { return strings.HasPrefix(request, "P") })
				})
			})
		}
	}
}

// R3: an answer that is lost after the registry did what it should.
func TestLostAnswers(t *testing.T) {
	for _, match := range []string{"POST", "PUT /v2/team/app/blobs", "PUT /v2/team/app/manifests/sha256", "PUT /v2/team/app/manifests/a"} {
		for name, lose := range map[string]func(out http.ResponseWriter){
			"the connection breaks": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			"it says 500":           func(out http.ResponseWriter) { complain(out, 500, "UNKNOWN", "lost") },
		} {
			t.Run(match+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var w *world
					var result Result
					w = newWorld(t)
					met := false
					w.fault = func(out http.ResponseWriter, r *http.Request) bool {
						if met || !strings.Contains(r.Method+" "+r.URL.Path, match) {
							return false
						}
						met = true
						w.backend.ServeHTTP(httptest.NewRecorder(), r)
						lose(out)
						return true
					}
					image := imageOf(t, 1, 5000, 1)
					result, err := w.client(Options{Jobs: 1}).Push(t.Context(), Request{Repository: repository, Root: image, Tags: []Tag{{"a", true}}})
					require.NoError(t, err)
					require.True(t, met)
					w.complete(t, "a")
					assert.True(t, result.Tags[0].Changed)
					assert.Equal(t, result.Bytes.Total, result.Bytes.Sent, "%+v", result.Bytes)
					assert.Zero(t, result.Bytes.Skipped+result.Bytes.Wasted, "it was there when we asked: %+v", result.Bytes)
				})
			})
		}
	}
}

// R3: answers that end before their time are no answers.
func TestTruncatedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, waits, err := failing(t, "GET", 3, func(out http.ResponseWriter, _ *http.Request) bool {
			out.Header().Set("Content-Length", "1000")
			_, _ = out.Write([]byte(`{"schemaVersion"`))
			out.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		require.NoError(t, err)
		assert.Len(t, waits, 3)
		w.complete(t, "a")
	})
}

// R3: a registry that got something else than we sent, or forgot the upload.
func TestLostUploads(t *testing.T) {
	for code, number := range map[string]int{"BLOB_UPLOAD_UNKNOWN": 404, "DIGEST_INVALID": 400, "BLOB_UPLOAD_INVALID": 400} {
		for _, times := range []int{1, 1000} {
			t.Run(fmt.Sprint(code, times), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, waits, err := failing(t, "PUT", times, func(out http.ResponseWriter, _ *http.Request) bool { return complain(out, number, code, "") })
					if times == 1 {
						require.NoError(t, err)
						return
					}
					require.ErrorContains(t, err, code)
					assert.Len(t, waits, fewTries-1, "it may never get better")
				})
			})
		}
	}
}

// R3, over a real network: connections that are reset in the middle of a blob.
func TestResetConnections(t *testing.T) {
	var resets atomic.Int64
	quiet := registry.New(registry.Logger(discard()))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && resets.Load() < 3 && strings.Contains(r.URL.Path, "uploads") {
			resets.Add(1)
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			reset(t, out)
			return
		}
		quiet.ServeHTTP(out, r)
	}))
	server.StartTLS()
	defer server.Close()
	client, err := New(Options{
		Transport: server.Client().Transport.(*http.Transport), Jobs: 1,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	require.NoError(t, err)
	defer client.Close()
	result, err := client.Push(t.Context(), Request{Repository: strings.TrimPrefix(server.URL, "https://") + "/app", Root: imageOf(t, 1, 300_000, 2), Tags: []Tag{{"a", false}}})
	require.NoError(t, err)
	assert.EqualValues(t, 3, resets.Load())
	assert.Equal(t, result.Bytes.Total, result.Bytes.Sent)
}

// reset ends a connection with an RST.
func reset(t *testing.T, out http.ResponseWriter) {
	t.Helper()
	connection, _, err := out.(http.Hijacker).Hijack()
	require.NoError(t, err)
	if secure, ok := connection.(interface{ NetConn() net.Conn }); ok {
		connection = secure.NetConn()
	}
	require.NoError(t, connection.(*net.TCPConn).SetLinger(0))
	connection.Close()
}

// R4: a registry that says nothing for half a minute, wherever it is.
func TestSilence(t *testing.T) {
	for match, want := range map[string]time.Duration{
		"HEAD": DefaultIdle / 3, "POST": DefaultIdle / 3, "PUT /v2/team/app/blobs": DefaultIdle, "PUT /v2/team/app/manifests": DefaultIdle / 3, "GET": DefaultIdle / 3,
	} {
		t.Run(match, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w, waits, err := failing(t, match, 1, silence)
				require.NoError(t, err)
				assert.Len(t, waits, 1)
				assert.InDelta(t, want.Seconds(), time.Since(began).Seconds(), 1)
				w.complete(t, "a")
			})
		})
	}
}

// R4: a byte in a second is movement, but not progress, in both directions.
func TestThrottle(t *testing.T) {
	t.Run("it reads slowly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			slow := true
			w.early = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !slow {
					return false
				}
				slow = false
				for range 3600 {
					time.Sleep(time.Second)
					if _, err := io.CopyN(io.Discard, r.Body, 1); err != nil {
						break
					}
				}
				panic(http.ErrAbortHandler)
			}
			began := time.Now()
			_, err := w.client(Options{Jobs: 1}).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 500_000, 1), Tags: []Tag{{"a", false}}})
			require.NoError(t, err)
			assert.Less(t, time.Since(began), 62*time.Second, "the first bytes fill the connection")
			w.complete(t, "a")
			time.Sleep(time.Hour) // the handler's end
		})
	})
	t.Run("it answers slowly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			w, waits, err := failing(t, "GET", 1, func(out http.ResponseWriter, r *http.Request) bool {
				out.Header().Set("Content-Length", "5000")
				for range 5000 {
					_, err := out.Write([]byte(" "))
					out.(http.Flusher).Flush()
					time.Sleep(time.Second)
					if err != nil {
						break
					}
				}
				panic(http.ErrAbortHandler)
			})
			require.NoError(t, err)
			assert.Len(t, waits, 1)
			assert.LessOrEqual(t, time.Since(began), 2*DefaultIdle+time.Second)
			w.complete(t, "a")
			time.Sleep(2 * time.Hour)
		})
	})
}

// R4: slow, but with progress, is no failure, however long it takes.
func TestSlowIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.early = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				r.Body = &slowBody{r.Body}
			}
			return false
		}
		began := time.Now()
		_, err := w.client(Options{Jobs: 1, Slowest: 10_000, OnRetry: func(r Retry) { t.Error(r) }}).
			Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 4_000_000, 1)})
		require.NoError(t, err)
		assert.Greater(t, time.Since(began), DefaultDeadline)
	})
}

// slowBody reads ten thousand bytes in a second.
type slowBody struct{ io.ReadCloser }

func (s *slowBody) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.ReadCloser.Read(p[:min(len(p), 10_000)])
}

// R6: another digest than what was pushed is the end, at once.
func TestOtherDigests(t *testing.T) {
	for name, fault := range map[string]func(w *world, out http.ResponseWriter, r *http.Request) bool{
		"the manifest is another one": func(w *world, out http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "manifests/sha256") && other(out)
		},
		"the registry says another digest": func(w *world, out http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "manifests/sha256") {
				return false
			}
			out.Header().Set("Docker-Content-Digest", hashOf([]byte("x")).String())
			out.WriteHeader(http.StatusCreated)
			return true
		},
		"somebody moves the tag": func(w *world, out http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "manifests/a") && w.digest("a") != v1.Hash{} && other(out)
		},
		"the blob is another one": func(w *world, out http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "uploads") {
				return false
			}
			out.Header().Set("Docker-Content-Digest", hashOf([]byte("x")).String())
			out.WriteHeader(http.StatusCreated)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fault = func(out http.ResponseWriter, r *http.Request) bool { return fault(w, out, r) }
				retries := 0
				image := imageOf(t, 1, 100, 1)
				_, err := w.client(Options{OnRetry: func(Retry) { retries++ }}).Push(t.Context(), Request{Repository: repository, Root: image, Tags: []Tag{{"a", false}}})
				wrong := isType[*DigestError](t, err)
				assert.NotEqual(t, wrong.Want, wrong.Got)
				assert.Zero(t, retries)
			})
		})
	}
}

func other(out http.ResponseWriter) bool {
	out.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	_, _ = out.Write([]byte(`{"schemaVersion": 2}`))
	return true
}

// A registry that shows a manifest a moment after it took it.
func TestReadBackTakesAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, waits, err := failing(t, "GET /v2/team/app/manifests/sha256", 2, status(http.StatusNotFound))
		require.NoError(t, err)
		assert.Len(t, waits, 2)
		w.complete(t, "a")
	})
}

// A registry that knows no Expect gets none.
func TestNoExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.early = func(out http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Expect") == "" {
				return false
			}
			out.WriteHeader(http.StatusExpectationFailed)
			return true
		}
		_, err := w.client(Options{Jobs: 1}).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, askFirst, 2), Tags: []Tag{{"a", false}}})
		require.NoError(t, err)
		w.complete(t, "a")
	})
}

// The chaos of goal 15: of all requests, 30 % meet a 429, a 500, a connection
// that breaks, or silence; at any time, before or after the registry got them.
func TestChaos(t *testing.T) {
	pushes := int64(50)
	if testing.Short() {
		pushes = 5
	}
	var wanted, received int64
	var slowest, all time.Duration
	faults := map[string]int{}
	for seed := range pushes {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			dice := &dice{rand: rand.New(rand.NewSource(seed)), count: faults, backend: w.backend}
			w.early, w.fault = dice.early, dice.late
			image := twoImages(t, seed, 200_000)
			client := w.client(Options{Random: dice.float})
			began := time.Now()
			result, err := client.Push(t.Context(), Request{
				Repository: repository, Root: image, Artifacts: []Artifact{sbomOf(descriptorOf(t, image), "sbom")}, Tags: []Tag{{"1.0.0", true}, {"latest", false}},
			})
			require.NoError(t, err, "push %d", seed)
			slowest, all = max(slowest, time.Since(began)), all+time.Since(began)
			wanted, received = wanted+result.Bytes.Total, received+w.bytes()
			for _, tag := range []string{"1.0.0", "latest"} {
				require.Equal(t, result.Root.Digest, w.digest(tag))
				w.complete(t, tag)
			}
			found, err := client.Referrers(t.Context(), repository, result.Root.Digest, "")
			require.NoError(t, err)
			assert.Len(t, found, 1)
			assert.Equal(t, result.Bytes.Total, result.Bytes.Sent+result.Bytes.Skipped)
			time.Sleep(time.Minute) // what is silent ends
		})
	}
	ratio := float64(received) / float64(wanted)
	t.Logf("%d of %d pushes, %d bytes received for %d (%.2f), the slowest in %s of its time, %s on average, faults %v", pushes, pushes, received, wanted, ratio, slowest, all/time.Duration(pushes), faults)
	assert.LessOrEqual(t, ratio, 1.5)
	assert.LessOrEqual(t, slowest, DefaultDeadline)
}

// dice decide what goes wrong.
type dice struct {
	mu      sync.Mutex
	rand    *rand.Rand
	count   map[string]int
	backend http.Handler
}

func (d *dice) float() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.Float64()
}

func (d *dice) roll(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.Intn(n)
}

func (d *dice) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count[what]++
}

// early breaks 30 % of the requests: before the registry has read them, while
// it does, when it has them whole, or after it did what they ask for.
func (d *dice) early(out http.ResponseWriter, r *http.Request) bool {
	d.note("requests")
	if d.roll(100) >= 30 {
		return false
	}
	if d.roll(2) == 0 {
		r.Header.Set("X-Late", "yes")
		return false
	}
	if r.ContentLength > 0 && d.roll(2) == 0 {
		_, _ = io.CopyN(io.Discard, r.Body, int64(d.roll(int(r.ContentLength))))
	}
	return d.fail(out, r)
}

func (d *dice) late(out http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("X-Late") == "" {
		return false
	}
	if d.roll(2) == 0 {
		d.backend.ServeHTTP(httptest.NewRecorder(), r) // it does what it should, and the answer is lost
	}
	return d.fail(out, r)
}

func (d *dice) fail(out http.ResponseWriter, r *http.Request) bool {
	switch d.roll(4) {
	case 0:
		d.note("429")
		return status(http.StatusTooManyRequests, "Retry-After", []string{"", "1", "3"}[d.roll(3)])(out, r)
	case 1:
		d.note("500")
		return status(http.StatusInternalServerError)(out, r)
	case 2:
		d.note("broken connections")
		panic(http.ErrAbortHandler)
	}
	d.note("silence")
	time.Sleep(45 * time.Second) // longer than anyone waits
	panic(http.ErrAbortHandler)
}
