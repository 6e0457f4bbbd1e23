// Service is a small service for machines in a directory. It listens on PORT and answers VERSION. Its environment says how it
// does: NEVER_HEALTHY, UNHEALTHY_WITH (a file that is there), EXITS.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

func run(getenv func(string) string) error {
	if getenv("EXITS") != "" {
		return errors.New("it was told to exit")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		_, missing := os.Stat(getenv("UNHEALTHY_WITH"))
		if getenv("NEVER_HEALTHY") != "" || missing == nil {
			http.Error(w, "not well", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /secret/{name}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(getenv("CREDENTIALS_DIRECTORY"), filepath.Base(r.PathValue("name"))))
	})
	mux.HandleFunc("GET /variable/{name}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, getenv(r.PathValue("name"))) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, getenv("VERSION"))
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:"+getenv("PORT"))
	if err != nil {
		return err
	}
	fmt.Println("version", getenv("VERSION"), "listens on", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	within, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(within)
}
