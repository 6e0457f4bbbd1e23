package linuxpkg

import (
	"fmt"
	"regexp"
	"strings"
)

// version is a version of Slipway's, taken apart. In 1.2.3-rc.1-4-gabc1234,
// rc.1 comes before 1.2.3, and the rest comes after 1.2.3-rc.1.
type version struct {
	core   string // 1.2.3
	pre    string // rc.1
	build  string // of 1.2.3+build
	after  string // commits since the tag, "" at the tag
	commit string
	dirty  bool
}

func parseVersion(text string) (version, error) {
	parts := regexp.MustCompile(`^v?(.*?)(?:-([0-9]+)-g([0-9a-f]{4,64}))?(-dirty)?$`).FindStringSubmatch(text)
	if parts == nil {
		return version{}, versionError(text)
	}
	tag := regexp.MustCompile(`^((?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*))(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$`).FindStringSubmatch(parts[1])
	if tag == nil || len(text) > 200 {
		return version{}, versionError(text)
	}
	return version{core: tag[1], pre: tag[2], build: tag[3], after: parts[2], commit: parts[3], dirty: parts[4] != ""}, nil
}

func versionError(text string) error {
	return fmt.Errorf("version %q is none that a package can have: it looks like 1.2.3, 1.2.3-rc.1 or 1.2.3-4-gabc1234", text)
}

// dpkg is the version for dpkg and rpm. Both sort ~ before the end of a
// version and anything else after it, and both give - a meaning of its own.
func (v version) dpkg() string {
	text := v.core
	if v.pre != "" {
		text += "~" + strings.ReplaceAll(v.pre, "-", ".")
	}
	if v.build != "" {
		text += "+" + strings.ReplaceAll(v.build, "-", ".")
	}
	if v.after != "" {
		text += "+" + v.after + ".g" + v.commit
	}
	if v.dirty {
		text += "+dirty"
	}
	return text
}

// apk is the version for apk, which knows few words: a prerelease of another
// name counts as an alpha, commits after a tag as a git snapshot, and a build
// cannot be told.
func (v version) apk() string {
	text := v.core
	if v.pre != "" {
		text += apkPrerelease(v.pre)
	}
	if v.after != "" {
		text += "_git" + v.after
	}
	if v.dirty {
		text += "_p"
	}
	return text + "-r0"
}

// apkPrerelease is rc.1 as _rc1. A word has one number; further ones follow as
// patches of it, as in _rc1_p2.
func apkPrerelease(pre string) string {
	word := "_" + apkWord(strings.ToLower(regexp.MustCompile(`^[A-Za-z]*`).FindString(pre)))
	numbers := regexp.MustCompile(`[0-9]+`).FindAllString(pre, -1)
	if len(numbers) > 0 {
		word += numbers[0]
		numbers = numbers[1:]
	}
	for _, n := range numbers {
		word += "_p" + n
	}
	return word
}

func apkWord(word string) string {
	switch word {
	case "beta", "b":
		return "beta"
	case "pre", "preview":
		return "pre"
	case "rc":
		return "rc"
	}
	return "alpha"
}
