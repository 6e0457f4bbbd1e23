package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/rootfs"
	"github.com/slipway-ci/slipway/ci/ship"
)

// engineRoom is an engine that only the bench uses, so that it can be emptied: the user's own keeps what it has.
type engineRoom struct {
	slipway string // our program
	cache   string // its SLIPWAY_CACHE
}

// env is the environment of our program.
func (e engineRoom) env() []string {
	return environ("SLIPWAY_CACHE="+e.cache, "SLIPWAY_ENGINE=embedded")
}

func (e engineRoom) command(args ...string) process {
	return process{env: e.env(), argv: append([]string{e.slipway}, args...)}
}

// open starts the engine. What the user's cache has of it (its layers, toolchains) is linked, because to build it takes long.
func (e engineRoom) open(ctx context.Context) error {
	if err := e.adopt(ctx); err != nil {
		return err
	}
	_, err := e.command("engine", "start").run(ctx)
	return err
}

// adopt links the parts of the user's cache that never change.
func (e engineRoom) adopt(ctx context.Context) error {
	users, err := ship.CacheDir(os.Getenv)
	if err != nil {
		return err
	}
	return ship.FreshCache(ctx, users, e.cache)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// stop stops the engine. It would stop by itself, later.
func (e engineRoom) stop() { _, _ = e.command("engine", "stop").run(context.Background()) }

// status is what our program says of its engine.
func (e engineRoom) status(ctx context.Context) (pid int, err error) {
	out, _, err := e.command("engine", "status", "--json").output(ctx)
	var state struct{ Engine int }
	if err == nil {
		err = json.Unmarshal(out, &state)
	}
	return state.Engine, err
}

// empty makes a run of ours a cold one: nothing of the project is left in the engine. The toolchain and the modules, which are
// the same for all contenders, are put back.
func (e engineRoom) empty(ctx context.Context, p project.Project, origin, modules string) error {
	if _, err := e.command("engine", "prune").run(ctx); err != nil {
		return err
	}
	toolchain, err := rootfs.Toolchain(ctx, rootfs.Options{Cache: e.cache, Environ: environ(), Progress: func(string) {}}, p.Go.Version, runtime.GOARCH)
	if err != nil {
		return err
	}
	session, err := e.session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	for _, app := range p.Apps {
		for _, t := range app.Targets {
			if err := e.fill(ctx, session.Client, filling{toolchain: toolchain, origin: origin, modules: modules, dir: app.Dir, env: t.Env()}); err != nil {
				return fmt.Errorf("put the modules into the engine: %w", err)
			}
		}
	}
	return nil
}

func (e engineRoom) session(ctx context.Context) (*engine.Session, error) {
	var endpoint struct{ Address, CLI string }
	out, _, err := e.command("engine", "start", "--json").output(ctx)
	if err == nil {
		err = json.Unmarshal(out, &endpoint)
	}
	if err != nil {
		return nil, err
	}
	return engine.Open(ctx, engine.Options{
		Want: engine.WantEmbedded, Getenv: func(string) string { return "" }, Environ: environ(), Progress: func(string) {},
		Own: func(context.Context) (address, cli string, err error) { return endpoint.Address, endpoint.CLI, nil },
	})
}

// Where the stages keep modules in the engine: ci/pipelines/cache.go. A test holds the two together.
const (
	goPath   = "/home/slipway/go"
	goVolume = "slipway-go-path-v1"
	goOwner  = "1000:1000"
)

// filling says which modules are put into the engine.
type filling struct {
	toolchain, origin, modules, dir string
	env                             []string
}

// fill has the go command in the engine unpack the modules that a build needs, from what the machine has downloaded. It
// compiles nothing.
func (e engineRoom) fill(ctx context.Context, client *dagger.Client, f filling) error {
	const source, proxy, cache = "/src", "/proxy", "/tmp/go-build"
	downloaded := filepath.Join(f.modules, "cache", "download")
	if err := os.MkdirAll(downloaded, 0o755); err != nil {
		return err
	}
	c := client.Container().Import(client.Host().File(f.toolchain)).
		WithDirectory(cache, client.Directory(), dagger.ContainerWithDirectoryOpts{Owner: goOwner}).
		WithMountedCache(goPath, client.CacheVolume(goVolume), dagger.ContainerWithMountedCacheOpts{Owner: goOwner, Sharing: dagger.CacheSharingModeShared}).
		WithMountedDirectory(proxy, client.Host().Directory(downloaded)).
		WithMountedDirectory(source, client.Host().Directory(f.origin)).
		WithEnvVariable("GOPATH", goPath).WithEnvVariable("GOCACHE", cache).WithEnvVariable("GOPROXY", "file://"+proxy).
		WithEnvVariable("GOSUMDB", "off").WithEnvVariable("GOTOOLCHAIN", "local").WithEnvVariable("CGO_ENABLED", "0")
	for _, kv := range f.env {
		name, value := cut(kv)
		c = c.WithEnvVariable(name, value)
	}
	_, err := c.WithUser(goOwner).WithWorkdir(filepath.ToSlash(filepath.Join(source, f.dir))).
		WithExec([]string{"/usr/local/go/bin/go", "list", "-deps", "-test", "./..."}).Sync(ctx)
	return err
}
