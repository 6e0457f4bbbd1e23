package project

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
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
		v.Reason += "; ignored, no semantic version: " + listed(h.ignored)
	}
	if v.Dirty {
		v.Version += "-dirty"
		v.Reason += "; dirty: " + listed(changed)
	}
	return v
}

func count(h history, short string) (version, reason string) {
	if h.tag == "" {
		return fmt.Sprintf("0.0.0-%d-g%s", h.commits, short), fmt.Sprintf("no version tag such as v1.2.3; %s so far", plural(h.commits, "commit"))
	}
	plain := strings.TrimPrefix(h.tag, "v")
	if h.distance == 0 {
		return plain, "git tag " + h.tag
	}
	return fmt.Sprintf("%s-%d-g%s", plain, h.distance, short), fmt.Sprintf("%s after git tag %s", plural(h.distance, "commit"), h.tag)
}

func shortCommit(commit string) string {
	return commit[:min(len(commit), shortCommitDigits)]
}

// changedInputs asks git which build inputs differ from the commit. dirs are
// the module directories that the apps are built from; nested are modules
// below them that are not.
func (g git) changedInputs(ctx context.Context, scope dirtyScope) ([]string, error) {
	args := append([]string{"status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--"}, scope.dirs...)
	out, err := g.run(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("read git status: %w", err)
	}
	return scope.inputs(out), nil
}

// dirtyScope says where build inputs are. Directories are relative to the
// project's root, prefix is the root relative to git's.
type dirtyScope struct {
	prefix string
	dirs   []string
	nested []string // modules below dirs that are not built
	config string   // slipway.yaml: read by us, never compiled
	dist   string   // what earlier runs left behind
}

// inputs picks the build inputs out of what git status --porcelain -z says.
// It errs on the side of dirty: a file that merely might be embedded counts.
func (s dirtyScope) inputs(porcelain string) []string {
	var changed []string
	entries := strings.Split(porcelain, "\x00")
	for i := 0; i < len(entries); i++ {
		entry := entries[i]
		if len(entry) < 4 || entry[2] != ' ' {
			continue
		}
		status, file := entry[:2], entry[3:]
		if strings.ContainsAny(status, "RC") {
			i++ // the next entry is the old name
		}
		if relative, ok := under(s.prefix, strings.TrimSuffix(file, "/")); ok && s.isInput(relative) {
			changed = append(changed, relative)
		}
	}
	return changed
}

func (s dirtyScope) isInput(file string) bool {
	name := path.Base(file)
	switch {
	case strings.HasSuffix(name, "_test.go"), strings.EqualFold(path.Ext(name), ".md"), name == defaultConfig, file == s.config:
		return false
	case s.dist != "" && isUnder(s.dist, file):
		return false
	}
	best, nested := -1, false
	for _, dir := range s.dirs {
		if isUnder(dir, file) && depth(dir) > best {
			best, nested = depth(dir), false
		}
	}
	for _, dir := range s.nested {
		if isUnder(dir, file) && depth(dir) > best {
			best, nested = depth(dir), true
		}
	}
	return best >= 0 && !nested
}

func depth(dir string) int {
	if dir == "." {
		return 0
	}
	return 1 + strings.Count(dir, "/")
}

func isUnder(dir, file string) bool {
	_, ok := under(dir, file)
	return ok
}

// under gives file relative to dir, and whether it is in there at all.
func under(dir, file string) (string, bool) {
	switch {
	case dir == "." || dir == "":
		return file, true
	case dir == file:
		return ".", true
	}
	return strings.CutPrefix(file, dir+"/")
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
func listed(items []string) string {
	if len(items) <= maxListedInReasons {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:maxListedInReasons], ", "), len(items)-maxListedInReasons)
}
