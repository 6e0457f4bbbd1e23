package forge

import (
	"os"
	"path/filepath"
)

// places finds the files of findings in the checkout, which is what CI systems count from: the project may lie below it.
type places struct {
	checkout string // the CI system's working directory; "" where it has none
	source   string // what is shipped
}

// of returns the path of a file relative to the checkout, with slashes, and whether it is there.
func (p places) of(file string) (string, bool) {
	if file == "" || p.checkout == "" {
		return "", false
	}
	for _, base := range []string{p.source, p.checkout} {
		path := file
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if rel, ok := below(p.checkout, path); ok {
			return rel, true
		}
	}
	return "", false
}

// below returns a path relative to a directory that it lies in, whatever links lead there.
func below(dir, path string) (string, bool) {
	for _, p := range []*string{&dir, &path} {
		if resolved, err := filepath.EvalSymlinks(*p); err == nil {
			*p = resolved
		}
	}
	rel, err := filepath.Rel(dir, path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}
