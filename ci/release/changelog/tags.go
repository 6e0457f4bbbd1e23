package changelog

import (
	"context"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/slipway-ci/slipway/ci/git"
)

// tagged is a tag that is a version.
type tagged struct {
	name, version, commit string
}

// readTags lists the versions that a commit comes after or is.
func readTags(ctx context.Context, g git.Git, prefix, commit string) ([]tagged, error) {
	out, err := g.Run(ctx, "for-each-ref", "--merged="+commit, "--format=%(refname)%00%(objectname)%00%(*objectname)", "refs/tags")
	if err != nil {
		return nil, err
	}
	var tags []tagged
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\x00")
		if len(fields) != 3 {
			continue
		}
		t := tagged{name: strings.TrimPrefix(fields[0], "refs/tags/"), commit: fields[1]}
		if fields[2] != "" { // an annotated tag is an object of its own, which names the commit
			t.commit = fields[2]
		}
		if t.version = versionOf(t.name, prefix); t.version != "" {
			tags = append(tags, t)
		}
	}
	return tags, nil
}

// versionOf is the version in a tag, with a v before it, or "".
func versionOf(tag, prefix string) string {
	rest, ok := strings.CutPrefix(tag, prefix)
	v := "v" + strings.TrimPrefix(rest, "v")
	if !ok || !semver.IsValid(v) || semver.Canonical(v)+semver.Build(v) != v {
		return ""
	}
	return v
}

// previous is the tag with which a version is compared: the highest before it.
// For a release, prereleases do not count. A version that git made of a tag
// (1.2.3-4-gabc1234) looks like a prerelease and comes after it: there, any
// tag counts.
func previous(tags []tagged, version, commit string) tagged {
	this := versionOf(version, "")
	exact := false
	for _, t := range tags {
		exact = exact || t.commit == commit && t.version == this
	}
	release := this != "" && semver.Prerelease(this) == ""
	var best tagged
	for _, t := range tags {
		switch {
		case t.commit == commit:
		case release && semver.Prerelease(t.version) != "":
		case (exact || release) && semver.Compare(t.version, this) >= 0:
		case best.name == "" || semver.Compare(t.version, best.version) > 0:
			best = t
		}
	}
	return best
}
