// Package reach finds out which Go packages of a tree a change reaches: those in which files have changed, and those that
// depend on them. It reads no more than the first lines of Go files, and asks nobody.
//
// When in doubt, a package is reached: a file that is no Go file may be embedded, or read by the tests of the package that it lies
// in, build constraints are not looked at, and a changed go.mod reaches all of its module. What tests read from elsewhere in the
// tree (../README.md) cannot be known.
package reach

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Reach is what a change reaches.
type Reach struct {
	Modules map[string]Part // by the module's directory: those of which something is reached
	Others  []string        // changed files that belong to no package
}

// Part is what is reached of one module. Packages and files are relative to its directory; a package is written as the go command
// takes it: ./a/b.
type Part struct {
	Whole      string   // why all of the module is reached; "" when it is not
	Files      []string // Go files that have changed and are there
	Changed    []string // packages in which something has changed
	Dependents []string // packages that import them, or whose tests do, at any distance
	Packages   int      // that the module has
}

// Reach says what a change of files reaches, removed files included. Names are relative to the tree.
func (t Tree) Reach(changed []string) Reach {
	w := walk{tree: t, parts: map[string]*Part{}, inner: map[string]bool{}, tests: map[string]bool{}}
	var others []string
	for _, name := range changed {
		if !fs.ValidPath(name) || !w.mark(name) {
			others = append(others, name)
		}
	}
	for dir, p := range t.packages {
		if part := w.parts[p.module]; part != nil && part.Whole != "" {
			w.inner[dir] = true
		}
	}
	return Reach{Modules: w.spread(), Others: others}
}

// walk collects what is reached.
type walk struct {
	tree  Tree
	parts map[string]*Part
	inner map[string]bool // packages that have changed for those who import them
	tests map[string]bool // packages of which only tests have changed
}

func (w *walk) part(module string) *Part {
	if w.parts[module] == nil {
		w.parts[module] = &Part{}
	}
	return w.parts[module]
}

// mark notes one changed file, and says whether it matters to any package.
func (w *walk) mark(name string) bool {
	base, dir := path.Base(name), path.Dir(name)
	if why := w.tree.wholly(name); why != "" {
		if base == "go.work" || base == "go.work.sum" || base == "slipway.yaml" {
			for _, m := range w.tree.modules {
				w.part(m.dir).Whole = why
			}
			return len(w.tree.modules) > 0
		}
		if m, ok := w.tree.moduleOf(dir); ok {
			w.part(m.dir).Whole = why
			return true
		}
		return false
	}
	owner, ok := w.tree.owner(name)
	if !ok {
		return false
	}
	p, there := w.tree.packages[owner]
	if there && p.files[base] && dir == owner {
		part := w.part(p.module)
		part.Files = append(part.Files, within(p.module, name))
	}
	above := w.tree.embedding(owner)
	for _, dir := range above {
		w.inner[dir] = true
	}
	switch {
	case strings.HasSuffix(name, "_test.go"):
		w.tests[owner] = true
	case isCompiled(base), there && p.embeds:
		w.inner[owner] = true
	case there && p.hasTests(): // which may read it
		w.tests[owner] = true
	default:
		return len(above) > 0
	}
	return true
}

// isCompiled tells whether the compiler reads a file of this name.
func isCompiled(name string) bool {
	return slices.Contains([]string{
		".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90",
		".s", ".S", ".sx", ".swig", ".swigcxx", ".syso",
	}, path.Ext(name))
}

// spread follows the imports backwards, and sorts what was found into modules.
func (w *walk) spread() map[string]Part {
	importers, testers := w.tree.backwards()
	reached, pending := maps.Clone(w.inner), slices.Collect(maps.Keys(w.inner))
	for len(pending) > 0 {
		dir := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for _, above := range importers[dir] {
			if !reached[above] {
				reached[above], pending = true, append(pending, above)
			}
		}
	}
	tested := map[string]bool{}
	for dir := range reached {
		tested[dir] = true
		for _, above := range testers[dir] {
			tested[above] = true
		}
	}
	for dir := range w.tests {
		tested[dir] = true
	}
	for dir := range tested {
		w.put(dir)
	}
	return w.sorted()
}

// put puts a package that the go command would look at into the part of its module.
func (w *walk) put(dir string) {
	p, there := w.tree.packages[dir]
	if !there || !p.built {
		return
	}
	part, pattern := w.part(p.module), within(p.module, dir)
	if pattern != "." {
		pattern = "./" + pattern
	}
	if w.inner[dir] || w.tests[dir] {
		part.Changed = append(part.Changed, pattern)
	} else {
		part.Dependents = append(part.Dependents, pattern)
	}
}

func (w *walk) sorted() map[string]Part {
	parts := map[string]Part{}
	for module, part := range w.parts {
		for _, p := range w.tree.packages {
			if p.module == module && p.built {
				part.Packages++
			}
		}
		for _, list := range [][]string{part.Files, part.Changed, part.Dependents} {
			slices.Sort(list)
		}
		parts[module] = *part
	}
	return parts
}

// within is a name relative to a directory that holds it.
func within(dir, name string) string {
	if dir == "." {
		return name
	}
	if name == dir {
		return "."
	}
	return strings.TrimPrefix(name, dir+"/")
}
