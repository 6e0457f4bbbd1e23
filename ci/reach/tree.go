package reach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
)

// Tree is what matters of a tree of sources: its modules and packages, and who imports whom.
type Tree struct {
	modules  []module // the deepest first
	packages map[string]*pack
	aliases  map[string]string // directories by the import path that a replace line gives them
}

type module struct{ dir, path string }

// pack is one directory with Go files.
type pack struct {
	module  string          // its directory
	files   map[string]bool // Go files
	imports []string        // of the package itself
	tested  []string        // of its tests
	embeds  bool            // it has a go:embed line
	built   bool            // for the system that it is read for, at least one file is compiled
}

func (p *pack) hasTests() bool {
	for name := range p.files {
		if strings.HasSuffix(name, "_test.go") {
			return true
		}
	}
	return false
}

// Read reads a tree as it is for linux on an architecture, which is where tests run. Directories that the go command passes over
// are passed over.
func Read(ctx context.Context, fsys fs.FS, arch, golang string) (Tree, error) {
	r := reader{ctx: ctx, fsys: fsys, build: buildContext(fsys, arch, golang), tree: Tree{packages: map[string]*pack{}, aliases: map[string]string{}}}
	if err := r.walk(".", ""); err != nil {
		return Tree{}, fmt.Errorf("read the packages: %w", err)
	}
	slices.SortFunc(r.tree.modules, func(a, b module) int { return len(b.dir) - len(a.dir) })
	return r.tree, nil
}

// Modules are the directories of the modules.
func (t Tree) Modules() []string {
	var dirs []string
	for _, m := range t.modules {
		dirs = append(dirs, m.dir)
	}
	slices.Sort(dirs)
	return dirs
}

// buildContext answers which files are compiled.
func buildContext(fsys fs.FS, arch, golang string) build.Context {
	c := build.Context{GOOS: "linux", GOARCH: arch, Compiler: "gc", CgoEnabled: true, JoinPath: path.Join}
	c.OpenFile = func(name string) (io.ReadCloser, error) { return fsys.Open(name) }
	var minor int
	if _, err := fmt.Sscanf(golang, "1.%d", &minor); err == nil {
		for i := range minor {
			c.ReleaseTags = append(c.ReleaseTags, "go1."+strconv.Itoa(i+1))
		}
	}
	return c
}

type reader struct {
	ctx   context.Context
	fsys  fs.FS
	build build.Context
	tree  Tree
}

