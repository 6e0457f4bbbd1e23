package project

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
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

	tag      string   // nearest tag that is a semantic version
	distance int      // commits since tag
	ignored  []string // nearer tags that look like versions and are none
}

// maxIgnoredTags bounds the search for a usable tag.
const maxIgnoredTags = 50

// readHistory asks git. That there is no git, no repository or no commit is
// an answer and no error.
func readHistory(ctx context.Context, dir string, getenv func(string) string) (history, git, error) {
	g, err := newGit(dir, getenv)
	if err != nil {
		return history{none: err.Error()}, git{}, nil
	}
	h, err := openHistory(ctx, g)
	if err != nil || h.none != "" {
		return h, g, err
	}
	for _, read := range []func(context.Context, git) error{h.readPlace, h.readCommit, h.readTag} {
		if err := read(ctx, g); err != nil {
			return h, g, fmt.Errorf("read git history: %w", err)
		}
		if h.none != "" {
			break
		}
	}
	return h, g, nil
}

func openHistory(ctx context.Context, g git) (history, error) {
	out, err := g.run(ctx, "rev-parse", "--show-toplevel")
	var refused *gitError
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
func whyRefused(refused *gitError) string {
	switch text := refused.stderr; {
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

func (h *history) readPlace(ctx context.Context, g git) error {
	branch, err := g.line(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	if err != nil {
		return err
	}
	remote, err := g.line(ctx, "config", "--get", "remote.origin.url")
	if err != nil {
		return err
	}
	shallow, err := g.line(ctx, "rev-parse", "--is-shallow-repository")
	h.branch, h.remote, h.shallow = branch, remote, shallow == "true"
	return err
}

func (h *history) readCommit(ctx context.Context, g git) error {
	out, err := g.line(ctx, "log", "-1", "--format=%H %ct", "HEAD")
	if err != nil {
		return err
	}
	commit, seconds, _ := strings.Cut(out, " ")
	unix, parseError := strconv.ParseInt(seconds, 10, 64)
	if commit == "" || parseError != nil {
		h.none = "the git repository has no commit yet"
		return nil
	}
	count, err := g.line(ctx, "rev-list", "--count", "HEAD")
	h.commit, h.date = commit, time.Unix(unix, 0).UTC()
	h.commits, _ = strconv.Atoi(count)
	return err
}

// readTag looks for the nearest tag that is a semantic version. git knows
// only globs, so what it finds is checked, and it is asked again without the
// tags that are something else.
func (h *history) readTag(ctx context.Context, g git) error {
	for len(h.ignored) < maxIgnoredTags {
		args := []string{"describe", "--tags", "--long", "--abbrev=40", "--match", "v[0-9]*"}
		for _, tag := range h.ignored {
			args = append(args, "--exclude", tag)
		}
		out, err := g.line(ctx, append(args, "HEAD")...)
		if err != nil {
			return err
		}
		tag, distance, ok := parseDescribe(out)
		if !ok {
			return nil
		}
		if best, err := g.bestTagAt(ctx, tag); err != nil || best != "" {
			h.tag, h.distance = best, distance
			return err
		}
		h.ignored = append(h.ignored, tag)
	}
	return nil
}

// bestTagAt is the highest version among the tags of one commit: which of
// them describe names depends on when and how they were made.
func (g git) bestTagAt(ctx context.Context, tag string) (string, error) {
	out, err := g.line(ctx, "tag", "--points-at", "refs/tags/"+tag+"^{commit}", "--list", "v[0-9]*")
	best := ""
	for candidate := range strings.Lines(out) {
		candidate = strings.TrimSpace(candidate)
		if isVersionTag(candidate) && (best == "" || semver.Compare(candidate, best) > 0) {
			best = candidate
		}
	}
	return best, err
}

// isVersionTag wants all three numbers: v1.2 says too little to count from.
func isVersionTag(tag string) bool {
	return semver.IsValid(tag) && semver.Canonical(tag)+semver.Build(tag) == tag
}

// parseDescribe takes TAG-N-gCOMMIT apart, from the right because tags have
// hyphens of their own.
func parseDescribe(out string) (tag string, distance int, ok bool) {
	rest, commit, ok := cutLast(out, "-g")
	if !ok || commit == "" {
		return "", 0, false
	}
	tag, count, ok := cutLast(rest, "-")
	distance, err := strconv.Atoi(count)
	if !ok || err != nil || distance < 0 || !strings.HasPrefix(tag, "v") {
		return "", 0, false
	}
	return tag, distance, true
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
