package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// git runs the git binary in one directory: no shell, no prompt, no lock, no
// translation, and none of the GIT_DIR family that a hook would hand down.
type git struct {
	binary string
	dir    string
	env    []string
}

// gitError is what git said when it refused.
type gitError struct{ stderr string }

func (e *gitError) Error() string {
	line, _, _ := strings.Cut(strings.TrimSpace(e.stderr), "\n")
	return strings.TrimPrefix(line, "fatal: ")
}

var errNoGit = errors.New("git is not installed")

// newGit finds git on the given PATH. Relative entries are passed over: they
// would run a program of the repository that is looked at.
func newGit(dir string, getenv func(string) string) (git, error) {
	for _, entry := range filepath.SplitList(getenv("PATH")) {
		if !filepath.IsAbs(entry) {
			continue
		}
		if binary, err := exec.LookPath(filepath.Join(entry, "git")); err == nil {
			return git{binary: binary, dir: dir, env: gitEnv(getenv)}, nil
		}
	}
	return git{}, errNoGit
}

func (g git) in(dir string) git {
	g.dir = dir
	return g
}

// run gives what git printed. A refusal is a *gitError; a canceled context
// comes back as such.
func (g git) run(ctx context.Context, args ...string) (string, error) {
	// core.fsmonitor names a program to run; a checkout may not choose one.
	args = append([]string{"-c", "core.fsmonitor=false", "-c", "log.showSignature=false"}, args...)
	cmd := exec.CommandContext(ctx, g.binary, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = g.dir, g.env, 5*time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", &gitError{stderr: stderr.String()}
	}
	if err != nil {
		return "", fmt.Errorf("run git: %w", err)
	}
	return stdout.String(), nil
}

// line is run for an answer of one line; a refusal is an empty answer.
func (g git) line(ctx context.Context, args ...string) (string, error) {
	out, err := g.run(ctx, args...)
	var refused *gitError
	if errors.As(err, &refused) {
		return "", nil
	}
	return strings.TrimSpace(out), err
}

func gitEnv(getenv func(string) string) []string {
	env := []string{"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1"}
	keep := []string{
		"PATH", "HOME", "USER", "TMPDIR", "XDG_CONFIG_HOME", "SUDO_UID", "SystemRoot", "USERPROFILE", "HOMEDRIVE", "HOMEPATH",
		"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
		"GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM",
	}
	count, _ := strconv.Atoi(getenv("GIT_CONFIG_COUNT"))
	for i := range min(count, 100) {
		keep = append(keep, fmt.Sprintf("GIT_CONFIG_KEY_%d", i), fmt.Sprintf("GIT_CONFIG_VALUE_%d", i))
	}
	for _, name := range keep {
		if value := getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
