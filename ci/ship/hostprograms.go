package ship

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rootfs"
	"github.com/slipway-ci/slipway/ci/target"
)

// HostProgram is a compiled program of ours on this machine.
type HostProgram struct {
	Path   string
	SHA256 string // in hexadecimal
	Size   int64
}

// HostPrograms are what runs on a host beside the service.
type HostPrograms struct {
	Helper HostProgram // does there what must be done at once
	Proxy  HostProgram // decides which instance a request goes to
}

// hostPrograms are the programs for hosts of an architecture (Go's name). They are compiled once, by the toolchain of this
// release, and kept in the user's cache; only then an engine is needed. It opens a session of its own, so that it can be called
// at any time, beside a run too. Options are settled. The stage is told.
func hostPrograms(ctx context.Context, o Options, stage *report.StageRecorder, arch string) (HostPrograms, error) {
	to, err := target.Parse("linux/" + arch)
	if err != nil {
		return HostPrograms{}, fmt.Errorf("programs for hosts: %w", err)
	}
	helper, err := slipway.HelperSource()
	if err != nil {
		return HostPrograms{}, err
	}
	maker := hostMaker{options: o, stage: stage}
	made, err := maker.all(ctx,
		pipelines.Program{Name: "slipway-host", Source: helper, Main: slipway.HelperMain, Target: to},
		pipelines.Program{Name: "slipway-proxy", Source: slipway.ProxySource(), Main: slipway.ProxyMain, Target: to})
	if err != nil {
		return HostPrograms{}, err
	}
	return HostPrograms{Helper: made[0], Proxy: made[1]}, nil
}

// hostMaker compiles programs, and keeps them.
type hostMaker struct {
	options Options
	stage   *report.StageRecorder
}

// all gives programs in order: those that are kept, and the others compiled in one session.
func (m hostMaker) all(ctx context.Context, programs ...pipelines.Program) ([]HostProgram, error) {
	made := make([]HostProgram, len(programs))
	var missing []int
	for i, p := range programs {
		var err error
		if made[i], err = kept(m.file(p)); err != nil {
			missing = append(missing, i)
			continue
		}
		m.stage.Step(p.Name + " for " + p.Target.String()).Done(report.Result{Status: report.Cached})
	}
	if len(missing) == 0 {
		return made, nil
	}
	stages, done, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	group, ctx := errgroup.WithContext(ctx)
	for _, i := range missing {
		group.Go(func() (err error) {
			made[i], err = m.make(ctx, stages, programs[i])
			return err
		})
	}
	return made, group.Wait()
}

// open opens a session with nothing but a toolchain.
func (m hostMaker) open(ctx context.Context) (pipelines.Stages, func(), error) {
	o := m.options
	step := m.stage.Step("engine for programs on hosts")
	session, err := openEngine(ctx, o, step.Progress, step.Progress)
	if err != nil {
		step.Cancel()
		return pipelines.Stages{}, nil, err
	}
	file, err := rootfs.Toolchain(ctx, rootfs.Options{Cache: o.Cache, Environ: o.Environ, Progress: step.Progress}, PinnedGo, hostArch())
	if err != nil {
		step.Cancel()
		session.Close()
		var toolchain *rootfs.ToolchainError
		if errors.As(err, &toolchain) {
			err = &LackingError{Cause: err}
		}
		return pipelines.Stages{}, nil, err
	}
	step.Done(report.Result{Summary: string(session.Choice.Kind)})
	now := time.Now()
	return pipelines.New(pipelines.Config{Client: session.Client, Toolchain: file, Machine: machine(ctx, o), NoCache: o.NoCache, RunID: runID(now), Started: now}), session.Close, nil
}

func (m hostMaker) make(ctx context.Context, stages pipelines.Stages, p pipelines.Program) (HostProgram, error) {
	step := m.stage.Step(p.Name + " for " + p.Target.String())
	step.Progress("compiling")
	file := m.file(p)
	if _, err := kept(file); err != nil {
		_ = os.Remove(file) // damaged: it is made anew
	}
	if _, err := rootfs.Once(ctx, file, func(out string) error {
		sum, err := stages.Program(ctx, step, p, out)
		if err != nil {
			return err
		}
		return os.WriteFile(file+".sha256", []byte(sum+"\n"), 0o644)
	}); err != nil {
		step.Cancel()
		return HostProgram{}, fmt.Errorf("compile %s for %s: %w", p.Name, p.Target, err)
	}
	made, err := kept(file)
	if err != nil {
		step.Cancel()
		return HostProgram{}, err
	}
	step.Done(report.Result{Summary: fmt.Sprintf("%d MiB", made.Size>>20)})
	return made, nil
}

// file is where a program is kept: under the digest of all that it is made of.
func (m hostMaker) file(p pipelines.Program) string {
	text, _ := json.Marshal([]any{PinnedGo, p}) // maps are written in order
	sum := sha256.Sum256(text)
	return filepath.Join(m.options.Cache, "programs", p.Name+"-"+p.Target.Dir()+"-"+hex.EncodeToString(sum[:8]))
}

// kept is a program that was made before, if it is what it was then.
func kept(file string) (HostProgram, error) {
	want, err := os.ReadFile(file + ".sha256")
	if err != nil {
		return HostProgram{}, err
	}
	found, size, err := artifact.Digest(file)
	if err != nil {
		return HostProgram{}, err
	}
	if found != strings.TrimSpace(string(want)) {
		return HostProgram{}, fmt.Errorf("%s is damaged: it has the digest %s", file, found)
	}
	return HostProgram{Path: file, SHA256: found, Size: size}, nil
}
