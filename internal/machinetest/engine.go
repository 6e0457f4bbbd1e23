package machinetest

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
)

// instance is the engine of these tests. It keeps its state, so that the machines' root is imported once.
const instance = "machines"

// needs skips a test where there can be no machines.
func needs(t *testing.T) {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("it starts machines with systemd: run without -short")
	case runtime.GOOS != "linux" || os.Geteuid() != 0:
		t.Skip("it starts an engine of its own, which needs Linux and root")
	}
	if err := debian.Available(); err != nil {
		t.Skip("machines are made of Debian packages: ", err)
	}
	if _, _, err := debian.Host(t.Context()); err != nil {
		t.Skip("machines are made of Debian packages: ", err)
	}
}

func options(progress func(string)) (embedded.Options, error) {
	cache, err := cacheDir()
	return embedded.Options{Cache: cache, Instance: instance, InsecureRootCapabilities: true, Idle: 2 * time.Minute, Getenv: os.Getenv, Progress: progress}, err
}

func cacheDir() (string, error) {
	if dir := os.Getenv("SLIPWAY_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "slipway"), err
}

// users is locked by all that use the engine, each for itself, and by who stops it alone: packages are tested side by side.
func users() (*flock.Flock, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	return flock.New(filepath.Join(cache, "machines.lock")), os.MkdirAll(cache, 0o755)
}

// session opens a session on the engine, for as long as the test runs.
func session(t *testing.T) *dagger.Client {
	t.Helper()
	using, err := users()
	require.NoError(t, err)
	require.NoError(t, using.RLock())
	t.Cleanup(func() { _ = using.Unlock() })
	opts, err := options(func(text string) { t.Log(text) })
	require.NoError(t, err)
	s, err := engine.Open(t.Context(), engine.Options{
		Want: engine.WantEmbedded, Getenv: os.Getenv, Environ: os.Environ(),
		Own: func(ctx context.Context) (address, cli string, err error) {
			endpoint, err := embedded.Ensure(ctx, opts)
			return endpoint.Address, endpoint.CLI, err
		},
	})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s.Client
}

// stopUnused stops the engine, unless tests of another package use it.
func stopUnused() {
	opts, err := options(nil)
	if err != nil {
		return
	}
	using, err := users()
	if err != nil {
		return
	}
	if free, err := using.TryLock(); err != nil || !free {
		return // who uses it stops it
	}
	defer using.Unlock() //nolint:errcheck // it ends with this process
	ctx := context.Background()
	if state, err := embedded.Status(ctx, opts); err == nil && state.Phase == embedded.PhaseRunning && state.Connections == 0 {
		_ = embedded.Stop(ctx, opts) // it stops by itself otherwise
	}
}
