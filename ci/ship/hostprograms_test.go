package ship

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// Helper and proxy are compiled from what the program carries, and kept.
func TestHostPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the proxy on an engine: run without -short")
	}
	o, err := Options{Engine: cmp.Or(os.Getenv("SLIPWAY_TEST_ENGINE"), "embedded")}.settled()
	require.NoError(t, err)
	recorder := report.NewRecorder(report.Run{}, nil, time.Now)
	made, err := hostPrograms(t.Context(), o, recorder.Stage("programs"), hostArch())
	require.NoError(t, err)
	builtFor(t, made.Proxy, "github.com/slipway-ci/slipway/proxy", hostArch())
	builtFor(t, made.Helper, helperPath, hostArch())
	again, err := hostPrograms(t.Context(), Options{Cache: o.Cache, Engine: "tcp://127.0.0.1:1"}, recorder.Stage("programs, again"), hostArch())
	require.NoError(t, err, "no engine is needed for what is kept")
	assert.Equal(t, made, again)
	_, err = hostPrograms(t.Context(), o, recorder.Stage("none"), "vax")
	assert.ErrorContains(t, err, "linux/vax")
}

const helperPath = "github.com/slipway-ci/slipway/ci/rollout/host/helper"

func builtFor(t *testing.T, program HostProgram, path, arch string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program.Path)
	require.NoError(t, err)
	assert.Equal(t, path, info.Path)
	assert.Contains(t, info.Settings, debug.BuildSetting{Key: "GOARCH", Value: arch})
	assert.Equal(t, "go"+PinnedGo, info.GoVersion)
}

// They are compiled for another processor too. The proxy, which takes minutes, is left out.
func TestHostProgramsForAnotherProcessor(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles on an engine: run without -short")
	}
	o, err := Options{Engine: cmp.Or(os.Getenv("SLIPWAY_TEST_ENGINE"), "embedded")}.settled()
	require.NoError(t, err)
	source, err := slipway.HelperSource()
	require.NoError(t, err)
	m := hostMaker{options: o, stage: report.NewRecorder(report.Run{}, nil, time.Now).Stage("programs")}
	made, err := m.all(t.Context(), pipelines.Program{Name: "slipway-host", Source: source, Main: slipway.HelperMain, Target: target.Target{OS: "linux", Arch: "riscv64"}})
	require.NoError(t, err)
	builtFor(t, made[0], helperPath, "riscv64")
}

// What is kept and was changed is made anew; what cannot be compiled says why, and leaves nothing.
func TestHostProgramsAreWhatTheyWere(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles on an engine: run without -short")
	}
	o, err := Options{Engine: cmp.Or(os.Getenv("SLIPWAY_TEST_ENGINE"), "embedded")}.settled()
	require.NoError(t, err)
	recorder := report.NewRecorder(report.Run{}, nil, time.Now)
	m := hostMaker{options: o, stage: recorder.Stage("programs")}
	p := pipelines.Program{Name: "hello", Main: ".", Target: target.Target{OS: "linux", Arch: "amd64"}, Source: map[string]string{
		"go.mod": "module example.org/hello\n\ngo 1.25\n", "main.go": "package main\n\nfunc main() { println(\"hello\") }\n", "time.txt": time.Now().String()}}
	t.Cleanup(func() { forget(t, m.file(p)) })
	first, err := m.all(t.Context(), p)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(first[0].Path, []byte("damaged"), 0o755))
	again, err := m.all(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, first, again)
	_, err = kept(first[0].Path)
	assert.NoError(t, err)

	forget(t, m.file(p))
	p.Source["main.go"] = "package main\n\nfunc main() { mistake }\n"
	_, err = m.all(t.Context(), p)
	assert.ErrorContains(t, err, "undefined: mistake")
	assert.NoFileExists(t, m.file(p))
}

// forget removes a program that a test has made from the user's cache.
func forget(t *testing.T, file string) {
	t.Helper()
	for _, suffix := range []string{"", ".sha256", ".lock"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
		}
	}
}
