package changelog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

var errNoGit = errors.New("git is not installed")

// git runs the git binary in one directory: no shell, no prompt, no lock, no
// translation, nothing of the repository's choice.
type git struct {
	binary, dir string
	env         []string
}

// newGit finds git on the given PATH. Relative entries are passed over: they
// would run a program of the repository that is read.
func newGit(dir string, getenv func(string) string) (git, error) {
	g := git{dir: dir, env: []string{"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1"}}
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "SUDO_UID", "SystemRoot", "USERPROFILE", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"} {
		if value := getenv(name); value != "" {
			g.env = append(g.env, name+"="+value)
		}
	}
	for _, entry := range filepath.SplitList(getenv("PATH")) {
		if !filepath.IsAbs(entry) {
			continue
		}
		if binary, err := exec.LookPath(filepath.Join(entry, "git")); err == nil {
			g.binary = binary
			return g, nil
		}
	}
	return git{}, errNoGit
}

// run gives what git printed. The error of a refusal is what it said.
func (g git) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, g.binary, append([]string{"-c", "core.fsmonitor=false", "-c", "log.showSignature=false"}, args...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = g.dir, g.env, 5*time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimPrefix(line, "fatal: "))
	}
	return stdout.String(), nil
}
