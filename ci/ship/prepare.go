package ship

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway"
	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rootfs"
	"github.com/slipway-ci/slipway/ci/secret"
)

// prepare opens the engine and makes the root filesystems, all at once: on a new machine each takes its time.
func (r *run) prepare(ctx context.Context, stage *report.StageRecorder) (pipelines.Config, error) {
	config := pipelines.Config{
		Project: r.project, Report: r.report, NoCache: r.options.NoCache, Verbose: r.options.Verbose, RunID: r.id, Started: r.started,
		Slipway: r.options.Slipway, Exclude: pipelines.Excluded(r.project.Root, r.dist.dir, unsent(r.project, r.options.Source)...), Change: r.options.Change, Scratch: r.dist.staging,
		Publishing: r.verb == Publish, Only: r.only, Over: r.over,
	}
	if r.needsTests() {
		config.VulnDB = soon(func() pipelines.VulnDB { return vulnDB(ctx, r.options.Getenv) })
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.openEngine(groupCtx, stage) })
	if r.sendsAll() {
		group.Go(func() error {
			config.Changed = r.changes(config.Exclude)
			r.found, config.Exclude = r.survey(groupCtx, config.Exclude)
			return nil
		})
	}
	group.Go(func() (err error) {
		config.Toolchain, err = r.rootfs(groupCtx, stage, "Go "+r.project.Go.Version, func(ctx context.Context, o rootfs.Options) (string, error) {
			return rootfs.Toolchain(ctx, o, r.project.Go.Version, hostArch())
		})
		return err
	})
	if r.needsTests() {
		group.Go(func() (err error) {
			config.TestRoot, config.NoTestRoot, err = r.testRoot(groupCtx, stage)
			return err
		})
	}
	if r.needsImages() {
		group.Go(func() (err error) {
			r.from, err = r.imageSource(groupCtx, stage)
			return err
		})
	}
	group.Go(func() error {
		config.Machine = machine(groupCtx, r.options)
		return nil
	})
	group.Go(func() error { return r.checkRegistries(groupCtx, stage) })
	if err := group.Wait(); err != nil {
		return config, err
	}
	config.Client, config.Sent = r.session.Client, r.session.Sent
	return config, nil
}

// unsent is what of the project never reaches the engine, relative to its root: what earlier runs have made, and files with keys
// and tokens, which no build and no cache needs to see.
func unsent(p project.Project, source string) []string {
	names := slices.Clone(p.Outputs)
	secrets := []secret.Reference{p.Publish.Key, p.Publish.Password}
	if p.Publish.Keyless != nil {
		secrets = append(secrets, p.Publish.Keyless.Token)
	}
	if p.Publish.GitHub != nil {
		secrets = append(secrets, p.Publish.GitHub.Token)
	}
	for _, e := range p.Environments {
		for _, ref := range e.Secrets {
			secrets = append(secrets, ref)
		}
		for _, who := range e.Notify {
			secrets = append(secrets, who.Address)
		}
	}
	for _, ref := range secrets {
		path, ok := ref.File(source)
		if rel, err := filepath.Rel(p.Root, path); ok && err == nil && filepath.IsLocal(rel) {
			names = append(names, filepath.ToSlash(rel))
		}
	}
	return names
}

// begin asks the engine for what the stages need to know, and sends it the sources.
func (r *run) begin(ctx context.Context, stage *report.StageRecorder, config pipelines.Config) error {
	stages := pipelines.New(config)
	atOnce, err := parallel(ctx, r.session, stages)
	if err != nil {
		return err
	}
	r.report.Parallel(atOnce)
	r.stages = stages.WithJobs(atOnce.Jobs)
	err = r.upload(ctx, stage, r.found)
	stage.Done("")
	return err
}

// soon starts to work out a value at once and returns what waits for it.
func soon[T any](find func() T) func() T {
	value := make(chan T, 1)
	go func() { value <- find() }()
	return sync.OnceValue(func() T { return <-value })
}

func (r *run) needsTests() bool {
	for _, app := range r.project.Apps {
		if app.Build.CGO {
			return true
		}
	}
	return r.verb.verifies()
}

func (r *run) needsImages() bool {
	if !r.verb.images() {
		return false
	}
	for _, app := range r.project.Apps {
		if app.Image.Enabled {
			return true
		}
	}
	return false
}