func (r *reader) walk(dir, in string) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	entries, err := fs.ReadDir(r.fsys, dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "go.mod" && e.Type().IsRegular() }) {
		if in, err = dir, r.module(dir); err != nil {
			return err
		}
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		switch {
		case entry.IsDir() && !passedOver(entry.Name()):
			err = r.walk(name, in)
		case entry.Type().IsRegular() && strings.HasSuffix(name, ".go") && !strings.HasPrefix(entry.Name(), "_") && !strings.HasPrefix(entry.Name(), "."):
			err = r.file(dir, entry.Name(), in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passedOver are directories in which there are no packages of the module.
func passedOver(name string) bool {
	return name == "testdata" || name == "vendor" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// module reads a go.mod. One that the go command would refuse has no path, and verify says what is wrong with it.
func (r *reader) module(dir string) error {
	name := path.Join(dir, "go.mod")
	data, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		return err
	}
	m := module{dir: dir}
	if file, err := modfile.ParseLax(name, data, nil); err == nil && file.Module != nil {
		m.path = file.Module.Mod.Path
	}
	r.tree.modules = append(r.tree.modules, m)
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil
	}
	for _, replace := range file.Replace {
		if replace.New.Version == "" {
			r.tree.aliases[replace.Old.Path] = path.Join(dir, replace.New.Path)
		}
	}
	return nil
}

func (r *reader) file(dir, name, in string) error {
	source, err := fs.ReadFile(r.fsys, path.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p := r.tree.packages[dir]
	if p == nil {
		p = &pack{module: in, files: map[string]bool{}}
		r.tree.packages[dir] = p
	}
	p.files[name] = true
	p.embeds = p.embeds || bytes.Contains(source, []byte("//go:embed"))
	if matched, err := r.build.MatchFile(dir, name); matched || err != nil {
		p.built = true
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly|parser.SkipObjectResolution)
	if parsed == nil || err != nil && len(parsed.Imports) == 0 {
		return nil // it is broken, and verify says so
	}
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has looked at it
		if strings.HasSuffix(name, "_test.go") {
			p.tested = append(p.tested, imported)
		} else {
			p.imports = append(p.imports, imported)
		}
	}
	return nil
}

// wholly says why a file reaches all of its module, or "".
func (t Tree) wholly(name string) string {
	switch base := path.Base(name); base {
	case "go.mod", "go.sum", "go.work", "go.work.sum", "slipway.yaml":
		if !slices.Contains(strings.Split(name, "/"), "testdata") {
			return name + " has changed"
		}
	}
	if i := slices.Index(strings.Split(name, "/"), "vendor"); i >= 0 {
		return "vendor has changed"
	}
	return ""
}

// moduleOf is the innermost module that a directory lies in.
func (t Tree) moduleOf(dir string) (module, bool) {
	i := slices.IndexFunc(t.modules, func(m module) bool { return isIn(m.dir, dir) })
	if i < 0 {
		return module{}, false
	}
	return t.modules[i], true
}

// owner is the package that a file belongs to: that of its directory, which may be gone for a Go file, else the nearest above it.
func (t Tree) owner(name string) (string, bool) {
	dir := path.Dir(name)
	if strings.HasSuffix(name, ".go") && !slices.ContainsFunc(strings.Split(dir, "/"), func(s string) bool { return s != "." && passedOver(s) }) {
		_, ok := t.moduleOf(dir)
		return dir, ok
	}
	m, ok := t.moduleOf(dir)
	top := t.packages[m.dir]
	if inside := within(m.dir, dir); strings.HasPrefix(inside, ".") && inside != "." && (top == nil || !top.embeds) {
		return "", false // .github and the like
	}
	for ok {
		if _, there := t.packages[dir]; there {
			return dir, true
		}
		if dir == m.dir {
			break
		}
		dir = path.Dir(dir)
	}
	return "", false
}

// embedding are the packages above a directory, in its module, that embed files: one of theirs may be in there.
func (t Tree) embedding(dir string) (found []string) {
	m, ok := t.moduleOf(dir)
	for ok && dir != m.dir {
		dir = path.Dir(dir)
		if p, there := t.packages[dir]; there && p.embeds {
			found = append(found, dir)
		}
	}
	return found
}

// backwards are the packages by what they import, and by what their tests do.
func (t Tree) backwards() (importers, testers map[string][]string) {
	importers, testers = map[string][]string{}, map[string][]string{}
	for dir, p := range t.packages {
		for _, imported := range p.imports {
			if at, ok := t.dirOf(imported); ok {
				importers[at] = append(importers[at], dir)
			}
		}
		for _, imported := range p.tested {
			if at, ok := t.dirOf(imported); ok {
				testers[at] = append(testers[at], dir)
			}
		}
	}
	return importers, testers
}

// dirOf is the directory of an import path, if it is in the tree: the module with the longest path that fits has it.
func (t Tree) dirOf(imported string) (string, bool) {
	dir, length := "", -1
	try := func(prefix, at string) {
		rest, ok := strings.CutPrefix(imported, prefix)
		if ok && (rest == "" || rest[0] == '/') && prefix != "" && len(prefix) > length {
			dir, length = path.Join(at, rest), len(prefix)
		}
	}
	for _, m := range t.modules {
		try(m.path, m.dir)
	}
	for prefix, at := range t.aliases {
		try(prefix, at)
	}
	return dir, length >= 0
}

func isIn(dir, name string) bool {
	return dir == "." || dir == name || strings.HasPrefix(name, dir+"/")
}
