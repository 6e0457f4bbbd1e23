package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/ship"
)

// bench is one run of this command.
type bench struct {
	options
	log     io.Writer
	slipway string // our program
	engine  engineRoom
	project project.Project // what is compared, as Slipway sees it
	origin  string          // its repository, which every contender clones
}

// open makes what all measurements need: our program, and an engine that only the bench uses.
func open(ctx context.Context, o options, log io.Writer) (*bench, error) {
	if _, err := os.Stat(filepath.Join(o.root, "bench", "testdata", "service")); err != nil {
		return nil, errors.New("this is not Slipway's repository: run go run ./bench at its top")
	}
	if err := os.MkdirAll(o.work, 0o755); err != nil {
		return nil, fmt.Errorf("make the work directory: %w; name another one with -work", err)
	}
	b := &bench{options: o, log: log, slipway: filepath.Join(o.work, "bin", "slipway")}
	b.say("building slipway")
	build := process{dir: o.root, env: environ("CGO_ENABLED=0"), argv: []string{"go", "build", "-trimpath", "-buildvcs=false", "-o", b.slipway, "./cmd/slipway"}}
	if _, err := build.run(ctx); err != nil {
		return nil, err
	}
	b.engine = engineRoom{slipway: b.slipway, cache: filepath.Join(o.work, "slipway")}
	b.say("starting an engine that only the bench uses")
	return b, b.engine.open(ctx)
}

// close stops the bench's engine; what it has cached stays for the next time.
func (b *bench) close() { b.engine.stop() }

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

// measure does what the options ask for and returns the document.
func (b *bench) measure(ctx context.Context) (string, error) {
	var doc document
	err := b.about(ctx, &doc)
	if err == nil && (b.compare || b.profile) {
		err = b.prepareProject(ctx)
	}
	switch {
	case err != nil:
		return "", err
	case b.profile:
		err = b.writeProfile(ctx, &doc)
		return doc.String(), err
	}
	if b.compare {
		err = b.writeComparison(ctx, &doc)
	}
	if err == nil && b.growth {
		err = b.writeGrowth(ctx, &doc)
	}
	return doc.String(), err
}

// prepareProject makes the repository that is compared, and has its modules fetched.
func (b *bench) prepareProject(ctx context.Context) error {
	b.origin = filepath.Join(b.work, "origin")
	if err := remake(b.origin); err != nil {
		return err
	}
	if err := b.fillOrigin(ctx); err != nil {
		return err
	}
	p, err := b.load(ctx, b.origin)
	if err != nil {
		return err
	}
	for i := range p.Apps {
		if !p.Apps[i].TargetsNamed || b.checkout == "" {
			p.Apps[i].Targets = b.targets
		}
	}
	b.project = p
	b.say("fetching the modules of %s", p.Name)
	return b.fetchModules(ctx)
}

func (b *bench) fillOrigin(ctx context.Context) error {
	switch {
	case b.checkout != "":
		return git(ctx, b.work, "clone", "-q", "--", b.checkout, b.origin)
	case b.quick:
		return commitFiles(ctx, b.origin, tinyProgram(nil))
	}
	if err := os.CopyFS(b.origin, os.DirFS(filepath.Join(b.root, "bench", "testdata", "service"))); err != nil {
		return fmt.Errorf("copy the service: %w", err)
	}
	return commitAll(ctx, b.origin)
}

// load reads a project as Slipway does.
func (b *bench) load(ctx context.Context, dir string) (project.Project, error) {
	none := func(string) string { return "" }
	p, err := project.Load(ctx, project.Options{Source: dir, Dist: filepath.Join(dir, "dist"), PinnedGo: ship.PinnedGo, Getenv: none})
	if err == nil && len(p.Apps) == 0 {
		err = errors.New("it has no program: name a checkout that slipway can build")
	}
	if err != nil {
		return p, fmt.Errorf("read the project: %w", err)
	}
	return p, nil
}

// fetchModules fills the module cache that go build and GoReleaser share, and the engine's with the same. It is the same for
// all that nothing is fetched while it is measured.
func (b *bench) fetchModules(ctx context.Context) error {
	for _, app := range b.project.Apps {
		for _, t := range app.Targets {
			list := process{dir: filepath.Join(b.origin, app.Dir), env: b.goEnv("fetch", t.Env()...), argv: []string{"go", "list", "-deps", "-test", "./..."}}
			if _, err := list.run(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// goEnv is the environment of a contender that calls the go command itself: the Go and the flags that ours has, a build cache
// of its own, and modules that are there.
func (b *bench) goEnv(name string, more ...string) []string {
	settings := []string{
		"GOCACHE=" + b.buildCache(name), "GOMODCACHE=" + b.modules(), "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0",
		"GOTOOLCHAIN=go" + b.project.Go.Version + "+auto", "GOTELEMETRY=off",
	}
	return environ(append(settings, more...)...)
}

func (b *bench) buildCache(name string) string { return filepath.Join(b.work, "gocache", name) }
func (b *bench) modules() string               { return filepath.Join(b.work, "modules") }
