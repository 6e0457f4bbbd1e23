package ship_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
	"github.com/slipway-ci/slipway/ci/ship"
)

// arguments collects what stands in the command lines of all processes while it runs.
func arguments(t *testing.T) (all func() string) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	seen := map[string]bool{}
	go func() {
		defer close(done)
		often := time.NewTicker(20 * time.Millisecond) // all the time would take a processor from the tests beside it
		defer often.Stop()
		for {
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, line := range lines {
				if data, err := os.ReadFile(line); err == nil {
					seen[string(data)] = true
				}
			}
			select {
			case <-stop:
				return
			case <-often.C:
			}
		}
	}()
	end := sync.OnceFunc(func() { close(stop); <-done })
	t.Cleanup(end)
	return func() string {
		end()
		var text strings.Builder
		for line := range seen {
			text.WriteString(line + "\n")
		}
		return text.String()
	}
}

// A registry that shows everything it is given, a push that goes well, and one that does not: no password, key or token is in what
// people see, in a file of dist and what is packed in it (images, archives), in what the registry got, or in a process's arguments.
func TestNoSecretShows(t *testing.T) {
	needsEngine(t)
	s := newStore(t)
	s.keep = true
	key, _ := newKey(t)
	m, logins := newSigned(t, s, key)
	var log bytes.Buffer
	view := render.NewPlain(&log, render.Options{Verbose: true})
	processes := arguments(t)
	publish := func() report.Run {
		options := m.options()
		logins(&options)
		options.Verbose = true
		run, err := m.run(t.Context(), ship.Publish, options, view)
		require.NoError(t, err)
		return run
	}
	s.fails(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		said, _ := json.Marshal(fmt.Sprint(forms(password)))
		_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":`+string(said)+`}]}`)
		return true
	})
	require.Equal(t, ship.ExitFailed, publish().ExitCode)
	s.fails(nil)
	require.Equal(t, ship.ExitOK, publish().ExitCode)
	view.Stop()
	require.Contains(t, log.String(), "DENIED", "the registry's words are shown")

	lines := strings.Split(strings.TrimSpace(key), "\n")
	var all search
	for _, secret := range append([]string{password}, lines[1:len(lines)-1]...) {
		all.texts = slices.AppendSeq(all.texts, maps.Values(forms(secret)))
	}
	all.look("the log", log.Bytes())
	all.look("the arguments of processes", []byte(processes()))
	assert.Greater(t, all.lookBelow(t, m.dist(), ""), 20)
	require.Greater(t, len(s.received), 20, "blobs, manifests, statements")
	for i, body := range s.received {
		all.look(fmt.Sprintf("request %d to the registry", i), body)
	}
	assert.Empty(t, all.found)
}
