package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a command to measure.
type process struct {
	dir  string
	env  []string
	argv []string
}

// usage is what a process took.
type usage struct {
	wall time.Duration
	peak int64 // bytes of memory of the process that used most: it or one of its children
}

func (u usage) plus(other usage) usage {
	return usage{wall: u.wall + other.wall, peak: max(u.peak, other.peak)}
}

// run runs a process to its end and measures it from outside.
func (p process) run(ctx context.Context) (usage, error) {
	_, u, err := p.output(ctx)
	return u, err
}

// output is run that also returns what the process wrote to standard output.
func (p process) output(ctx context.Context) ([]byte, usage, error) {
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Env = p.dir, p.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(started)}
	if ctx.Err() != nil {
		return nil, u, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w:\n%s%s", err, lastLines(stdout.String()), lastLines(stderr.String()))
	}
	if err != nil {
		return nil, u, fmt.Errorf("run %s in %s: %w", strings.Join(p.argv, " "), p.dir, err)
	}
	u.peak = peak(cmd.ProcessState)
	return stdout.Bytes(), u, nil
}

// lastLines are what is shown of a long output.
func lastLines(text string) string {
	const few = 15
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-few):], "\n")
}

// environ is the environment of this process with other settings. What would make go build otherwise than the contenders'
// flags say is left out, and so is what names another engine.
func environ(settings ...string) []string {
	overruled := []string{"GOFLAGS=", "GOOS=", "GOARCH=", "GOWORK=", "SLIPWAY_CACHE=", "SLIPWAY_ENGINE=", "DAGGER_SESSION_PORT=", "_EXPERIMENTAL_DAGGER_RUNNER_HOST="}
	var env []string
	for _, kv := range os.Environ() {
		if !hasPrefix(kv, overruled) {
			env = append(env, kv)
		}
	}
	return append(env, settings...)
}

func hasPrefix(text string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
