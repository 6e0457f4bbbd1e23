package project

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/slipway-ci/slipway/ci/git"
)

// maxIgnoredTags bounds the search for a usable tag.
const maxIgnoredTags = 50

// line is one line of versions among the tags of a repository. A module below
// the top has a line of its own, as the go command wants it: sub/v1.2.3.
type line struct {
	prefix string // "sub/", "" for the tags of the repository
	major  string // "v2" where a directory holds one major version, else ""
}

// lineOf is the line of versions of a module in a directory of the repository.
func lineOf(dir, modulePath string) line {
	_, major, ok := module.SplitPathVersion(modulePath)
	major = strings.TrimPrefix(major, "/")
	if !ok || major == "" || path.Base(dir) != major {
		major = ""
	}
	if major != "" {
		dir = path.Dir(dir) // a v2 directory is no part of the tag
	}
	if dir == "." || dir == "" {
		return line{major: major}
	}
	return line{prefix: dir + "/", major: major}
}

// version is the version in a tag of this line, or "". All three numbers are
// needed: v1.2 says too little to count from. The v may be missing.
func (l line) version(tag string) string {
	rest, ok := strings.CutPrefix(tag, l.prefix)
	if !ok {
		return ""
	}
	plain := strings.TrimPrefix(rest, "v")
	v := "v" + plain
	if !semver.IsValid(v) || semver.Canonical(v)+semver.Build(v) != v || l.major != "" && semver.Major(v) != l.major {
		return ""
	}
	return plain
}

// example is a tag as this line wants it.
func (l line) example() string {
	if l.major != "" {
		return l.prefix + l.major + ".0.1"
	}
	return l.prefix + "v1.2.3"
}

// globs are the patterns, as git knows them, that all tags of this line match.
func (l line) globs() []string {
	prefix := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(l.prefix)
	return []string{prefix + "v[0-9]*", prefix + "[0-9]*"}
}

// readTag looks for the nearest tag of a line that is a semantic version. git
// knows only globs, so what it finds is checked, and it is asked again without
// the tags that are something else.
func (h *history) readTag(ctx context.Context, g git.Git, l line) error {
	h.line, h.tag, h.ignored = l, "", nil
	for len(h.ignored) < maxIgnoredTags {
		args := []string{"describe", "--tags", "--long", "--abbrev=40"}
		for _, glob := range l.globs() {
			args = append(args, "--match", glob)
		}
		for _, tag := range h.ignored {
			args = append(args, "--exclude", tag)
		}
		out, err := g.Line(ctx, append(args, "HEAD")...)
		if err != nil {
			return fmt.Errorf("read git tags: %w", err)
		}
		tag, distance, ok := parseDescribe(out)
		if !ok {
			return nil
		}
		if best, err := bestTagAt(ctx, g, l, tag); err != nil || best != "" {
			h.tag, h.distance = best, distance
			return err
		}
		h.ignored = append(h.ignored, tag)
	}
	return nil
}

// bestTagAt is the highest version among the tags of one commit: which of
// them describe names depends on when and how they were made.
func bestTagAt(ctx context.Context, g git.Git, l line, tag string) (string, error) {
	args := append([]string{"tag", "--points-at", "refs/tags/" + tag + "^{commit}", "--list"}, l.globs()...)
	out, err := g.Line(ctx, args...)
	best := ""
	for candidate := range strings.Lines(out) {
		candidate = strings.TrimSpace(candidate)
		if v := l.version(candidate); v != "" && (best == "" || semver.Compare("v"+v, "v"+l.version(best)) > 0) {
			best = candidate
		}
	}
	return best, err
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
	if !ok || err != nil || distance < 0 || tag == "" {
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
