package project

import (
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
)

// stub is a module that compiles without cgo to something that only says so
// when it runs.
const stub = "github.com/mattn/go-sqlite3"

// gap is a directory without a file for a platform, whose package a program
// needs there.
type gap struct {
	dir string
	cgo bool // with cgo there would be one
}

// gap looks at what a program is compiled from, as far as it is in this
// project, and gives the first package that is not there on the platform.
// Packages of other modules are left to the build.
func (l *loader) gap(main mainDir, p platform) (gap, bool) {
	for dir, files := range l.reach(main, p) {
		if len(files) == 0 {
			all := l.tree.packages[dir]
			if dir == main.dir {
				all = main.files
			}
			p.cgo = true
			return gap{dir: dir, cgo: len(compiled(l.fsys, dir, all, p)) > 0}, true
		}
	}
	return gap{}, false
}

// imports says whether a program imports a package, directly or through
// packages of this project.
func (l *loader) imports(main mainDir, p platform, wanted string) bool {
	for _, files := range l.reach(main, p) {
		if slices.ContainsFunc(files, func(f file) bool { return slices.Contains(f.imports, wanted) }) {
			return true
		}
	}
	return false
}

// reach walks through the packages of this project that a program is made of,
// each with the files that are compiled for the platform.
func (l *loader) reach(main mainDir, p platform) iter.Seq2[string, []file] {
	return func(yield func(string, []file) bool) {
		files := compiled(l.fsys, main.dir, main.files, p)
		if !yield(main.dir, files) {
			return
		}
		seen := map[string]bool{main.dir: true}
		pending := l.imported(files)
		for len(pending) > 0 {
			dir := pending[0]
			pending = pending[1:]
			all, known := l.tree.packages[dir]
			if seen[dir] || !known {
				continue
			}
			seen[dir] = true
			files := compiled(l.fsys, dir, all, p)
			if !yield(dir, files) {
				return
			}
			pending = append(pending, l.imported(files)...)
		}
	}
}

// imported are the directories of this project that files import.
func (l *loader) imported(files []file) []string {
	var dirs []string
	for _, f := range files {
		for _, imported := range f.imports {
			if dir := l.dirOf(imported); dir != "" {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// dirOf is the directory of a package of this project, or "". When modules
// are nested, the longest path that fits has it.
func (l *loader) dirOf(imported string) string {
	dir, longest := "", -1
	for _, m := range l.mods {
		rest, ok := strings.CutPrefix(imported, m.path)
		if !ok || len(m.path) <= longest || rest != "" && rest[0] != '/' {
			continue
		}
		if candidate := path.Join(m.dir, rest); fs.ValidPath(candidate) {
			dir, longest = candidate, len(m.path)
		}
	}
	return dir
}
