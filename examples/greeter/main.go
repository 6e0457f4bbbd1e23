// Greeter is a small HTTP service that greets. It shows what a service needs so that it can be released and
// rolled out without surprises: a health address, a version, logs, metrics, and an orderly end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-ci/slipway/examples/greeter/internal/build"
	"github.com/slipway-ci/slipway/examples/greeter/internal/config"
	"github.com/slipway-ci/slipway/examples/greeter/internal/health"
	"github.com/slipway-ci/slipway/examples/greeter/internal/server"
)

// Set when the binary is linked: go build -ldflags "-X main.version=1.2.3 -X main.commit=abc1234 …".
var (
	version = "dev"
	commit  = "none"
	date    = "unknown"
)

// What the service tells whoever started it.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	asked, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	insisted := secondSignal(os.Interrupt, syscall.SIGTERM)
	code := run(insisted, asked.Done(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	release()
	os.Exit(code)
}

// run is the whole program without the process around it. Closing stop asks it to end in order, ctx ends it at once.
func run(ctx context.Context, stop <-chan struct{}, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	info := build.New(version, commit, date)
	cfg, err := config.Parse(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, config.Usage())
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "greeter: the configuration is not valid\n%v\nsee greeter --help\n", err)
		return exitUsage
	case cfg.ShowVersion:
		fmt.Fprintln(stdout, "greeter", info)
		return exitOK
	}

	log := newLogger(stderr, cfg)
	if err := serve(ctx, stop, cfg, info, log); err != nil {
		log.Error("ended with an error", "error", err)
		return exitFailed
	}
	return exitOK
}

func serve(ctx context.Context, stop <-chan struct{}, cfg config.Config, info build.Info, log *slog.Logger) error {
	checker := health.New(info.Version, checks(cfg)...)
	srv := server.Server{
		Handler:  server.NewHandler(server.App{Greeting: cfg.Greeting, Build: info, Health: checker, Log: log}),
		Stopping: checker.Stop,
		Drain:    cfg.Drain,
		Grace:    cfg.Grace,
		Log:      log,
	}

	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return err // it names the address already: "listen tcp :8080: bind: address already in use"
	}
	log.Info("listening", "addr", listener.Addr().String(), "version", info.Version, "commit", info.Commit)
	return srv.Run(ctx, stop, listener)
}

// checks names what the service depends on. Yours would have its database here.
func checks(cfg config.Config) []health.Check {
	if cfg.Upstream == nil {
		return nil
	}
	return []health.Check{{
		Name:    "upstream",
		Timeout: cfg.CheckTimeout,
		Probe:   health.GET(http.DefaultClient, cfg.Upstream.String()),
	}}
}

func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.FormatText {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// secondSignal returns a context that the second signal ends: whoever sends one does not want to wait.
// It listens from the start, so that no signal falls between two listeners.
func secondSignal(signals ...os.Signal) context.Context {
	received := make(chan os.Signal, 2)
	signal.Notify(received, signals...)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		<-received
		cancel(fmt.Errorf("stopped by a second signal: %v", <-received))
	}()
	return ctx
}
