package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// OutputMarker is the file that an output directory of Slipway carries. A
// directory with it is never an input, wherever it is.
const OutputMarker = ".slipway"

// tree is what a walk over the sources found. All directories are relative to
// the root of the file system and sorted.
type tree struct {
	modules  []string // directories with a go.mod
	mains    []mainDir
	ignored  []string          // directories that the go command ignores itself
	left     []string          // directories that an ignore line of go.mod leaves out
	outputs  []string          // directories that an earlier run of ours made
	garbled  []string          // directories whose names are no UTF-8
	tested   map[string]bool   // module directories with at least one _test.go
	runners  map[string]string // directories that a go:generate line runs, by the file with the line
	packages map[string][]file // the files of every package that is no main, by directory
}

// mainDir is a directory with files of package main.
type mainDir struct {
	dir, moduleDir string
	files          []file // those of package main, tests left out
}

func (m mainDir) fileNames() []string {
	names := make([]string, len(m.files))
	for i, f := range m.files {
		names[i] = path.Join(m.dir, f.name)
	}
	return names
}

// file is one Go file, as far as its imports.
type file struct {
	name    string
	cgo     bool // it imports C
	plain   bool // every platform compiles it
	imports []string
}

// scanner walks sources. It stays inside fsys, which for a real directory is
// an os.Root: links that lead out are errors there, and no others are walked.
type scanner struct {
	fsys fs.FS
	dist string // output of this run
	tree tree
}

func scan(ctx context.Context, fsys fs.FS, start, dist string) (tree, error) {
	s := scanner{fsys: fsys, dist: dist, tree: tree{tested: map[string]bool{}, runners: map[string]string{}, packages: map[string][]file{}}}
	in := enclosingModule(fsys, start)
	if err := s.walk(ctx, start, scope{module: in, ignore: ignoreLines(fsys, in)}); err != nil {
		return tree{}, err
	}
	for _, dirs := range []*[]string{&s.tree.modules, &s.tree.ignored, &s.tree.left, &s.tree.outputs, &s.tree.garbled} {
		slices.Sort(*dirs)
	}
	slices.SortFunc(s.tree.mains, func(a, b mainDir) int { return strings.Compare(a.dir, b.dir) })
	return s.tree, nil
}

// add joins what another walk found.
func (t *tree) add(other tree) {
	t.modules = append(t.modules, other.modules...)
	t.mains = append(t.mains, other.mains...)
	t.ignored = append(t.ignored, other.ignored...)
	t.left = append(t.left, other.left...)
	t.outputs = append(t.outputs, other.outputs...)
	t.garbled = append(t.garbled, other.garbled...)
	maps.Copy(t.tested, other.tested)
	maps.Copy(t.runners, other.runners)
	maps.Copy(t.packages, other.packages)
}

// main gives the package main in a directory.
func (t *tree) main(dir string) (mainDir, bool) {
	i := slices.IndexFunc(t.mains, func(m mainDir) bool { return m.dir == dir })
	if i < 0 {
		return mainDir{}, false
	}
	return t.mains[i], true
}

// scope is the module that the walk is in, and what its go.mod leaves out.
type scope struct {
	module string
	ignore []string
}

func (s *scanner) walk(ctx context.Context, dir string, in scope) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := fs.ReadDir(s.fsys, dir)
	if err != nil {
		return unreadable("directory", dir, err)
	}
	if has(entries, OutputMarker) && dir != "." && isFile(s.fsys, path.Join(dir, OutputMarker)) {
		s.tree.outputs = append(s.tree.outputs, dir)
		return nil
	}
	if has(entries, "go.mod") && isFile(s.fsys, path.Join(dir, "go.mod")) {
		in = scope{module: dir, ignore: ignoreLines(s.fsys, dir)}
		s.tree.modules = append(s.tree.modules, dir)
	}
	if err := s.readPackage(dir, in.module, entries); err != nil {
		return err
	}
	return s.walkDown(ctx, dir, in, entries)
}

func (s *scanner) walkDown(ctx context.Context, dir string, in scope, entries []fs.DirEntry) error {
	for _, entry := range entries {
		child := path.Join(dir, entry.Name())
		switch {
		case !entry.IsDir(), child == s.dist:
		case !utf8.ValidString(child):
			s.tree.garbled = append(s.tree.garbled, child)
		case ignoredByGo(entry.Name()):
			if !strings.HasPrefix(entry.Name(), ".") {
				s.tree.ignored = append(s.tree.ignored, child)
			}
		case in.leavesOut(child):
			s.tree.left = append(s.tree.left, child)
		default:
			if err := s.walk(ctx, child, in); err != nil {
				return err
			}
		}
	}
	return nil
}

