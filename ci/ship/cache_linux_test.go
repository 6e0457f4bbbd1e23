package ship_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// newRunnerMachine is a machine of a CI system: the engine's programs are there, and it has never run.
func newRunnerMachine(t *testing.T) (cache string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("an engine of our own needs root")
	}
	users, err := ship.CacheDir(os.Getenv)
	require.NoError(t, err)
	cache = t.TempDir()
	for _, dir := range []string{"engine/layers", "rootfs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(users, dir), 0o755))
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(cache, dir)), 0o755))
		require.NoError(t, os.Symlink(filepath.Join(users, dir), filepath.Join(cache, dir)))
	}
	t.Cleanup(func() { assert.NoError(t, embedded.Stop(context.Background(), embedded.Options{Cache: cache})) })
	return cache
}

// What one runner has compiled, the next one need not: the export of the first makes a run on a second that knows nothing at
// least twice as fast, and it makes the same.
func TestCachesOutliveTheEngine(t *testing.T) {
	m := newModule(t, "service", nil)
	kept := filepath.Join(t.TempDir(), "kept")

	first := newRunnerMachine(t)
	cold, sums := m.buildsOn(first)
	run, digest, err := ship.ExportCache(t.Context(), m.on(first), kept, nil)
	require.NoError(t, err, "%s", outline(run))
	assert.Regexp(t, `^sha256:[0-9a-f]{64}$`, digest)
	_, again, err := ship.ExportCache(t.Context(), m.on(first), kept, nil)
	require.NoError(t, err)
	assert.Equal(t, digest, again, "nothing is new")

	second := newRunnerMachine(t)
	run, err = ship.ImportCache(t.Context(), m.on(second), kept, nil)
	require.NoError(t, err, "%s", outline(run))
	assert.Equal(t, report.OK, run.Stages[0].Status, "%s", outline(run))
	require.NoError(t, os.RemoveAll(m.dist()))
	warm, same := m.buildsOn(second)
	assert.Equal(t, sums, same)
	t.Logf("cold %s, restored %s", cold, warm)
	assert.LessOrEqual(t, warm, cold/2)
}

// buildsOn builds on a machine, and says how long the stage took.
func (m module) buildsOn(cache string) (time.Duration, string) {
	m.t.Helper()
	run, err := m.run(m.t.Context(), ship.Build, m.on(cache), nil)
	require.NoError(m.t, err)
	require.Zero(m.t, run.ExitCode, "%s", outline(run))
	for _, s := range run.Stages {
		if s.Name == "build" {
			return s.Duration.Std(), m.read("checksums.txt")
		}
	}
	require.Fail(m.t, "no build")
	return 0, ""
}

func (m module) on(cache string) ship.Options {
	options := m.options()
	options.Engine, options.Cache = "embedded", cache
	return options
}

func TestDamagedCachesAreLeftOut(t *testing.T) {
	cache, kept := newRunnerMachine(t), t.TempDir()
	m := newModule(t, "service", nil)
	run, err := ship.ImportCache(t.Context(), m.on(cache), kept, nil)
	require.NoError(t, err)
	assert.Empty(t, run.Stages, "there is nothing to bring back, so no engine was started")

	require.NoError(t, os.Mkdir(filepath.Join(kept, "sha256"), 0o755))
	const digits = "00000000000000000000000000000000000000000000000000000000000000ff"
	require.NoError(t, os.WriteFile(filepath.Join(kept, "sha256", digits), []byte("something else"), 0o644))
	list := `{"schema": 1, "caches": {"go-build": {"digest": "sha256:` + digits + `"}, "go-modules": {"digest": "sha256:../../index.json"}}}`
	require.NoError(t, os.WriteFile(filepath.Join(kept, "index.json"), []byte(list), 0o644))
	run, err = ship.ImportCache(t.Context(), m.on(cache), kept, nil)
	require.NoError(t, err)
	assert.Zero(t, run.ExitCode)
	var said []string
	for _, step := range run.Stages[0].Steps {
		if step.Status == report.Warned {
			said = append(said, step.Summary)
		}
	}
	assert.ElementsMatch(t, []string{"left out: it is damaged: its content has another digest", `left out: "sha256:../../index.json" is no digest`}, said)
}
