package project

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"golang.org/x/mod/module"
)

const nameRule = "1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends"

// validName is the allow-list of names. They become paths, units, images and
// hosts' directories, so what all of these take is taken.
func validName(name string) bool {
	return ruleOf("name").allows(name)
}

// slug narrows a name to the allow-list, or gives "" when nothing is left.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String()[:min(b.Len(), 63)], "-")
}

// nameOfModule is what go install would call the program: the last element
// of the module path that is not a major version.
func nameOfModule(modulePath string) string {
	prefix, _, ok := module.SplitPathVersion(modulePath)
	if !ok {
		prefix = modulePath
	}
	return path.Base(prefix)
}

// importable says why go cannot build a package in a directory, or "".
func importable(dir string) string {
	if dir == "." {
		return ""
	}
	for _, element := range strings.Split(dir, "/") {
		if err := module.CheckImportPath("x/" + element); err != nil {
			return fmt.Sprintf("go cannot import a directory named %q; rename it to ship it", element)
		}
	}
	return ""
}

// isMajorVersion says whether a directory is called like a major version: the
// go command names a program in cmd/tool/v2 tool.
func isMajorVersion(name string) bool {
	return regexp.MustCompile(`^v([2-9]|[1-9][0-9]+)$`).MatchString(name)
}
