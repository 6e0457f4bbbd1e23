package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/pipelines/inbox/outline"
)

// inputsRequest asks what some builds read.
type inputsRequest struct {
	Root    string  `json:"root"`    // the source root: only files below it are named
	Outline string  `json:"outline"` // archive that is unpacked there first (package outline); "" when the sources are there
	Go      string  `json:"go"`      // the go command; "go" when empty
	Queries []query `json:"queries"`
}

// query is one main package and the targets it is built for.
type query struct {
	Dir     string       `json:"dir"`     // absolute, within a module below the root
	Package string       `json:"package"` // as go build takes it, such as "." or "./cmd/x"
	Targets []targetSpec `json:"targets"`
}

type targetSpec struct {
	Env  []string `json:"env"`
	Tags []string `json:"tags"`
}

// inputsAnswer has the answers in the order of the queries, and when they were found: an old answer was replayed.
type inputsAnswer struct {
	Started    time.Time `json:"started"`
	DurationMS int64     `json:"duration_ms"`
	Queries    []answer  `json:"queries"`
}

type answer struct {
	Dir     string         `json:"dir"` // relative to the root
	Package string         `json:"package"`
	Files   []string       `json:"files"` // relative to the root, sorted, over all targets
	Targets []targetAnswer `json:"targets"`
}

// targetAnswer says whether a target can be built, as far as constraints and
// imports tell: bodies are the compiler's to judge. Excluded means that the code
// is not meant for it: build constraints leave some package without a file. Any
// other reason is a mistake in the source that the compiler will show as well,
// unless it is Unlisted: then go list itself ended with that reason, and nothing
// is known of what the build reads.
type targetAnswer struct {
	Env      []string `json:"env"`
	Tags     []string `json:"tags"`
	OK       bool     `json:"ok"`
	Excluded bool     `json:"excluded"`
	Unlisted bool     `json:"unlisted"`
	Reason   string   `json:"reason"`
}

func inputsCommand(args []string, stdout io.Writer) error {
	started := time.Now()
	var request inputsRequest
	if err := readRequest(args, &request); err != nil {
		return err
	}
	if !filepath.IsAbs(request.Root) {
		return usageError{`the request needs an absolute "root"`}
	}
	if request.Outline != "" {
		if err := unpackOutline(request.Outline, request.Root); err != nil {
			return err
		}
	}
	answers := answerInputs(context.Background(), request, os.Environ())
	answers.Started, answers.DurationMS = started, time.Since(started).Milliseconds()
	return printJSON(stdout, answers)
}

func unpackOutline(file, root string) error {
	archive, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the outline: %w", err)
	}
	defer archive.Close()
	return outline.Unpack(archive, root)
}

// answerInputs never fails: what go says of a broken module is an answer too.
func answerInputs(ctx context.Context, request inputsRequest, environ []string) inputsAnswer {
	tool := goTool{name: request.Go, environ: environ, slots: make(chan struct{}, runtime.NumCPU())}
	if tool.name == "" {
		tool.name = "go"
	}
	answers := inputsAnswer{Queries: make([]answer, len(request.Queries))}
	var all sync.WaitGroup
	for i, asked := range request.Queries {
		all.Go(func() { answers.Queries[i] = answerQuery(ctx, tool, request.Root, asked) })
	}
	all.Wait()
	return answers
}

func answerQuery(ctx context.Context, tool goTool, root string, asked query) answer {
	found := newFileSet(root)
	given := answer{Package: asked.Package, Targets: make([]targetAnswer, len(asked.Targets))}
	given.Dir, _ = found.relative(asked.Dir)

	listed := make([][]listedPackage, len(asked.Targets))
	var all sync.WaitGroup
	all.Go(func() { found.addAll(moduleFiles(ctx, tool, asked.Dir)) })
	for i, spec := range asked.Targets {
		all.Go(func() { listed[i], given.Targets[i] = answerTarget(ctx, tool, asked, spec) })
	}
	all.Wait()

	for _, packages := range listed {
		for i, pkg := range packages {
			found.addAll(pkg.files())
			if i == len(packages)-1 { // -deps lists the package itself last
				found.add(filepath.Join(pkg.Dir, "default.pgo"))
			}
		}
	}
	given.Files = found.sorted()
	return given
}

func answerTarget(ctx context.Context, tool goTool, asked query, spec targetSpec) ([]listedPackage, targetAnswer) {
	given := targetAnswer{Env: orEmpty(spec.Env), Tags: orEmpty(spec.Tags)}
	args := []string{"list", "-deps", "-e", "-json=" + listFields}
	if len(spec.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(spec.Tags, ","))
	}
	output, err := tool.run(ctx, asked.Dir, spec.Env, append(args, "--", asked.Package)...)
	var packages []listedPackage
	if err == nil {
		packages, err = decodePackages(output)
	}
	if err != nil {
		given.Unlisted, given.Reason = true, err.Error()
		return nil, given
	}
	given.Excluded, given.Reason = verdict(packages)
	given.OK = given.Reason == ""
	return packages, given
}

// orEmpty keeps null out of the JSON.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// goTool runs the go command, a few at a time: each loads the whole module graph.
type goTool struct {
	name    string
	environ []string
	slots   chan struct{}
}

func (t goTool) run(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	t.slots <- struct{}{}
	defer func() { <-t.slots }()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, t.name, args...)
	command.Dir = dir
	// With PWD set, go names files below dir as it was given, whatever links lead there.
	command.Env = append(append(append([]string{}, t.environ...), env...), "PWD="+dir)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			return nil, errors.New(said)
		}
		return nil, err
	}
	return stdout.Bytes(), nil
}
