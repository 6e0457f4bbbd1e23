package embedded

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dagger.io/dagger/engineconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The version has one place, the SDK. The module that builds the engine must follow it.
func TestEmbeddedModuleHasTheSDKsVersion(t *testing.T) {
	var goMod, goSum string
	require.NoError(t, walkModule("dagger", func(name string, content []byte) error {
		switch name {
		case "go.mod":
			goMod = string(content)
		case "go.sum":
			goSum = string(content)
		}
		return nil
	}))
	assert.Contains(t, goMod, "require "+daggerPackage+" v"+engineconn.CLIVersion+"\n")
	assert.Contains(t, goSum, daggerPackage+" v"+engineconn.CLIVersion+" h1:9/UfBZUc7Bx5bcEZT5PlgPQDbkojzO0/4E7cn+/PEAk=")
}

func TestModulesAreWrittenUnderGoNames(t *testing.T) {
	for _, module := range []string{"dagger", "cni", "runc"} {
		dir := t.TempDir()
		require.NoError(t, writeModule(module, dir))
		assert.FileExists(t, filepath.Join(dir, "go.mod"))
		assert.FileExists(t, filepath.Join(dir, "go.sum"))
	}
	dir := t.TempDir()
	require.NoError(t, writeModule("dagger", dir))
	assert.FileExists(t, filepath.Join(dir, "distconsts", "go.mod"))
}

func TestRuncIsNewEnoughForItsFixes(t *testing.T) {
	require.NoError(t, walkModule("runc", func(name string, content []byte) error {
		if name == "go.mod" {
			assert.Regexp(t, `opencontainers/runc v1\.4\.([2-9]|\d\d)`, string(content))
		}
		return nil
	}))
}

func TestKeyFollowsEverythingThatChangesTheBits(t *testing.T) {
	key := func(spec goLayer, version, platform string) string {
		k, err := spec.key(version, platform)
		require.NoError(t, err)
		return k
	}
	first := key(engineLayer(), "go1.26.8", "linux/amd64")
	assert.Equal(t, first, key(engineLayer(), "go1.26.8", "linux/amd64"))
	assert.NotEqual(t, first, key(engineLayer(), "go1.26.9", "linux/amd64"))
	assert.NotEqual(t, first, key(engineLayer(), "go1.26.8", "linux/arm64"))
	assert.NotEqual(t, first, key(cliLayer(), "go1.26.8", "linux/amd64"))
}

func TestGoEnvIsOurs(t *testing.T) {
	env := goEnv([]string{"GOFLAGS=-mod=vendor", "GOOS=windows", "CGO_CFLAGS=-O0", "GONOSUMDB=*", "GOPROXY=https://proxy", "HTTPS_PROXY=http://p", "HOME=/h"}, "/cache")
	assert.Contains(t, env, "GOFLAGS=-mod=readonly")
	assert.Contains(t, env, "GOPROXY=https://proxy")
	assert.Contains(t, env, "HTTPS_PROXY=http://p")
	for _, dropped := range []string{"GOFLAGS=-mod=vendor", "GOOS=windows", "CGO_CFLAGS=-O0", "GONOSUMDB=*"} {
		assert.NotContains(t, env, dropped)
	}
	assert.Contains(t, goEnv(nil, "/cache"), "GOCACHE=/cache/go-build", "a service has no HOME")
}

func TestNewEnough(t *testing.T) {
	for version, want := range map[string]bool{"go1.25.5": true, "go1.26.8": true, "go1.25.4": false, "go1.24": false, "devel go1.28-abc": true, "go1.26.8 X:foo": true} {
		assert.Equal(t, want, newEnough(version), version)
	}
}

func TestEngineJSONRefusesPrivilegesByDefault(t *testing.T) {
	content, err := engineJSON(GC{MaxUsed: "75%"}, false)
	require.NoError(t, err)
	assert.JSONEq(t, `{"logLevel":"warn","gc":{"enabled":true,"reservedSpace":"2GB","maxUsedSpace":"75%","minFreeSpace":"10%"},"security":{"insecureRootCapabilities":false}}`, string(content))
}

