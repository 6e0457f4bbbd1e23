package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"dagger/slipway/internal/dagger"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/ci/target"
)

// The sources and the output in the working directory of the function's container, which belongs to one call and ends with it. All
// that crosses between Dagger and ci/ship are files in here (docs/adr/0024-dagger-module.md).
const (
	sourceDir = "source"
	distDir   = "dist"
)

// wish is what a function asks of a run beside its verb.
type wish struct {
	skip    []string
	targets []string
	force   bool
}

// carryOut is run for the functions that return the output directory.
func (s Slipway) carryOut(ctx context.Context, verb ship.Verb, source *dagger.Directory, w wish) (*dagger.Directory, error) {
	if _, err := s.run(ctx, verb, source, w); err != nil {
		return nil, err
	}
	return dag.CurrentModule().Workdir(distDir).Sync(ctx)
}

// run carries out a verb on a copy of the sources. What is wrong with the project is an error too: a function has no exit code.
func (s Slipway) run(ctx context.Context, verb ship.Verb, source *dagger.Directory, w wish) (report.Run, error) {
	options, err := s.options(ctx, w)
	if err != nil {
		return report.Run{}, err
	}
	if _, err := source.Export(ctx, sourceDir); err != nil {
		return report.Run{}, fmt.Errorf("fetch the sources: %w", err)
	}
	view := render.NewPlain(os.Stderr, render.Options{})
	defer view.Stop()
	run, err := ship.Run(ctx, verb, options, view)
	if err == nil && run.ExitCode != ship.ExitOK {
		err = errors.New(told(run))
	}
	return run, err
}

// options are those of the command that does the same.
func (s Slipway) options(ctx context.Context, w wish) (ship.Options, error) {
	o := ship.Options{Source: sourceDir, Dist: distDir, Skip: w.skip, NoCache: s.NoCache, Force: w.force, Environ: os.Environ(), Slipway: "module"}
	if s.Config != "" {
		o.Config = path.Join(sourceDir, s.Config)
	}
	for _, text := range w.targets {
		t, err := target.Parse(text)
		if err != nil {
			return o, fmt.Errorf("--target: %w", err)
		}
		o.Targets = append(o.Targets, t)
	}
	o.Environ = append(o.Environ, s.Variables...)
	for i, name := range s.SecretNames {
		value, err := s.Secrets[i].Plaintext(ctx)
		if err != nil {
			return o, fmt.Errorf("read the secret %s: %w", name, err)
		}
		o.Environ = append(o.Environ, name+"="+value)
	}
	o.Getenv = lookup(o.Environ)
	return o, nil
}

// lookup finds variables in an environment; of several with one name, the last counts.
func lookup(environ []string) func(string) string {
	values := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

// told is what went wrong, for whoever reads the error and not the log.
func told(run report.Run) string {
	var text strings.Builder
	for _, failure := range run.Failures {
		_ = render.Card(&text, failure, render.Options{}) // a builder takes everything
	}
	return text.String() + render.LastLine(run)
}
