package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// Program is a Go program that comes with this one as source, and is compiled where it is needed: what runs on hosts.
type Program struct {
	Name   string            // of the file
	Source map[string]string // files of its module, by their path with slashes
	Main   string            // its package, such as "."
	Target target.Target
}

// Program compiles a program into a file, and returns the file's digest. It takes nothing of the project but the toolchain.
func (s Stages) Program(ctx context.Context, step *report.StepRecorder, p Program, file string) (sha256 string, err error) {
	source := s.Client.Directory()
	for _, name := range sorted(p.Source) {
		source = source.WithNewFile(name, p.Source[name])
	}
	root := s.buildRoot().WithMountedDirectory(sourceDir, source).WithWorkdir(sourceDir)
	for _, kv := range p.environment() {
		name, value, _ := strings.Cut(kv, "=")
		root = root.WithEnvVariable(name, value)
	}
	made := outDir + "/" + p.Name
	o, err := s.run(ctx, root, command{step: step, argv: p.args(made), makes: made})
	if err != nil {
		return "", err
	}
	if !o.ok() {
		output, err := o.output(ctx)
		return "", errors.Join(&CommandError{Command: o.Command, ExitCode: o.ExitCode, Output: strings.TrimSpace(output)}, err)
	}
	if _, err := o.After.File(made).Export(ctx, file); err != nil {
		return "", fmt.Errorf("bring %s out of the engine: %w", p.Name, explain(err))
	}
	if err := os.Chmod(file, 0o755); err != nil {
		return "", err
	}
	info, err := artifact.Check(file, artifact.Want{Target: p.Target, Link: "static"})
	if err != nil {
		return "", err
	}
	if info.SHA256 != o.SHA256 {
		return "", fmt.Errorf("bring %s out of the engine: it has the digest %s, and %s was made", p.Name, info.SHA256, o.SHA256)
	}
	return info.SHA256, nil
}

// args is the command line that compiles it. The same source and toolchain give the same bytes.
func (p Program) args(out string) []string {
	return []string{"go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", out, p.Main}
}

func (p Program) environment() []string { return append(p.Target.Env(), "GOWORK=off") }
