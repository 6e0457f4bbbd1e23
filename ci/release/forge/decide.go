package forge

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// action is what is done about one file.
type action int

const (
	send    action = iota // it is not there
	skip                  // it is there
	replace               // what is there is of no use
	compare               // the forge does not say its digest: ask for it
	refuse                // it is published with another content
)

// decide compares a file with what the forge has of it.
func decide(want File, have *Asset, draft bool) action {
	switch {
	case have == nil:
		return send
	case !have.Complete:
		return replace
	case have.Size == want.Size && have.Digest == want.Digest:
		return skip
	case have.Size == want.Size && have.Digest == "":
		return compare
	case draft:
		return replace
	}
	return refuse
}

// find looks for a file among assets.
func find(name string, assets []Asset) *Asset {
	for i := range assets {
		if assets[i].Name == name {
			return &assets[i]
		}
	}
	return nil
}

// others are assets that no file stands for. Somebody may have put them there
// by hand.
func others(files []File, assets []Asset) []string {
	var names []string
	for _, a := range assets {
		if !slices.ContainsFunc(files, func(f File) bool { return f.Name == a.Name }) {
			names = append(names, a.Name)
		}
	}
	return names
}

// check finds everything that is wrong with a release before anything is sent.
func (r Release) check() error {
	var problems []error
	if r.Tag == "" || strings.ContainsAny(r.Tag, " \t\r\n\x00?*[\\^~:") || strings.HasPrefix(r.Tag, "-") {
		problems = append(problems, fmt.Errorf("tag %q is none that git has", r.Tag))
	}
	if !regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`).MatchString(r.Commit) {
		problems = append(problems, fmt.Errorf("commit %q: a release is of a whole commit", r.Commit))
	}
	seen := map[string]bool{}
	for _, f := range r.Files {
		switch {
		case !regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$`).MatchString(f.Name) || strings.HasSuffix(f.Name, "."):
			problems = append(problems, fmt.Errorf("file %q: forges change such a name; it may have letters, digits and . _ - (see AssetName)", f.Name))
		case seen[f.Name]:
			problems = append(problems, fmt.Errorf("file %q is there twice", f.Name))
		case f.Size <= 0:
			problems = append(problems, fmt.Errorf("file %q is empty, which forges do not take", f.Name))
		case !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(f.Digest):
			problems = append(problems, fmt.Errorf("file %q has digest %q: it looks like sha256: and 64 digits", f.Name, f.Digest))
		}
		seen[f.Name] = true
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("release %s: %w", r.Tag, err)
	}
	return nil
}

// AssetName is a file's name as forges keep it. GitHub puts a dot in the place
// of what is not a letter, a digit or one of . _ -, as the + in 1.2.3+build.
func AssetName(name string) string {
	return strings.Trim(regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(name, "."), ".")
}
