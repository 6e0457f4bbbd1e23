package project

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/ci/git"
)

// noDate is the date of sources without a commit: the first that every
// archive format can hold, and the same on every machine.
func noDate() time.Time {
	return time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)
}

// decideVersion is the version that a history stands for. changed are the
// build inputs that differ from the commit.
func decideVersion(h history, changed []string) Version {
	if h.none != "" {
		return Version{Version: unversioned, Date: noDate(), Reason: h.none + "; dates are 1980-01-01, so that two runs agree"}
	}
	v := Version{Tag: h.tag, Commit: h.commit, Short: shortCommit(h.commit), Date: h.date, Dirty: len(changed) > 0}
	v.Version, v.Reason = count(h, v.Short)
	if h.shallow {
		v.Reason += "; the clone is shallow, so tags and commits may be missing: fetch all of it"
	}
	if len(h.ignored) > 0 {
		v.Reason += fmt.Sprintf("; passed over, no version such as %s: %s", h.line.example(), listed(h.ignored))
	}
	if v.Dirty {
		v.Version += "-dirty"
		v.Reason += "; dirty: " + listed(changed)
	}
	return v
}

func count(h history, short string) (version, reason string) {
	if h.tag == "" {
		return fmt.Sprintf("0.0.0-%d-g%s", h.commits, short), fmt.Sprintf("no version tag such as %s; %s so far", h.line.example(), plural(h.commits, "commit"))
	}
	plain := h.line.version(h.tag)
	if h.distance == 0 {
		return plain, "git tag " + h.tag
	}
	return fmt.Sprintf("%s-%d-g%s", plain, h.distance, short), fmt.Sprintf("%s after git tag %s", plural(h.distance, "commit"), h.tag)
}

func shortCommit(commit string) string {
	return commit[:min(len(commit), shortCommitDigits)]
}

// changedInputs asks git which build inputs differ from the commit.
func changedInputs(ctx context.Context, g git.Git, scope dirtyScope) ([]string, error) {
	args := []string{"status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--"}
	args = append(append(args, scope.dirs...), scope.others...)
	out, err := g.Run(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("read git status: %w", err)
	}
	return scope.inputs(out), nil
}

// webAddress is the https address of a git remote, or "" when it has none.
// Credentials and ports of other protocols are dropped: it ends up in labels.
func webAddress(remote string) string {
	if before, after, ok := strings.Cut(remote, ":"); ok && !strings.Contains(before, "/") && !strings.HasPrefix(after, "//") && len(before) > 1 {
		_, host, user := strings.Cut(before, "@")
		if !user {
			host = before
		}
		remote = "https://" + host + "/" + strings.TrimPrefix(after, "/")
	}
	u, err := url.Parse(remote)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	host := u.Hostname()
	switch u.Scheme {
	case "https", "http":
		host = u.Host
	case "ssh", "git", "git+ssh":
	default:
		return ""
	}
	clean := url.URL{Scheme: "https", Host: host, Path: strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git")}
	return clean.String()
}

// plural is "1 commit", "2 commits".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// listed is a list for people: the first few, and how many more.
func listed(names []string) string {
	items := make([]string, len(names))
	for i, name := range names {
		items[i] = oneLine(name)
	}
	if len(items) <= maxListedInReasons {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:maxListedInReasons], ", "), len(items)-maxListedInReasons)
}

// oneLine quotes a name that would not be a single line of text.
func oneLine(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}
