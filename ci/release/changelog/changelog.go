// Package changelog lists the commits of a release, grouped by what they say
// they are (https://www.conventionalcommits.org): breaking changes first, then
// features, fixes and so on. A commit that says nothing is listed as well.
//
//	log, err := changelog.Read(ctx, changelog.Options{Dir: ".", Version: "1.3.0", Getenv: os.Getenv})
//	fmt.Print(log.Markdown())
//
// The commits are those since the last tag that this version comes after. A
// release is compared with the last release: prereleases between them are not
// where its changes begin. Merge commits are left out, and so is a commit that
// was reverted, together with its revert. What could not be known, because a
// clone is shallow for instance, is in [Changelog.Notes].
package changelog

import (
	"strings"
	"time"
)

// Group is the heading that an entry is under.
type Group string

// The groups, in their order.
const (
	Breaking    Group = "Breaking changes"
	Features    Group = "Features"
	Fixes       Group = "Fixes"
	Performance Group = "Performance"
	Reverts     Group = "Reverts"
	Documents   Group = "Documentation"
	Others      Group = "Other changes"
)

// Groups lists the groups in their order.
func Groups() []Group {
	return []Group{Breaking, Features, Fixes, Performance, Reverts, Documents, Others}
}

// Changelog is what changed from one version to another.
type Changelog struct {
	Version string
	Date    time.Time // of the version's commit
	Since   string    // the tag it is compared with; "" for the first version
	Entries []Entry   // newest first
	Notes   []string  // what readers must know about the list
}

// Entry is one commit.
type Entry struct {
	Group    Group
	Type     string // feat; "" when the commit does not say
	Scope    string
	Summary  string // one line of text, not Markdown
	Breaking string // what breaks, when the commit explains it
	Hash     string
}

// In lists the entries of a group.
func (c Changelog) In(g Group) []Entry {
	var entries []Entry
	for _, e := range c.Entries {
		if e.Group == g {
			entries = append(entries, e)
		}
	}
	return entries
}

// Commit is a commit as git has it.
type Commit struct {
	Hash    string
	Message string
}

// Entries makes entries of commits, newest first. What was reverted again is
// left out.
func Entries(commits []Commit) []Entry {
	here, reverted := map[string]bool{}, map[string]bool{}
	for _, c := range commits {
		here[c.Hash] = true
	}
	var entries []Entry
	for _, c := range commits {
		if reverted[c.Hash] {
			continue
		}
		if hash := c.reverts(); here[hash] {
			reverted[hash] = true
			continue
		}
		entries = append(entries, Parse(c))
	}
	return entries
}

// reverts is the commit that a message of "git revert" names, or "".
func (c Commit) reverts() string {
	_, rest, found := strings.Cut(c.Message, "\nThis reverts commit ")
	hash, _, ended := strings.Cut(rest, ".")
	if !found || !ended || strings.Trim(hash, "0123456789abcdef") != "" {
		return ""
	}
	return hash
}
