// Package git runs the git command on repositories that may be anybody's: no shell, no prompt, no lock, no translation, and
// nothing that the repository, or a hook that we were started by, would have us do.
//
//	g, err := git.New(dir, os.Getenv)
//	commit, err := g.Line(ctx, "rev-parse", "HEAD")
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Git is the git command in one directory. It is a value: [Git.In] and [Git.Reaching] return others.
type Git struct {
	binary string
	dir    string
	env    []string
}

// ErrNone says that there is no git on PATH.
var ErrNone = errors.New("git is not installed")

// RefusedError is what git said when it refused. Its text is the first line.
type RefusedError struct{ Stderr string }

func (e *RefusedError) Error() string {
	line, _, _ := strings.Cut(strings.TrimSpace(e.Stderr), "\n")
	return strings.TrimPrefix(line, "fatal: ")
}

// New finds git on the PATH of an environment. Relative entries are passed over: they would run a program of the repository
// that is looked at.
func New(dir string, getenv func(string) string) (Git, error) {
	for _, entry := range filepath.SplitList(getenv("PATH")) {
		if !filepath.IsAbs(entry) {
			continue
		}
		if binary, err := exec.LookPath(filepath.Join(entry, "git")); err == nil {
			return Git{binary: binary, dir: dir, env: environment(getenv)}, nil
		}
	}
	return Git{}, ErrNone
}

// In is the same git in another directory.
func (g Git) In(dir string) Git {
	g.dir = dir
	return g
}

// Reaching is the same git with all of an environment, for commands that go to other machines: keys, agents, proxies and
// askpass programs are found in there. What ties git to one repository is left out all the same.
func (g Git) Reaching(environ []string) Git {
	g.env = slices.Clone(quiet)
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains(tying, name) {
			g.env = append(g.env, kv)
		}
	}
	return g
}

// Run gives what git printed. A refusal holds a [RefusedError]; a context that ended comes back as its cause.
func (g Git) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, g.binary, append(slices.Clone(ours), args...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = g.dir, g.env, 5*time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("git %s: %w", verb(args), &RefusedError{Stderr: stderr.String()})
	}
	if err != nil {
		return "", fmt.Errorf("run git: %w", err)
	}
	return stdout.String(), nil
}

// verb is the command among git's arguments, behind settings.
func verb(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-c":
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}

// Line is Run for an answer of one line; a refusal is an empty answer.
func (g Git) Line(ctx context.Context, args ...string) (string, error) {
	out, err := g.Run(ctx, args...)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return "", nil
	}
	return strings.TrimSpace(out), err
}

// ours go before every command: fsmonitor and hooks name programs to run, and a checkout may not choose one.
var ours = []string{"-c", "core.fsmonitor=false", "-c", "log.showSignature=false"}

var quiet = []string{"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1"}

// tying are the variables with which git hands a repository down to its hooks.
var tying = []string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_PREFIX",
	"GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_CONFIG",
	"GIT_NAMESPACE", "GIT_QUARANTINE_PATH", "GIT_EXTERNAL_DIFF", "GIT_PAGER",
	"LC_ALL", "GIT_OPTIONAL_LOCKS", "GIT_TERMINAL_PROMPT", "GIT_LITERAL_PATHSPECS", // these are set
}

// kept are the variables that a command which stays on this machine sees.
var kept = []string{
	"PATH", "HOME", "USER", "TMPDIR", "XDG_CONFIG_HOME", "SUDO_UID", "SystemRoot", "USERPROFILE", "HOMEDRIVE", "HOMEPATH",
	"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
	"GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM",
}

func environment(getenv func(string) string) []string {
	env, names := slices.Clone(quiet), slices.Clone(kept)
	count, _ := strconv.Atoi(getenv("GIT_CONFIG_COUNT"))
	for i := range min(count, 100) {
		names = append(names, fmt.Sprintf("GIT_CONFIG_KEY_%d", i), fmt.Sprintf("GIT_CONFIG_VALUE_%d", i))
	}
	for _, name := range names {
		if value := getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
