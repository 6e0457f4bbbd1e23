// Package server is the HTTP side of greeter.
//
// [NewHandler] makes the routes with what goes around each of them: a request id, one line in the log, metrics, and an
// answer even when a handler panics. [Server] runs a handler until it is told to stop, and then ends in order.
package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/examples/greeter/internal/build"
	"github.com/slipway-ci/slipway/examples/greeter/internal/health"
)

// maxName is in characters; there are longer names, but few.
const maxName = 64

var errNameTooLong = fmt.Errorf("name is longer than %d characters", maxName)

// App is what the routes need. All fields are required.
type App struct {
	Greeting string
	Build    build.Info
	Health   *health.Checker
	Log      *slog.Logger
}

// NewHandler returns the service: /, /hello, /health, /version and /metrics.
func NewHandler(app App) http.Handler {
	metrics := newMetrics(app.Build)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", app.hello)
	mux.HandleFunc("GET /hello", app.hello)
	mux.HandleFunc("GET /version", app.version)
	mux.Handle("GET /health", app.Health)
	mux.Handle("GET /metrics", metrics.handler())
	return wrap(mux, app.Log, metrics)
}

func (a App) hello(w http.ResponseWriter, r *http.Request) {
	line, err := greet(a.Greeting, r.URL.Query().Get("name"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// Plain text that no browser may take for HTML: a name can hold anything.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprintln(w, line)
}

func (a App) version(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a.Build) //nolint:errcheck // the client has gone; nobody is left to tell
}

// greet makes the one line that is the point of this service.
func greet(greeting, name string) (string, error) {
	name = strings.TrimSpace(strings.Map(visible, strings.ToValidUTF8(name, "")))
	if name == "" {
		name = "world"
	}
	if utf8.RuneCountInString(name) > maxName {
		return "", errNameTooLong
	}
	return greeting + ", " + name + "!", nil
}

// visible drops line breaks, control characters and marks that change the direction of the text.
func visible(r rune) rune {
	if unicode.IsGraphic(r) {
		return r
	}
	return -1
}
