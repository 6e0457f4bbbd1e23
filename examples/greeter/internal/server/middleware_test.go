package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/examples/greeter/internal/build"
)

// around starts a server whose only handler is wrapped like the routes. The log may be read after the server's end,
// which end waits for.
func around(t *testing.T, handler http.HandlerFunc) (address string, end func() (log, metrics string)) {
	t.Helper()
	logged := &bytes.Buffer{}
	log := slog.New(slog.NewJSONHandler(logged, nil))
	m := newMetrics(build.Info{})
	srv := httptest.NewServer(wrap(handler, log, m))
	t.Cleanup(srv.Close)
	return srv.URL, func() (string, string) {
		srv.Close()
		answer := httptest.NewRecorder()
		m.handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return logged.String(), answer.Body.String()
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	address, end := around(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000") // of the answer that never came
		panic("nil map")
	})
	answer, err := http.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	assert.Equal(t, "internal error\n", string(body), "nothing of the cause leaves the house")

	log, metrics := end()
	lines := strings.Split(strings.TrimSpace(log), "\n")
	require.Len(t, lines, 2)
	assert.Contains(t, lines[0], `"panic":"nil map"`)
	assert.Contains(t, lines[0], `middleware_test.go`, "the stack")
	assert.Contains(t, lines[0], answer.Header.Get("X-Request-ID"))
	assert.Contains(t, lines[1], `"level":"WARN"`)
	assert.Contains(t, lines[1], `"status":500`)
	assert.Contains(t, metrics, `http_requests_total{code="500",method="GET",route="unmatched"} 1`)
	assert.Contains(t, metrics, "http_requests_in_flight 0\n")
}

func TestPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	address, end := around(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half of ")
		_ = http.NewResponseController(w).Flush()
		panic("the other half is missing")
	})
	answer, err := http.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	_, err = io.ReadAll(answer.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	log, _ := end()
	assert.Contains(t, log, "the other half is missing")
	assert.Contains(t, log, `"bytes":8`)
}

func TestAbortedRequestIsCountedWithoutACode(t *testing.T) {
	address, end := around(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := http.Get(address) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, io.EOF)

	log, metrics := end()
	assert.NotContains(t, log, "panicked")
	assert.Contains(t, log, `"status":0`)
	assert.Contains(t, metrics, `http_requests_total{code="0",method="GET",route="unmatched"} 1`)
}

func TestStatusIsWhatTheClientGot(t *testing.T) {
	tests := map[string]struct {
		handler http.HandlerFunc
		want    int
	}{
		"nothing said": {func(http.ResponseWriter, *http.Request) {}, http.StatusOK},
		"only a body":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hi") }, http.StatusOK},
		"said":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, http.StatusTeapot},
		"announced first": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		}, http.StatusTeapot},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			address, end := around(t, test.handler)
			answer, err := http.Get(address)
			require.NoError(t, err)
			answer.Body.Close()
			assert.Equal(t, test.want, answer.StatusCode)
			log, _ := end()
			assert.Contains(t, log, fmt.Sprintf(`"status":%d`, test.want))
		})
	}
}

func TestResponseControllerReachesTheConnection(t *testing.T) {
	problems := make(chan error, 1)
	address, _ := around(t, func(w http.ResponseWriter, _ *http.Request) {
		problems <- http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
	})
	answer, err := http.Get(address)
	require.NoError(t, err)
	answer.Body.Close()
	assert.NoError(t, <-problems)
}
