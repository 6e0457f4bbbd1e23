package changelog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/git"
)

// DefaultMax is how many commits a changelog lists.
const DefaultMax = 500

// Options say what is read. Dir, Version and Getenv are needed.
type Options struct {
	Dir     string              // in the repository
	Version string              // which the changelog is of: 1.3.0
	Commit  string              // its commit; "" means HEAD
	Prefix  string              // of its tags: "sub/" for a module in a directory of that name
	Paths   []string            // relative to Dir; only commits that changed something there. None means all
	Max     int                 // commits listed; 0 means DefaultMax
	Getenv  func(string) string // the environment: PATH, HOME
}

// Read asks git for the commits of a version.
func Read(ctx context.Context, o Options) (Changelog, error) {
	log, err := read(ctx, o)
	if err != nil {
		return Changelog{}, fmt.Errorf("read changes of %s: %w", o.Version, err)
	}
	return log, nil
}

func read(ctx context.Context, o Options) (Changelog, error) {
	g, err := git.New(o.Dir, o.Getenv)
	if err != nil {
		return Changelog{}, err
	}
	log := Changelog{Version: o.Version}
	commit, err := log.readCommit(ctx, g, o.Commit)
	if err != nil {
		return log, err
	}
	tags, err := readTags(ctx, g, o.Prefix, commit)
	if err != nil {
		return log, err
	}
	last := previous(tags, o.Version, commit)
	log.Since = last.name
	if err := log.readEntries(ctx, g, o, last.commit, commit); err != nil {
		return log, err
	}
	return log, log.noteShallow(ctx, g)
}

// readCommit finds the version's commit and its date.
func (c *Changelog) readCommit(ctx context.Context, g git.Git, name string) (string, error) {
	if name == "" {
		name = "HEAD"
	}
	out, err := g.Run(ctx, "rev-parse", "--verify", "--end-of-options", name+"^{commit}")
	if err != nil {
		return "", err
	}
	commit := strings.TrimSpace(out)
	out, err = g.Run(ctx, "log", "-1", "--no-color", "--format=%ct", commit)
	if err != nil {
		return "", err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		return "", fmt.Errorf("read date of %s: %w", commit, err)
	}
	c.Date = time.Unix(seconds, 0).UTC()
	return commit, nil
}

// readEntries lists the commits after one commit up to another. NUL stands
// between commits: a message cannot hold it.
func (c *Changelog) readEntries(ctx context.Context, g git.Git, o Options, after, upTo string) error {
	most := o.Max
	if most <= 0 {
		most = DefaultMax
	}
	args := []string{"log", "-z", "--no-merges", "--no-color", "--no-notes", "--encoding=UTF-8", "--format=%H%n%B", "--max-count=" + strconv.Itoa(most+1), upTo}
	if after != "" {
		args = append(args, "^"+after)
	}
	out, err := g.Run(ctx, append(append(args, "--"), o.Paths...)...)
	if err != nil {
		return err
	}
	commits, err := split(out)
	if err != nil {
		return err
	}
	if len(commits) > most {
		commits = commits[:most]
		c.Notes = append(c.Notes, fmt.Sprintf("These are the last %d commits; older ones are not listed.", most))
	}
	c.Entries = Entries(commits)
	return nil
}

// split takes the output of git log apart.
func split(out string) ([]Commit, error) {
	var commits []Commit
	for record := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if record == "" && len(out) < 2 {
			continue
		}
		hash, message, _ := strings.Cut(record, "\n")
		if len(hash) < 40 || strings.Trim(hash, "0123456789abcdef") != "" {
			return nil, errors.New("git log printed what is no commit")
		}
		commits = append(commits, Commit{Hash: hash, Message: message})
	}
	return commits, nil
}

func (c *Changelog) noteShallow(ctx context.Context, g git.Git) error {
	out, err := g.Run(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return err
	}
	switch shallow := strings.TrimSpace(out) == "true"; {
	case shallow:
		c.Notes = append(c.Notes, "The clone is shallow, so commits and tags may be missing here. Fetch all of it: git fetch --unshallow --tags, or fetch-depth: 0 in a workflow.")
	case c.Since == "":
		c.Notes = append(c.Notes, "This is the first version.")
	}
	return nil
}
