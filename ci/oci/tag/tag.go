// Package tag decides the tags of a published image. All of it is pure: it
// knows no registry.
//
// A release 1.2.3 of commit 0123456… gets the tags "1.2.3", "1.2" and
// "0123456789ab"; "latest" only where it is asked for. What is no release (a
// version with more after the three numbers, or sources that differ from their
// commit) gets its version only, and its commit when the sources are those of
// the commit. Templates replace this choice:
//
//	tags, err := tag.For(tag.Version{Version: "1.2.3", Commit: commit}, tag.Options{
//		Templates: []string{"{{.Version}}", "{{.Major}}", "edge-{{.Short}}"},
//	})
//
// A tag that stands for one content, a version or a commit, is Fixed: whoever
// pushes must not move it to another digest. Without a commit, or with sources
// that differ from it, no version stands for one content.
package tag

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxLength is the longest tag that registries take.
const maxLength = 128

// shortCommit is how much of a commit is in its tag.
const shortCommit = 12

// Version is what is published.
type Version struct {
	Version string // such as 1.2.3, 1.2.3-rc.1, 1.2.3-4-gabc1234, 1.2.3+build; a v before it does not matter
	Commit  string // the whole commit, "" when there is none
	Dirty   bool   // the sources differ from the commit
}

// Options are what a project asks for.
type Options struct {
	// Latest asks for the tag "latest", which only a release gets.
	Latest bool
	// Templates are the tags, in place of the usual ones. They know
	// {{.Version}}, {{.Major}}, {{.Minor}}, {{.Commit}} and {{.Short}}. One that
	// has nothing to say, as {{.Minor}} of what is no release, gives no tag.
	Templates []string
}

// Tag is one name for an image.
type Tag struct {
	Name string
	// Fixed says that the name stands for one content for ever.
	Fixed bool
	// Reason says why the image gets it, and what was changed to make it a tag.
	Reason string
}

// Tags are the tags of an image, and why it does not get others.
type Tags struct {
	Tags    []Tag
	Without []string
}

// Names are the tags alone.
func (t Tags) Names() []string {
	names := make([]string, len(t.Tags))
	for i, tag := range t.Tags {
		names[i] = tag.Name
	}
	return names
}

// For decides the tags of a version. Each name is there once, and the least
// special one, latest, is the last. An error names what must be changed.
func For(v Version, o Options) (Tags, error) {
	if v.Version == "" {
		return Tags{}, errors.New("choose tags: there is no version: tag the commit, such as v1.2.3")
	}
	v.Version = regexp.MustCompile(`^v([0-9])`).ReplaceAllString(v.Version, "$1")
	var decided Tags
	var err error
	if len(o.Templates) > 0 {
		err = decided.templates(v, o.Templates)
	} else {
		decided.usual(v)
	}
	if err == nil && o.Latest {
		decided.latest(v)
	}
	return decided, err
}

func (t *Tags) usual(v Version) {
	t.add(v.Version, v.fixed(), "the version")
	p := parse(v)
	if p.release {
		t.add(p.minor, false, "the newest release of "+p.minor)
	} else {
		t.without(fmt.Sprintf("%s: %s", "major.minor", p.why))
	}
	switch {
	case v.Commit == "":
		t.without("commit: there is none")
	case v.Dirty:
		t.without("commit: the sources differ from it")
	default:
		t.add(short(v.Commit), true, "the commit")
	}
}

func (t *Tags) latest(v Version) {
	if p := parse(v); !p.release {
		t.without("latest: " + p.why)
		return
	}
	t.add("latest", false, "the newest release")
}

// add appends a tag that is not there yet, and makes it one that registries take.
func (t *Tags) add(name string, fixed bool, reason string) {
	clean := Clean(name)
	if clean == "" {
		t.without(fmt.Sprintf("%q: nothing in it may be in a tag", name))
		return
	}
	if clean != name {
		reason += fmt.Sprintf(" %s, as registries allow letters, digits, dots, - and _ only, and %d of them", name, maxLength)
	}
	if at := slices.IndexFunc(t.Tags, func(other Tag) bool { return other.Name == clean }); at >= 0 {
		t.Tags[at].Fixed = t.Tags[at].Fixed || fixed
		return
	}
	t.Tags = append(t.Tags, Tag{Name: clean, Fixed: fixed, Reason: reason})
}

func (t *Tags) without(reason string) { t.Without = append(t.Without, reason) }

// fixed says whether the version stands for one content: with sources that
// differ from a commit, or without one, it does not.
func (v Version) fixed() bool { return !v.Dirty && v.Commit != "" }

// Clean makes a text a tag: what registries do not allow, as the + of a
// version's build, becomes -. It is "" when nothing is left.
func Clean(text string) string {
	name := strings.TrimLeft(regexp.MustCompile(`[^A-Za-z0-9_.-]`).ReplaceAllString(text, "-"), ".-")
	return name[:min(len(name), maxLength)]
}

// Valid says whether registries take a text as a tag.
func Valid(text string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`).MatchString(text)
}

func short(commit string) string { return commit[:min(len(commit), shortCommit)] }

// parts is a version taken apart.
type parts struct {
	major, minor string // "1" and "1.2"; "" when it is no release
	release      bool
	why          string // it is no release
}

func parse(v Version) parts {
	found := regexp.MustCompile(`^((0|[1-9][0-9]*)\.(0|[1-9][0-9]*))\.(0|[1-9][0-9]*)(\+[0-9A-Za-z.-]+)?$`).FindStringSubmatch(v.Version)
	switch {
	case v.Dirty:
		return parts{why: "the sources differ from their commit"}
	case found == nil:
		return parts{why: v.Version + " is no release: that is three numbers, such as 1.2.3"}
	}
	return parts{major: found[2], minor: found[1], release: true}
}
