package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

const (
	requestIDHeader = "X-Request-ID"
	maxRequestID    = 64
)

type requestIDKey struct{}

// wrap puts around the routes what every request gets, outermost first: an id, a record, a net.
func wrap(next http.Handler, log *slog.Logger, m *metrics) http.Handler {
	return identify(record(recoverPanics(next, log), log, m))
}

// identify gives every request an id: the caller's, so that it can be followed through several services, or a new one.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !validRequestID(id) {
			id = rand.Text()
		}
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

func validRequestID(id string) bool {
	return id != "" && len(id) <= maxRequestID && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// record writes one line in the log and counts, when a request is done, whatever its end.
func record(next http.Handler, log *slog.Logger, m *metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		answer := &response{ResponseWriter: w}
		m.inFlight.Inc()
		defer func() {
			m.inFlight.Dec()
			took := time.Since(started)
			m.observe(r, answer.status, took)
			logAccess(log, r, answer, took)
		}()
		next.ServeHTTP(answer, r)
		answer.finish()
	})
}

func logAccess(log *slog.Logger, r *http.Request, answer *response, took time.Duration) {
	level := slog.LevelInfo
	if answer.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	// Without the query: what people send is nobody's business in a log.
	log.LogAttrs(r.Context(), level, "request",
		slog.String("request_id", requestID(r.Context())),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", answer.status),
		slog.Int64("bytes", answer.bytes),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("remote", r.RemoteAddr),
	)
}

// recoverPanics answers 500 for a handler that panics. Where a part of the answer is on its way already, it cuts the
// connection, so that nobody takes the part for the whole.
func recoverPanics(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &response{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { // how a handler asks for the connection to be cut
				panic(cause)
			}
			log.ErrorContext(r.Context(), "handler panicked",
				"request_id", requestID(r.Context()), "panic", cause, "stack", string(debug.Stack()))
			if answer.status != 0 {
				panic(http.ErrAbortHandler)
			}
			http.Error(answer, "internal error", http.StatusInternalServerError)
		}()
		next.ServeHTTP(answer, r)
	})
}

// response remembers what was answered. A status of 0 means that nothing was.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader keeps the final status; those below 200 are only announcements.
func (r *response) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *response) Write(data []byte) (int, error) {
	r.finish()
	n, err := r.ResponseWriter.Write(data)
	r.bytes += int64(n)
	return n, err
}

// finish knows what net/http does for a handler that names no status.
func (r *response) finish() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
}

// Unwrap lets http.ResponseController reach the deadlines and the flushing of the writer below.
func (r *response) Unwrap() http.ResponseWriter {
	return r.ResponseWriter
}