func TestEngineEnvCarriesProxies(t *testing.T) {
	env := engineEnv(func(key string) string { return map[string]string{"https_proxy": "http://p:1", "SECRET": "s"}[key] })
	assert.Contains(t, env, "https_proxy=http://p:1")
	assert.Contains(t, env, "DO_NOT_TRACK=1")
	assert.NotContains(t, strings.Join(env, "\n"), "SECRET")
}

func TestLoopbackProxyIsNoticed(t *testing.T) {
	for value, want := range map[string]bool{"http://127.0.0.1:3128": true, "http://u:p@localhost:1": true, "http://proxy:3128": false, "": false} {
		_, found := loopbackProxy(func(key string) string { return map[string]string{"HTTPS_PROXY": value}[key] })
		assert.Equal(t, want, found, value)
	}
}

func TestSocketPathsFitTheKernel(t *testing.T) {
	short := Options{Cache: "/root/.cache/slipway"}.layout()
	assert.Equal(t, "/root/.cache/slipway/engine/engine-"+Version+"/sock/engine.sock", short.engineSocket())
	long := Options{Cache: "/" + strings.Repeat("x", 200)}.layout()
	assert.LessOrEqual(t, len(long.controlSocket()), maxSocketPath)
	assert.NotEqual(t, long.sockets(), Options{Cache: "/" + strings.Repeat("x", 200), Instance: "other"}.layout().sockets())
}

func TestOptionsAreChecked(t *testing.T) {
	require.Error(t, Options{}.validate())
	require.Error(t, Options{Cache: "relative"}.validate())
	require.Error(t, Options{Cache: "/c", Instance: "../x"}.validate())
	require.NoError(t, Options{Cache: "/c", Instance: "test-1"}.validate())
}

func TestCheckInfo(t *testing.T) {
	message := append(field(1, daggerPackage), field(2, "v0.19.10")...)
	require.NoError(t, checkInfo(message, "v0.19.10"))
	require.ErrorIs(t, checkInfo(message, "v0.19.1"), errWrongEngine, "a prefix is another version")
	require.ErrorIs(t, checkInfo([]byte("HTTP"), "v0.19.10"), errWrongEngine)
}

func TestStateDirectory(t *testing.T) {
	t.Run("new", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		require.NoError(t, openState(dir))
		require.NoError(t, openState(dir), "and again")
	})
	t.Run("without our marker", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600))
		var foreign *ForeignError
		require.ErrorAs(t, openState(dir), &foreign)
		assert.Equal(t, []string{"thesis.txt"}, foreign.Names)
		assert.NoFileExists(t, filepath.Join(dir, stateMarker))
	})
	t.Run("foreign file where the engine deletes", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		require.NoError(t, openState(dir))
		require.NoError(t, os.WriteFile(filepath.Join(dir, stateRoot, "photos"), nil, 0o600))
		require.ErrorContains(t, openState(dir), "photos")
	})
	t.Run("files of the engine", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		require.NoError(t, openState(dir))
		for _, name := range engineFiles {
			require.NoError(t, os.WriteFile(filepath.Join(dir, stateRoot, name), nil, 0o600))
		}
		require.NoError(t, openState(dir))
	})
}

func TestLayersAreBuiltOnceAndWhole(t *testing.T) {
	opts := Options{Cache: t.TempDir()}
	builds := 0
	l := layer{name: "x", title: "x", key: "1", build: func(_ context.Context, dir string) error {
		builds++
		return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	}}
	built, err := buildLayers(t.Context(), opts, "it", []layer{l})
	require.NoError(t, err)
	assert.True(t, built)
	built, err = buildLayers(t.Context(), opts, "it", []layer{l})
	require.NoError(t, err)
	assert.False(t, built)
	assert.Equal(t, 1, builds)
}

