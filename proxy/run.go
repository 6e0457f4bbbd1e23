package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/proxy/control"
	"github.com/slipway-ci/slipway/proxy/front"
	"github.com/slipway-ci/slipway/proxy/settings"
	"github.com/slipway-ci/slipway/proxy/sockets"
	"github.com/slipway-ci/slipway/proxy/traffic"
)

// run serves until the process is to end: by a signal, or because it was told to retire.
func run(ctx context.Context, o options, getenv func(string) string) error {
	set, err := sockets.Inherited(getenv, os.Getpid())
	if err != nil {
		return err
	}
	binary, err := digest("/proc/self/exe")
	if err != nil {
		return err
	}
	f, t, err := front.New(front.Options{Ports: set.Ports(), Plain: o.plain, Storage: filepath.Join(o.state, "certificates"), ACME: o.acme, Roots: roots(o)}, set, o.maxBody)
	if err != nil {
		return err
	}
	leaving := &departure{set: set, traffic: t, done: make(chan struct{})}
	file := settings.File{Path: filepath.Join(o.state, "state.json")}
	api := &control.API{Binary: binary, Traffic: t, File: file, Credentials: getenv("CREDENTIALS_DIRECTORY"), Reload: f.Load, Retire: leaving.begin}

	state, warning := file.Load()
	if warning != nil {
		slog.Warn("the state file is damaged", "error", warning)
	}
	socket := filepath.Join(o.run, "proxy-"+o.instance+".sock")
	listener, err := control.Listen(socket)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- api.Serve(serving, listener) }()
	if err := api.Resume(state); err != nil {
		return err
	}
	name := filepath.Join(o.run, "proxy.sock")
	if err := control.Publish(socket, name); err != nil {
		return err
	}
	slog.Info("serving", "binary", binary, "ports", set.Ports(), "sequence", state.Sequence, "upstreams", state.Settings.Upstreams)
	notifier := notifier{getenv}
	notifier.tell("READY=1")
	go stayReachable(serving, t, socket, name)
	go notifier.watch(serving, func(ctx context.Context) error { return ask(ctx, socket) })

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		leaving.begin(o.grace)
		<-leaving.done
	case <-leaving.done:
	}
	notifier.tell("STOPPING=1")
	return nil
}

// stayReachable takes the name back when the process that it leads to is gone: a successor that did not live.
func stayReachable(ctx context.Context, t *traffic.Traffic, socket, name string) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if t.Retiring() || control.Reachable(name) {
			continue
		}
		if err := control.Publish(socket, name); err != nil {
			slog.Warn("the control socket cannot be reached", "error", err)
		}
	}
}

func roots(o options) []string {
	if o.acmeRoot == "" {
		return nil
	}
	return []string{o.acmeRoot}
}

// digest names this build.
func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// ask asks this process over its own socket how it is.
func ask(ctx context.Context, socket string) error {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/slipway/v1", nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// departure is how a proxy leaves without a request lost: it takes no more connections, ends each with its next answer, and
// waits until none is left.
type departure struct {
	set     *sockets.Set
	traffic *traffic.Traffic
	once    sync.Once
	done    chan struct{}
}

// begin starts to leave, and returns at once. Only the first call counts.
func (d *departure) begin(timeout time.Duration) {
	d.once.Do(func() {
		slog.Info("leaving", "timeout", timeout, "active", d.traffic.Active())
		d.traffic.Retire()
		d.set.Stop()
		go d.finish(timeout)
	})
}

func (d *departure) finish(timeout time.Duration) {
	defer close(d.done)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-d.set.Closed():
		slog.Info("left: every connection has ended")
	case <-timer.C:
		slog.Info("left: the time is over", "cut", d.traffic.Cut())
	}
}
