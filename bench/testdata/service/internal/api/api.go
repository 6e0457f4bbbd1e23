// Package api answers the service's requests.
package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/dustin/go-humanize"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-playground/form/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
	"github.com/gorilla/websocket"
	"github.com/graphql-go/graphql"
	"github.com/justinas/nosurf"
	"github.com/microcosm-cc/bluemonday"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/cors"
	"github.com/shopspring/decimal"
	"github.com/yuin/goldmark"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"example.com/service/internal/cloud"
	"example.com/service/internal/queue"
	"example.com/service/internal/store"
)

// Backends are what requests need.
type Backends struct {
	Store *store.Store
	Queue *queue.Queue
	Cloud *cloud.Cloud
}

// server answers requests.
type server struct {
	Backends
	log     *zap.Logger
	limit   *rate.Limiter
	cookies *sessions.CookieStore
}

// New returns the service's handler.
func New(log *zap.Logger, b Backends) http.Handler {
	s := &server{Backends: b, log: log, limit: rate.NewLimiter(1000, 1000), cookies: sessions.NewCookieStore(securecookie.GenerateRandomKey(32))}
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."})
	registry := prometheus.NewRegistry()
	registry.MustRegister(requests)
	router := chi.NewRouter()
	router.Use(middleware.Recoverer, cors.Default().Handler, otelhttp.NewMiddleware("service"), s.counted(requests))
	router.Get("/health", func(http.ResponseWriter, *http.Request) {})
	router.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	router.Get("/ready", s.asked(func(r *http.Request) error { return s.Store.Ping(r.Context()) }))
	router.Post("/events", s.asked(func(r *http.Request) error { return s.Queue.Send(r.Context(), uuid.NewString()) }))
	router.Post("/files/{name}", s.asked(func(r *http.Request) error { return s.Cloud.Put(r.Context(), chi.URLParam(r, "name")) }))
	router.Post("/login", s.asked(login))
	router.Post("/order", s.asked(order))
	router.Get("/token", s.token)
	router.Get("/socket", s.socket)
	router.Post("/page", page)
	router.Post("/graphql", s.graphql)
	return nosurf.NewPure(router)
}

func (s *server) counted(requests prometheus.Counter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Inc()
			if !s.limit.Allow() {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// asked answers with what came of a question to a backend.
func (s *server) asked(question func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := question(r); err != nil {
			s.log.Warn("request", zap.Error(err))
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

func login(r *http.Request) error {
	_, err := oidc.NewProvider(r.Context(), r.FormValue("issuer"))
	return err
}

func order(r *http.Request) error {
	var wanted struct {
		ID    ulid.ULID
		Price decimal.Decimal
	}
	if err := r.ParseForm(); err != nil {
		return err
	}
	return form.NewDecoder().Decode(&wanted, r.Form)
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	session, err := s.cookies.Get(r, "service")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": session.ID}).SignedString([]byte("key"))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte(text))
}

func (s *server) socket(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.log.Warn("socket", zap.Error(err))
		return
	}
	conn.Close()
}

// page turns Markdown into safe HTML.
func page(w http.ResponseWriter, r *http.Request) {
	text := []byte(r.FormValue("text") + humanize.Bytes(uint64(max(0, r.ContentLength))))
	safe := bluemonday.UGCPolicy().SanitizeBytes(text)
	_ = goldmark.Convert(safe, w)
}

func (s *server) graphql(w http.ResponseWriter, r *http.Request) {
	result := graphql.Do(graphql.Params{RequestString: r.FormValue("query"), Context: context.WithoutCancel(r.Context())})
	_ = json.NewEncoder(w).Encode(result)
}

// RPC is the same service for programs.
func RPC() *grpc.Server {
	server := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	return server
}
