package project

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/git"
)

// history is what git knows about a directory, before anything is decided.
type history struct {
	none    string // why there is no history; "" when there is
	top     string // absolute path of the work tree
	commit  string
	date    time.Time
	commits int // number of commits up to this one
	shallow bool
	branch  string
	remote  string

	line     line     // whose tags are read
	tag      string   // nearest tag of the line that is a semantic version
	distance int      // commits since tag
	ignored  []string // nearer tags that look like versions and are none
}

// readHistory asks git for all but the tags, which depend on what is shipped.
// That there is no git, no repository or no commit is an answer and no error.
func readHistory(ctx context.Context, dir string, getenv func(string) string) (history, git.Git, error) {
	g, err := git.New(dir, getenv)
	if err != nil {
		return history{none: err.Error()}, git.Git{}, nil
	}
	h, err := openHistory(ctx, g)
	if err != nil || h.none != "" {
		return h, g, err
	}
	for _, read := range []func(context.Context, git.Git) error{h.readPlace, h.readCommit} {
		if err := read(ctx, g); err != nil {
			return h, g, fmt.Errorf("read git history: %w", err)
		}
		if h.none != "" {
			break
		}
	}
	return h, g, nil
}

func openHistory(ctx context.Context, g git.Git) (history, error) {
	out, err := g.Run(ctx, "rev-parse", "--show-toplevel")
	var refused *git.RefusedError
	if errors.As(err, &refused) {
		return history{none: whyRefused(refused)}, nil
	}
	if err != nil {
		return history{}, err
	}
	top := filepath.FromSlash(strings.TrimSuffix(out, "\n"))
	if real, err := filepath.EvalSymlinks(top); err == nil {
		top = real
	}
	return history{top: top}, nil
}

// whyRefused turns git's refusal into a reason. Ownership comes with the
// command that settles it: to pass safe.directory ourselves would let a
// stranger's repository run programs as this user.
func whyRefused(refused *git.RefusedError) string {
	switch text := refused.Stderr; {
	case strings.Contains(text, "dubious ownership"), strings.Contains(text, "unsafe repository"):
		return "git refuses to read it, because another user owns the directory; " + fixOwnership(text)
	case strings.Contains(text, "not a git repository"):
		return "not a git repository"
	}
	return "git says: " + refused.Error()
}

func fixOwnership(stderr string) string {
	for line := range strings.Lines(stderr) {
		if command := strings.TrimSpace(line); strings.HasPrefix(command, "git config --global --add safe.directory") {
			return "trust it with: " + command
		}
	}
	return "trust it with: git config --global --add safe.directory DIR"
}

func (h *history) readPlace(ctx context.Context, g git.Git) error {
	branch, err := g.Line(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	if err != nil {
		return err
	}
	remote, err := g.Line(ctx, "config", "--get", "remote.origin.url")
	if err != nil {
		return err
	}
	shallow, err := g.Line(ctx, "rev-parse", "--is-shallow-repository")
	h.branch, h.remote, h.shallow = branch, remote, shallow == "true"
	return err
}

func (h *history) readCommit(ctx context.Context, g git.Git) error {
	out, err := g.Line(ctx, "log", "-1", "--format=%H %ct", "HEAD")
	if err != nil {
		return err
	}
	commit, seconds, _ := strings.Cut(out, " ")
	unix, parseError := strconv.ParseInt(seconds, 10, 64)
	if commit == "" || parseError != nil {
		h.none = "the git repository has no commit yet"
		return nil
	}
	count, err := g.Line(ctx, "rev-list", "--count", "HEAD")
	h.commit, h.date = commit, time.Unix(unix, 0).UTC()
	h.commits, _ = strconv.Atoi(count)
	return err
}
