package main

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkName refuses names that could leave the directory an archive is unpacked
// in, on Unix or on Windows, and names that two programs could read differently.
func checkName(name string) error {
	if reason := nameFault(name); reason != "" {
		return fmt.Errorf("archive name %q: %s", name, reason)
	}
	return nil
}

func nameFault(name string) string {
	switch {
	case name == "":
		return "is empty"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character"
	case strings.Contains(name, `\`):
		return "has a backslash, which separates folders on Windows"
	case strings.HasPrefix(name, "/"), hasDrive(name):
		return "is absolute"
	case name == ".", name == "..", strings.HasPrefix(path.Clean(name), "../"):
		return "leads out of the archive"
	case path.Clean(name) != name:
		return "is not in its shortest form, " + path.Clean(name)
	}
	return ""
}

// hasDrive finds "C:…", an absolute or drive-relative path on Windows.
func hasDrive(name string) bool {
	return len(name) >= 2 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z'
}

// checkNames checks each name, and that no two of them need the same place: the
// same name twice, or one name that is a folder of another.
func checkNames(names []string) error {
	taken := make(map[string]bool, len(names))
	for _, name := range names {
		if err := checkName(name); err != nil {
			return err
		}
		if taken[name] {
			return fmt.Errorf("archive name %q: is there twice", name)
		}
		taken[name] = true
	}
	for _, name := range names {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if taken[dir] {
				return fmt.Errorf("archive name %q: %q is a file", name, dir)
			}
		}
	}
	return nil
}
