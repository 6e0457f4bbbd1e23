package server_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/examples/greeter/internal/build"
	"github.com/slipway-ci/slipway/examples/greeter/internal/health"
	"github.com/slipway-ci/slipway/examples/greeter/internal/server"
)

// newApp returns the service and what it logs.
func newApp() (http.Handler, *bytes.Buffer) {
	logged := &bytes.Buffer{}
	return server.NewHandler(server.App{
		Greeting: "Hello",
		Build:    build.Info{Version: "1.2.3", Commit: "abc1234", Date: "2026-01-02T03:04:05Z", Go: "go1.26.8", Platform: "linux/amd64"},
		Health:   health.New("1.2.3"),
		Log:      slog.New(slog.NewJSONHandler(logged, nil)),
	}), logged
}

func get(handler http.Handler, target string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, target, nil))
	return answer
}

func TestRoutes(t *testing.T) {
	tests := map[string]struct {
		method, target string
		code           int
		body           string
	}{
		"root":                   {target: "/", code: 200, body: "Hello, world!\n"},
		"hello":                  {target: "/hello", code: 200, body: "Hello, world!\n"},
		"by name":                {target: "/hello?name=Ada", code: 200, body: "Hello, Ada!\n"},
		"root by name":           {target: "/?name=Ada", code: 200, body: "Hello, Ada!\n"},
		"any script":             {target: "/hello?name=%E3%81%95%E3%81%8F%E3%82%89", code: 200, body: "Hello, さくら!\n"},
		"markup is only text":    {target: "/hello?name=%3Cb%3E", code: 200, body: "Hello, <b>!\n"},
		"no second line":         {target: "/hello?name=a%0D%0Ab", code: 200, body: "Hello, ab!\n"},
		"spaces are no name":     {target: "/hello?name=%20%09", code: 200, body: "Hello, world!\n"},
		"64 characters":          {target: "/hello?name=" + strings.Repeat("%C3%A4", 64), code: 200, body: "Hello, " + strings.Repeat("ä", 64) + "!\n"},
		"65 characters":          {target: "/hello?name=" + strings.Repeat("a", 65), code: 400, body: "name is longer than 64 characters\n"},
		"health":                 {target: "/health", code: 200, body: `{"status":"ok","version":"1.2.3","checks":{}}` + "\n"},
		"version":                {target: "/version", code: 200, body: `{"version":"1.2.3","commit":"abc1234","date":"2026-01-02T03:04:05Z","go":"go1.26.8","platform":"linux/amd64"}` + "\n"},
		"unknown":                {target: "/nothing", code: 404, body: "404 page not found\n"},
		"a greeting is not sent": {method: http.MethodPost, target: "/hello", code: 405, body: "Method Not Allowed\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handler, _ := newApp()
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(test.method, test.target, nil))
			assert.Equal(t, test.code, answer.Code)
			assert.Equal(t, test.body, answer.Body.String())
		})
	}
}

func TestGreetingIsNeverTakenForHTML(t *testing.T) {
	handler, _ := newApp()
	answer := get(handler, "/hello?name=<script>")
	assert.Equal(t, "text/plain; charset=utf-8", answer.Header().Get("Content-Type"))
	assert.Equal(t, "nosniff", answer.Header().Get("X-Content-Type-Options"))
}

func TestMetrics(t *testing.T) {
	handler, _ := newApp()
	get(handler, "/")
	get(handler, "/hello?name=Ada")
	get(handler, "/hello?name=Grace")
	get(handler, "/hello?name="+strings.Repeat("a", 65))
	get(handler, "/wp-admin")
	get(handler, "/.env")
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW", "/hello", nil))

	metrics := get(handler, "/metrics").Body.String()
	for _, want := range []string{
		`http_requests_total{code="200",method="GET",route="/"} 1`,
		`http_requests_total{code="200",method="GET",route="/hello"} 2`,
		`http_requests_total{code="400",method="GET",route="/hello"} 1`,
		`http_requests_total{code="404",method="GET",route="unmatched"} 2`,
		`http_requests_total{code="405",method="other",route="unmatched"} 1`,
		`http_request_duration_seconds_count{method="GET",route="/hello"} 3`,
		`http_requests_in_flight 1`, // this one
		`greeter_build_info{commit="abc1234",goversion="go1.26.8",version="1.2.3"} 1`,
	} {
		assert.Contains(t, metrics, want+"\n")
	}
	assert.NotContains(t, metrics, "wp-admin", "a label must not hold what clients send")
}

func TestAccessLog(t *testing.T) {
	handler, logged := newApp()
	request := httptest.NewRequest(http.MethodGet, "/hello?name=secret", nil)
	request.Header.Set("X-Request-ID", "from-the-proxy.1")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	assert.Equal(t, "from-the-proxy.1", answer.Header().Get("X-Request-ID"))

	var line map[string]any
	require.NoError(t, json.Unmarshal(logged.Bytes(), &line), "one line")
	assert.Equal(t, "request", line["msg"])
	assert.Equal(t, "INFO", line["level"])
	assert.Equal(t, "from-the-proxy.1", line["request_id"])
	assert.Equal(t, "GET", line["method"])
	assert.Equal(t, "/hello", line["path"])
	assert.EqualValues(t, 200, line["status"])
	assert.EqualValues(t, len("Hello, secret!\n"), line["bytes"])
	assert.Contains(t, line, "duration_ms")
	assert.Contains(t, line, "remote")
}

func TestRequestIDIsReplacedUnlessItIsPlain(t *testing.T) {
	for name, id := range map[string]string{
		"missing":    "",
		"line break": "a\nb",
		"markup":     "<b>",
		"too long":   strings.Repeat("a", 65),
	} {
		t.Run(name, func(t *testing.T) {
			handler, _ := newApp()
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("X-Request-ID", id)
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			assert.NotEqual(t, id, answer.Header().Get("X-Request-ID"))
			assert.Regexp(t, "^[A-Z2-7]{26,}$", answer.Header().Get("X-Request-ID"))
		})
	}
}

// Whatever the name, the answer is one line of printable text or a refusal.
func FuzzHello(f *testing.F) {
	for _, name := range []string{"", "Ada", "<script>", "a\r\nSet-Cookie: b", "\xff\xfe", "\u202egnp.exe", strings.Repeat("ä", 65)} {
		f.Add(name)
	}
	handler, _ := newApp()
	f.Fuzz(func(t *testing.T, name string) {
		answer := get(handler, "/hello?name="+url.QueryEscape(name))
		if answer.Code == http.StatusBadRequest {
			require.Greater(t, utf8.RuneCountInString(name), 64)
			return
		}
		require.Equal(t, http.StatusOK, answer.Code)
		line, ended := strings.CutSuffix(answer.Body.String(), "!\n")
		require.True(t, ended)
		require.True(t, strings.HasPrefix(line, "Hello, "))
		require.True(t, utf8.ValidString(line))
		require.False(t, strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) }), "%q", line)
	})
}
