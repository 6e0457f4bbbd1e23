package ship

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/git"
	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/report"
)

// rebuild builds the commit of a provenance again, in another place, on an engine that knows nothing, and compares.
func (v *releaseVerifier) rebuild(ctx context.Context, stage *report.StageRecorder, provenance attest.Verified) error {
	step := stage.Step("rebuild")
	said, err := readOrigin(provenance.Statement)
	if err != nil {
		step.Cancel()
		return err
	}
	uri, commit, modified := said.commit()
	if commit == "" || modified {
		step.Fail(report.Failure{Title: "it cannot be built again", Cause: "it was built from sources that are in no commit"})
		return nil
	}
	place, err := os.MkdirTemp(v.Cache, "rebuild-") // on the disk of what is linked
	if err != nil {
		step.Cancel()
		return fmt.Errorf("make a directory for the rebuild: %w", err)
	}
	defer os.RemoveAll(place)
	clone := filepath.Join(place, "src")
	step.Progress("cloning " + commit)
	if err := v.clone(ctx, uri, commit, clone); err != nil {
		step.Fail(report.Failure{Title: "its sources cannot be had", Tail: strings.Split(err.Error(), "\n"), Next: "run this in a clone that has commit " + commit})
		return nil
	}
	run, err := v.buildAgain(ctx, clone, filepath.Join(place, "cache"), step)
	if err != nil {
		step.Cancel()
		return fmt.Errorf("build it again: %w", err)
	}
	return v.compare(step, run, clone, said.BuildDefinition.ExternalParameters.App)
}

// clone clones the commit, from the repository that we are in when that has it.
func (v *releaseVerifier) clone(ctx context.Context, uri, commit, to string) error {
	g, err := git.New(v.Source, v.Getenv)
	if err != nil {
		return err
	}
	if has, err := g.Line(ctx, "rev-parse", "--verify", "--quiet", commit+"^{commit}"); err != nil || has != "" {
		if uri, err = g.Line(ctx, "rev-parse", "--show-toplevel"); err != nil {
			return err
		}
	}
	if uri == "" {
		return errors.New("its provenance names no repository, and this directory does not have the commit")
	}
	return g.Reaching(v.Environ).Clone(ctx, uri, commit, to)
}

// freshEngine is an engine of our own, which knows nothing, where this machine can run one and the user names no other.
func (v *releaseVerifier) freshEngine(ctx context.Context, cache string) string {
	if v.Engine != "" && v.Engine != engine.WantAuto {
		return v.Engine
	}
	for _, need := range embedded.Needs(ctx, EmbeddedOptions(cache, v.Getenv, func(string) {})) {
		if !need.Found {
			return v.Engine
		}
	}
	return engine.WantEmbedded
}

// buildAgain assembles the images on an engine of its own, which has the same programs as the user's and none of its state. Where
// there can be no such engine, the user's runs everything anew.
func (v *releaseVerifier) buildAgain(ctx context.Context, source, cache string, step *report.StepRecorder) (report.Run, error) {
	if err := FreshCache(ctx, v.Cache, cache); err != nil {
		return report.Run{}, err
	}
	options := v.Options
	options.Source, options.Config, options.Dist, options.Cache, options.NoCache = source, "", "", cache, true
	options.Engine = v.freshEngine(ctx, cache)
	defer func() {
		_ = embedded.Stop(context.WithoutCancel(ctx), EmbeddedOptions(cache, options.Getenv, func(string) {}))
	}()
	run, err := Run(ctx, Image, options, report.ObserverFunc(func(e report.Event) {
		if started, ok := e.(report.StepStarted); ok {
			step.Progress(started.Stage + ": " + started.Step.Title())
		}
	}))
	if err == nil && run.ExitCode != ExitOK && len(run.Failures) > 0 {
		f := run.Failures[0]
		return run, fmt.Errorf("%s: %s\n%s", f.Stage, f.Title, strings.Join(f.Tail, "\n"))
	}
	return run, err
}

// stateOf says of an engine that is not our own that it may know something of earlier runs.
func stateOf(e report.Engine) string {
	if e.Kind == string(engine.Embedded) {
		return ""
	}
	return " (on an engine that was there before: " + e.Kind + ")"
}

// compare holds the image that was built again against the published one.
func (v *releaseVerifier) compare(step *report.StepRecorder, run report.Run, source, app string) error {
	for _, made := range run.Artifacts {
		if made.Kind != report.KindImage || made.Name != app {
			continue
		}
		if made.Digest == v.root.Digest.String() {
			step.Done(report.Result{Summary: "bit for bit the same: " + made.Digest + stateOf(run.Engine)})
			return nil
		}
		again, err := oci.ReadLayout(filepath.Join(source, "dist", filepath.FromSlash(made.Path)))
		if err != nil {
			return err
		}
		differences, err := oci.Diff(v.index, again)
		if err != nil {
			return err
		}
		step.Fail(report.Failure{
			Title: "what was published is not what its commit builds", Tail: append([]string{"published and built again differ:"}, differences...),
			Next: "do not use this release before it is known why",
		})
		return nil
	}
	step.Fail(report.Failure{Title: "its commit builds no image of " + app})
	return nil
}

// FreshCache makes a cache directory that has what is made once for each machine (the engine's programs, toolchains, root
// filesystems) linked from another one, and nothing that an engine keeps.
func FreshCache(ctx context.Context, from, to string) error {
	for _, part := range []string{"engine/layers", "rootfs"} {
		source, target := filepath.Join(from, filepath.FromSlash(part)), filepath.Join(to, filepath.FromSlash(part))
		if _, err := os.Stat(source); err != nil {
			continue // it is made then
		}
		if _, err := os.Stat(target); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("make a fresh cache: %w", err)
		}
		if err := cloneTree(ctx, source, target); err != nil {
			return fmt.Errorf("make a fresh cache: %w", err)
		}
	}
	return nil
}

// cloneTree makes a tree of hard links with the owners and modes of another, or of copies where the places are on two disks.
func cloneTree(ctx context.Context, from, to string) error {
	if exec.CommandContext(ctx, "cp", "-al", "--", from, to).Run() == nil {
		return nil
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "cp", "-a", "--", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, strings.TrimSpace(string(out)))
	}
	return nil
}
