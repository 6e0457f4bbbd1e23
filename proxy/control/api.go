// Package control is how a proxy is told what to do: HTTP and JSON over a unix socket.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/proxy/settings"
	"github.com/slipway-ci/slipway/proxy/traffic"
)

const (
	apiVersion = 1
	maxWait    = time.Hour
)

// errRetiring is why a proxy that leaves takes no more settings.
var errRetiring = errors.New("this proxy is leaving: its successor takes settings")

// API answers requests about one proxy.
type API struct {
	Binary      string                        // which build this is
	Traffic     *traffic.Traffic              // what is told
	File        settings.File                 // where it is kept
	Credentials string                        // systemd's directory of credentials; "" for none
	Reload      func(settings.Settings) error // listens to clients in another way; what is served goes on
	Retire      func(timeout time.Duration)   // ends this process; returns at once

	mu    sync.Mutex
	state settings.State
}

// Resume starts with what was kept. The split comes first: from the moment that it listens, there are requests.
func (a *API) Resume(state settings.State) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = state
	a.Traffic.Split(shares(state.Settings))
	return a.Reload(state.Settings.Located(a.Credentials))
}

// status is what is answered to GET and PUT.
type status struct {
	Version   int               `json:"version"`
	Binary    string            `json:"binary"`
	Sequence  uint64            `json:"sequence"`
	Config    settings.Settings `json:"config"`
	Upstreams []upstream        `json:"upstreams"`
	Draining  bool              `json:"draining"` // the whole proxy leaves
}

type upstream struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Weight    int    `json:"weight"`
	Draining  bool   `json:"draining"`
	Active    int    `json:"active"`
	Requests  uint64 `json:"requests"`
	Errors    uint64 `json:"errors"`
	Cut       uint64 `json:"cut"`
	P50       string `json:"p50"`
	P99       string `json:"p99"`
	LastError string `json:"lastError,omitempty"`
}

// Handler answers the requests.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slipway/v1", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.status(), nil) })
	mux.HandleFunc("PUT /slipway/v1", handle(func(_ context.Context, s settings.Settings) (any, error) {
		err := a.put(s.Normal())
		return a.status(), err
	}))
	mux.HandleFunc("POST /slipway/v1/drain", handle(a.drain))
	mux.HandleFunc("POST /slipway/v1/retire", handle(a.retire))
	return guarded(mux)
}

// guarded refuses what a page in a browser could send, if it ever reached the socket.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || r.Host != "127.0.0.1" {
			answer(w, nil, &refusal{http.StatusForbidden, errors.New("the host is 127.0.0.1, and there is no origin")})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// refusal is an error with its status.
type refusal struct {
	status int
	cause  error
}

func (r *refusal) Error() string { return r.cause.Error() }
func (r *refusal) Unwrap() error { return r.cause }

// handle reads a request's body and answers what comes of it.
func handle[T any](act func(context.Context, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body T
		if err := decode(r.Body, &body); err != nil {
			answer(w, nil, &refusal{http.StatusBadRequest, err})
			return
		}
		result, err := act(r.Context(), body)
		answer(w, result, err)
	}
}

// decode reads one JSON value, of known fields alone: who sends others speaks of something that this program does not know.
func decode(r io.Reader, into any) error {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read the request: there is more than one value")
	}
	return nil
}

func answer(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		code := http.StatusInternalServerError
		var refused *refusal
		if errors.As(err, &refused) {
			code = refused.status
		}
		w.WriteHeader(code)
		result = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(result) // who asked may be gone
}

func (a *API) status() status {
	a.mu.Lock()
	state := a.state
	a.mu.Unlock()
	s := status{Version: apiVersion, Binary: a.Binary, Sequence: state.Sequence, Config: state.Settings, Upstreams: []upstream{}, Draining: a.Traffic.Retiring()}
	if settings.IsPEM(s.Config.Key) {
		s.Config.Key = "" // it is not told again
	}
	for _, f := range a.Traffic.Figures() {
		s.Upstreams = append(s.Upstreams, upstream{Name: f.Name, Address: f.Address, Weight: f.Weight, Draining: f.Draining, Active: f.Active,
			Requests: f.Requests, Errors: f.Errors, Cut: f.Cut, P50: f.P50.String(), P99: f.P99.String(), LastError: f.LastError})
	}
	return s
}

// put makes settings those of this proxy: listening first, because that may fail, then the file, then the split. Where the file
// cannot be written nothing has changed.
func (a *API) put(next settings.Settings) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Traffic.Retiring() {
		return &refusal{http.StatusConflict, errRetiring}
	}
	before := a.state
	if err := next.Located(a.Credentials).Check(); err != nil {
		return &refusal{http.StatusUnprocessableEntity, err}
	}
	if next.Equal(before.Settings) && before.Sequence > 0 {
		return nil
	}
	if !next.SameFront(before.Settings) {
		if err := a.Reload(next.Located(a.Credentials)); err != nil {
			return &refusal{http.StatusUnprocessableEntity, errors.Join(err, a.Reload(before.Settings.Located(a.Credentials)))}
		}
	}
	state := settings.State{Version: settings.Version, Sequence: before.Sequence + 1, Settings: next}
	if err := a.File.Save(state); err != nil {
		if !next.SameFront(before.Settings) {
			err = errors.Join(err, a.Reload(before.Settings.Located(a.Credentials)))
		}
		return err
	}
	a.state = state
	a.Traffic.Split(shares(next))
	return nil
}

func shares(s settings.Settings) []traffic.Share {
	list := make([]traffic.Share, len(s.Upstreams))
	for i, u := range s.Upstreams {
		list[i] = traffic.Share(u)
	}
	return list
}

// drainRequest names an upstream, and how long its requests may take to end by themselves.
type drainRequest struct {
	Name    string   `json:"name"`
	Timeout duration `json:"timeout"`
}

func (a *API) drain(ctx context.Context, r drainRequest) (any, error) {
	if weight := a.Traffic.Weight(r.Name); weight > 0 {
		return nil, &refusal{http.StatusConflict, fmt.Errorf("%q has %d %% of the requests: take them away first", r.Name, weight)}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Timeout))
	defer cancel()
	active, cut := a.Traffic.Drain(ctx, r.Name)
	return map[string]int{"active": active, "cut": cut}, nil
}

// retireRequest says how long requests may take to end by themselves.
type retireRequest struct {
	Timeout duration `json:"timeout"`
}

func (a *API) retire(_ context.Context, r retireRequest) (any, error) {
	a.Retire(time.Duration(r.Timeout))
	return map[string]int{"active": a.Traffic.Active()}, nil
}

// duration is a time such as "10s".
type duration time.Duration

func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	if value < 0 || value > maxWait {
		return fmt.Errorf("%s is not between 0 and %s", text, maxWait)
	}
	*d = duration(value)
	return nil
}