func TestFailedOrInterruptedBuildLeavesNothing(t *testing.T) {
	opts := Options{Cache: t.TempDir()}
	dir := opts.layout().layers()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".build-x-killed"), 0o755))
	l := layer{name: "x", title: "x", key: "1", build: func(context.Context, string) error { return errors.New("boom") }}
	_, err := buildLayers(t.Context(), opts, "it", []layer{l})
	require.ErrorContains(t, err, "build x: boom")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{".x.lock"}, names(entries))
}

func TestSecondBuilderWaitsAndSaysSo(t *testing.T) {
	opts := Options{Cache: t.TempDir()}
	started, finish := make(chan struct{}), make(chan struct{})
	l := layer{name: "x", title: "x", key: "1", build: func(context.Context, string) error {
		close(started)
		<-finish
		return nil
	}}
	first := make(chan error, 1)
	go func() { _, err := buildLayers(context.Background(), opts, "it", []layer{l}); first <- err }()
	<-started
	said := make(chan string, 10)
	second := make(chan bool, 1)
	waiting := opts
	waiting.Progress = func(text string) { said <- text }
	go func() { built, _ := buildLayers(context.Background(), waiting, "it", []layer{l}); second <- built }()
	assert.Contains(t, <-said, "waiting for another slipway")
	close(finish)
	require.NoError(t, <-first)
	assert.False(t, <-second)
}

func TestAptConfigurationActsOnNothingOfTheHost(t *testing.T) {
	config := aptConfig("/work")
	for line := range strings.Lines(config) {
		if strings.HasPrefix(line, "Dir::") {
			assert.Contains(t, line, `"/work`)
		}
	}
	assert.Contains(t, config, "#clear APT::Update::Post-Invoke;")
}

func TestUntar(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Name: "./bin/tool", Typeflag: tar.TypeReg, Mode: 0o755, Size: 2},
		{Name: "./usr/bin/link", Typeflag: tar.TypeLink, Linkname: "./bin/tool"},
		{Name: "./usr/share/doc/tool/README", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "./lib/x/liba.so", Typeflag: tar.TypeSymlink, Linkname: "liba.so.1"},
	} {
		require.NoError(t, w.WriteHeader(&h))
		if h.Size > 0 {
			_, err := w.Write([]byte("hi"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	dir := t.TempDir()
	require.NoError(t, untar(&archive, dir))
	assert.FileExists(t, filepath.Join(dir, "usr/bin/tool"), "merged /usr")
	assert.FileExists(t, filepath.Join(dir, "usr/bin/link"))
	assert.NoDirExists(t, filepath.Join(dir, "usr/share/doc"))
	target, err := os.Readlink(filepath.Join(dir, "usr/lib/x/liba.so"))
	require.NoError(t, err)
	assert.Equal(t, "liba.so.1", target)
}

func TestUntarStaysInside(t *testing.T) {
	outside := t.TempDir()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "./out", Typeflag: tar.TypeSymlink, Linkname: outside}))
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "./out/file", Typeflag: tar.TypeReg, Mode: 0o644}))
	require.NoError(t, w.Close())
	require.Error(t, untar(&archive, t.TempDir()))
	assert.NoFileExists(t, filepath.Join(outside, "file"))
}

func TestWaitLockEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := tryLock(path)
	require.NoError(t, err)
	require.NotNil(t, held)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = waitLock(ctx, path, func() {})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	held.Close()
	again, err := waitLock(t.Context(), path, func() {})
	require.NoError(t, err)
	again.Close()
}

func TestStateIsStableJSON(t *testing.T) {
	content, err := json.Marshal(State{Phase: PhaseStopped, Version: "v1"})
	require.NoError(t, err)
	assert.JSONEq(t, `{"phase":"stopped","version":"v1","address":"","connections":0}`, string(content))
}