// leavesOut says whether an ignore line names the directory: "./x" is the one
// at the top of the module, "x" any of that name.
func (in scope) leavesOut(dir string) bool {
	relative, ok := under(in.module, dir)
	if in.module == "" || !ok {
		return false
	}
	slashed := "/" + relative + "/"
	return slices.ContainsFunc(in.ignore, func(line string) bool {
		top, atTop := strings.CutPrefix(line, "./")
		if atTop {
			return strings.HasPrefix(slashed, "/"+strings.Trim(top, "/")+"/")
		}
		return strings.Contains(slashed, "/"+strings.Trim(line, "/")+"/")
	})
}

// readPackage keeps the Go files of a directory. Files that no compiler would
// read are passed over here; verify is the one to say what is wrong with them.
func (s *scanner) readPackage(dir, moduleDir string, entries []fs.DirEntry) error {
	var main, other []file
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue
		}
		if strings.HasSuffix(name, "_test.go") {
			s.tree.tested[moduleDir] = true
			continue
		}
		switch f, pkg, err := s.read(dir, name); {
		case err != nil:
			return err
		case pkg == "main":
			main = append(main, f)
		case pkg != "":
			other = append(other, f)
		}
	}
	if len(main) > 0 {
		s.tree.mains = append(s.tree.mains, mainDir{dir: dir, moduleDir: moduleDir, files: main})
	}
	if len(other) > 0 {
		s.tree.packages[dir] = other
	}
	return nil
}

// read reads a file as far as its imports. It gives no package for one that no
// compiler would take.
func (s *scanner) read(dir, name string) (f file, pkg string, err error) {
	at := path.Join(dir, name)
	if !isFile(s.fsys, at) {
		return file{}, "", nil // a dangling link, one that leads out, a pipe
	}
	source, err := fs.ReadFile(s.fsys, at)
	if err != nil {
		return file{}, "", unreadable("file", at, err)
	}
	for _, local := range generators(source) {
		s.tree.runners[path.Join(dir, local)] = at
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), at, source, parser.ImportsOnly|parser.SkipObjectResolution)
	if err != nil {
		return file{}, "", nil
	}
	f = file{name: name, plain: isPlain(name, source[:parsed.Package-parsed.FileStart])}
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has looked at it
		f.imports = append(f.imports, imported)
	}
	f.cgo = slices.Contains(f.imports, "C")
	return f, parsed.Name.Name, nil
}

// generators are the directories, relative to the file, that its go:generate lines give to "go run".
func generators(source []byte) []string {
	var dirs []string
	for line := range bytes.Lines(source) {
		command, ok := bytes.CutPrefix(line, []byte("//go:generate go run "))
		if !ok {
			continue
		}
		for _, word := range strings.Fields(string(command)) {
			if strings.HasPrefix(word, "./") || strings.HasPrefix(word, "../") {
				dirs = append(dirs, word)
				break
			}
		}
	}
	return dirs
}

// isPlain says whether neither the name nor what comes before the package
// line can keep a file from being compiled.
func isPlain(name string, head []byte) bool {
	return !strings.Contains(name, "_") && !bytes.Contains(head, []byte("build"))
}

// ignoredByGo are the directories that ./... does not descend into, and
// node_modules, where Go code is somebody else's.
func ignoredByGo(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor" || name == "node_modules"
}

// enclosingModule is the directory of the go.mod that a directory belongs
// to, or "".
func enclosingModule(fsys fs.FS, dir string) string {
	for {
		if isFile(fsys, path.Join(dir, "go.mod")) {
			return dir
		}
		if dir == "." {
			return ""
		}
		dir = path.Dir(dir)
	}
}

func isFile(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.Mode().IsRegular()
}

func isDir(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

func has(entries []fs.DirEntry, name string) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name && !e.IsDir() })
}

func unreadable(kind, name string, err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	next := "check its permissions"
	if errors.Is(err, fs.ErrPermission) {
		next = "make it readable, or move it out of the project"
	}
	return &SourceError{Message: fmt.Sprintf("cannot read %s %q: %v", kind, name, err), Next: next}
}
