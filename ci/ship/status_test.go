//go:build unix

package ship

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watched is a project that is rolled out with commands, which tell what files say.
type watched struct {
	t     *testing.T
	dir   string
	cache string
	hook  *httptest.Server

	mu   sync.Mutex
	told []string
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t, dir: t.TempDir(), cache: t.TempDir()}
	w.hook = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, string(body))
	}))
	t.Cleanup(w.hook.Close)
	w.write("go.mod", "module example.org/tool\n\ngo 1.25\n")
	w.write("main.go", "package main\n\nfunc main() {}\n")
	w.write("slipway.yaml", `version: 1
environments:
  prod:
    driver: command
    hosts: [eu]
    strategy: restart
    notify: [{webhook: env://WEBHOOK}]
    commands:
      observe: [cat, state.json]
      start: [/bin/false]
      stop: [/bin/false]
      probe: [cat, sample.json]
`)
	w.runs("one", "one", "healthy")
	w.samples("healthy", 0)
	return w
}

// write replaces a file in one step: it may be read at any time.
func (w *watched) write(name, text string) {
	place := filepath.Join(w.dir, name)
	require.NoError(w.t, os.WriteFile(place+".new", []byte(text), 0o644))
	require.NoError(w.t, os.Rename(place+".new", place))
}

func (w *watched) runs(committed, release, health string) {
	digest := func(name string) string { return "sha256:" + strings.Repeat(fmt.Sprintf("%02x", name[0]), 32) }
	w.write("state.json", fmt.Sprintf(`{"committed":%q,"slots":[{"name":"blue","release":%q,"health":%q,"weight":100}]}`, digest(committed), digest(release), health))
}

func (w *watched) samples(health string, restarts int) {
	w.write("sample.json", fmt.Sprintf(`{"health":%q,"restarts":%d}`, health, restarts))
}

func (w *watched) options() EnvironmentOptions {
	return EnvironmentOptions{Environment: "prod", Options: Options{Source: w.dir, Cache: w.cache, Getenv: func(name string) string {
		switch name {
		case "WEBHOOK":
			return w.hook.URL
		case "PATH":
			return os.Getenv(name)
		}
		return ""
	}}}
}

// notified is what the webhook has got.
func (w *watched) notified() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.told...)
}

// A watch tells when something stops to do well and when it does well again, once each; what a gate sees counts too.
func TestWatch(t *testing.T) {
	w := newWatched(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	steps := []struct {
		what string
		make func()
		well bool
		told int
	}{
		{"it runs", func() {}, true, 0},
		{"unhealthy", func() { w.runs("one", "one", "unhealthy") }, false, 1},
		{"well again", func() { w.runs("one", "one", "healthy") }, true, 2},
		{"another release", func() { w.runs("one", "two", "healthy") }, false, 3},
		{"the right one again", func() { w.runs("one", "one", "healthy") }, true, 4},
		{"restarted", func() { w.samples("healthy", 1) }, false, 5},
	}
	next := 0
	err := Watch(ctx, w.options(), time.Millisecond, func(now Status) {
		if next > 0 && now.Well != steps[next-1].well {
			return // what was changed is not seen yet
		}
		if next > 0 && len(w.notified()) < steps[next-1].told {
			return // it is told after this
		}
		if next == len(steps) {
			cancel()
			return
		}
		steps[next].make()
		next++
	})
	require.NoError(t, err)
	require.Equal(t, len(steps), next, "the watch got to %s", steps[max(0, next-1)].what)
	told := w.notified()
	require.Len(t, told, 5, "once each")
	assert.Contains(t, told[0], `"well":false`)
	assert.Contains(t, told[1], `"well":true`)
	assert.Contains(t, told[4], "it was restarted 1 times")
}
