package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/examples/greeter/internal/health"
)

func pass(context.Context) error { return nil }

// hang takes until nobody waits any more.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// takes is a dependency that answers after a while.
func takes(d time.Duration) health.Probe {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func ExampleChecker() {
	checker := health.New("1.2.3", health.Check{
		Name:    "database",
		Timeout: time.Second,
		Probe:   func(context.Context) error { return errors.New("connection refused") },
	})

	answer := httptest.NewRecorder()
	checker.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/health", nil))
	fmt.Print(answer.Code, " ", answer.Body)
	// Output: 503 {"status":"failing","version":"1.2.3","checks":{"database":{"status":"failing","error":"connection refused","duration_ms":0}}}
}

func TestHealthyWithoutDependencies(t *testing.T) {
	answer := httptest.NewRecorder()
	health.New("1.2.3").ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/health", nil))

	assert.Equal(t, http.StatusOK, answer.Code)
	assert.Equal(t, "application/json", answer.Header().Get("Content-Type"))
	assert.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
	assert.JSONEq(t, `{"status":"ok","version":"1.2.3","checks":{}}`, answer.Body.String())
}

// In the bubble of synctest time is exact and costs nothing.
func TestChecksRunAtTheSameTimeEachWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker := health.New("1.2.3",
			health.Check{Name: "quick", Timeout: time.Second, Probe: pass},
			health.Check{Name: "slow", Timeout: 5 * time.Second, Probe: takes(2 * time.Second)},
			health.Check{Name: "hangs", Timeout: 3 * time.Second, Probe: hang},
			health.Check{Name: "broken", Timeout: time.Second, Probe: func(context.Context) error { panic("nil map") }},
		)
		started := time.Now()
		report := checker.Report(t.Context())

		assert.Equal(t, 3*time.Second, time.Since(started), "as long as the slowest, not as all together")
		assert.Equal(t, health.Report{
			Status:  health.Failing,
			Version: "1.2.3",
			Checks: map[string]health.Result{
				"quick":  {Status: health.OK},
				"slow":   {Status: health.OK, DurationMS: 2000},
				"hangs":  {Status: health.Failing, Error: "no answer within 3s", DurationMS: 3000},
				"broken": {Status: health.Failing, Error: "check panicked: nil map"},
			},
		}, report)
	})
}

func TestProbeThatIgnoresItsContextIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		checker := health.New("1.2.3", health.Check{
			Name:    "deaf",
			Timeout: time.Second,
			Probe:   func(context.Context) error { <-release; return nil },
		})
		report := checker.Report(t.Context())
		assert.Equal(t, "no answer within 1s", report.Checks["deaf"].Error)
		close(release)
	})
}

func TestCallerThatGoesAwayEndsTheChecks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	checker := health.New("1.2.3", health.Check{Name: "hangs", Timeout: time.Hour, Probe: hang})
	assert.Equal(t, "context canceled", checker.Report(ctx).Checks["hangs"].Error)
}

func TestStoppingIsNotHealthyAndAsksNobody(t *testing.T) {
	checker := health.New("1.2.3", health.Check{
		Name:    "database",
		Timeout: time.Second,
		Probe:   func(context.Context) error { t.Error("was asked"); return nil },
	})
	checker.Stop()

	answer := httptest.NewRecorder()
	checker.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/health", nil))
	assert.Equal(t, http.StatusServiceUnavailable, answer.Code)
	var report health.Report
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &report))
	assert.Equal(t, health.Report{Status: health.Stopping, Version: "1.2.3", Checks: map[string]health.Result{}}, report)
}

func TestGET(t *testing.T) {
	tests := map[string]struct {
		status int
		want   string
	}{
		"ok":           {status: http.StatusOK},
		"redirected":   {status: http.StatusNotModified},
		"not found":    {status: http.StatusNotFound, want: "answered 404 Not Found"},
		"out of order": {status: http.StatusServiceUnavailable, want: "answered 503 Service Unavailable"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
			}))
			defer upstream.Close()
			err := health.GET(upstream.Client(), upstream.URL)(t.Context())
			if test.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.EqualError(t, err, test.want)
		})
	}
}

func TestGETKeepsTheAddressToItself(t *testing.T) {
	upstream := httptest.NewServer(http.NotFoundHandler())
	address := upstream.URL
	upstream.Close() // nobody listens there any more

	err := health.GET(http.DefaultClient, address+"/?token=secret")(t.Context())
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")

	assert.ErrorContains(t, health.GET(http.DefaultClient, ":")(t.Context()), "make request")
}