// openEngine finds or starts the engine and says which one and why.
func (r *run) openEngine(ctx context.Context, stage *report.StageRecorder) error {
	step := stage.Step("engine")
	session, err := openEngine(ctx, r.options, step.Progress, r.report.Warn)
	if err != nil {
		step.Done(report.Result{Status: report.Failed})
		return err
	}
	r.session = session
	r.report.Engine(report.Engine{Kind: string(session.Choice.Kind), Address: session.Choice.Address, Version: session.Version, Reason: session.Choice.Reason})
	step.Done(report.Result{Summary: fmt.Sprintf("%s, %s: %s", session.Version, session.Choice.Kind, session.Choice.Reason)})
	return nil
}

// openEngine opens a session on the engine that the options ask for.
func openEngine(ctx context.Context, o Options, progress, warn func(string)) (*engine.Session, error) {
	own := EmbeddedOptions(o.Cache, o.Getenv, progress)
	return engine.Open(ctx, engine.Options{
		Want: o.Engine, Getenv: o.Getenv, Environ: o.Environ, Progress: progress,
		Own: func(ctx context.Context) (address, cli string, err error) {
			endpoint, err := embedded.Ensure(ctx, own)
			if endpoint.Reset {
				warn("cache reset: the engine's cache could not be read and was started anew, so this run takes longer")
			}
			return endpoint.Address, endpoint.CLI, err
		},
		Watch: func(ctx context.Context) error { return embedded.Watch(ctx, own) },
		BuildCLI: func(ctx context.Context) (string, error) {
			dir, err := embedded.Tools(ctx, own)
			return filepath.Join(dir, "dagger"), err
		},
	})
}

// EmbeddedOptions is how the users' embedded engine is set up.
func EmbeddedOptions(cache string, getenv func(string) string, progress func(string)) embedded.Options {
	return embedded.Options{Cache: cache, Getenv: getenv, Progress: progress}
}

// rootfs makes one root filesystem, shown as a step.
func (r *run) rootfs(ctx context.Context, stage *report.StageRecorder, name string, build func(context.Context, rootfs.Options) (string, error)) (string, error) {
	step := stage.Step(name)
	file, err := build(ctx, rootfs.Options{Cache: r.options.Cache, Environ: r.options.Environ, Progress: step.Progress})
	if err != nil {
		step.Cancel()
		var toolchain *rootfs.ToolchainError
		if errors.As(err, &toolchain) {
			return "", &LackingError{Cause: err}
		}
		return "", err
	}
	step.Done(report.Result{})
	return file, nil
}

// testRoot makes the Debian root for tests. A machine that cannot have one still tests, without the race detector, unless an
// app needs a C compiler.
func (r *run) testRoot(ctx context.Context, stage *report.StageRecorder) (file, why string, err error) {
	step := stage.Step("test root")
	file, err = rootfs.Tests(ctx, rootfs.Options{Cache: r.options.Cache, Environ: r.options.Environ, Progress: step.Progress})
	switch {
	case err == nil:
		step.Done(report.Result{Summary: "Debian with git, a C compiler and time zones"})
		return file, "", nil
	case ctx.Err() != nil || !errors.Is(err, debian.ErrUnavailable):
		step.Cancel()
		return "", "", err
	}
	why = strings.TrimPrefix(err.Error(), debian.ErrUnavailable.Error()+": ")
	for _, app := range r.project.Apps {
		if app.Build.CGO {
			step.Cancel()
			return "", "", &LackingError{Cause: fmt.Errorf("%s needs cgo, and there is no root with a C compiler: %w\n  fix: make setup, or apt-get install %s", app.Name, err, debian.Package)}
		}
	}
	step.Done(report.Result{Status: report.NotChecked, Summary: "tests run without a system around them: " + why})
	return "", why, nil
}

// imageSource reads Dockerfile.runtime and makes the base of the images.
func (r *run) imageSource(ctx context.Context, stage *report.StageRecorder) (pipelines.ImageSource, error) {
	text, own, err := pipelines.Dockerfile(r.project, slipway.DockerfileRuntime)
	if err != nil {
		return pipelines.ImageSource{}, err
	}
	why := "the built-in Dockerfile.runtime"
	if own {
		why = "the project's own"
	}
	r.report.Fact(report.Fact{What: "image", Value: "Dockerfile.runtime", Why: why})
	file, err := r.rootfs(ctx, stage, "image base", func(ctx context.Context, o rootfs.Options) (string, error) {
		return rootfs.Base(ctx, o, r.project.Go.Version, hostArch())
	})
	return pipelines.ImageSource{Dockerfile: text, Base: file}, err
}
