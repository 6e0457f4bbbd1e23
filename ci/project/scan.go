package project

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

// tree is what a walk over the sources found. All directories are relative to
// the root of the file system and sorted.
type tree struct {
	modules []string // directories with a go.mod
	mains   []mainDir
	ignored []string        // directories that the go command ignores itself
	tested  map[string]bool // module directories with at least one _test.go
}

// mainDir is a directory with files of package main.
type mainDir struct {
	dir, moduleDir string
	files          []mainFile // those of package main, tests left out
}

type mainFile struct {
	name string
	cgo  bool // it imports C
}

// scanner walks sources. It stays inside fsys, which for a real directory is
// an os.Root: links that lead out are errors there, and no others are walked.
type scanner struct {
	fsys fs.FS
	dist string // output of earlier runs
	tree tree
}

func scan(ctx context.Context, fsys fs.FS, start, dist string) (tree, error) {
	s := scanner{fsys: fsys, dist: dist, tree: tree{tested: map[string]bool{}}}
	if err := s.walk(ctx, start, enclosingModule(fsys, start)); err != nil {
		return tree{}, err
	}
	slices.Sort(s.tree.modules)
	slices.Sort(s.tree.ignored)
	slices.SortFunc(s.tree.mains, func(a, b mainDir) int { return strings.Compare(a.dir, b.dir) })
	return s.tree, nil
}

// add joins what another walk found.
func (t *tree) add(other tree) {
	t.modules = append(t.modules, other.modules...)
	t.mains = append(t.mains, other.mains...)
	t.ignored = append(t.ignored, other.ignored...)
	for dir := range other.tested {
		t.tested[dir] = true
	}
}

// main gives the package main in a directory.
func (t *tree) main(dir string) (mainDir, bool) {
	i := slices.IndexFunc(t.mains, func(m mainDir) bool { return m.dir == dir })
	if i < 0 {
		return mainDir{}, false
	}
	return t.mains[i], true
}

func (s *scanner) walk(ctx context.Context, dir, moduleDir string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := fs.ReadDir(s.fsys, dir)
	if err != nil {
		return unreadable("directory", dir, err)
	}
	if hasFile(entries, "go.mod") {
		moduleDir = dir
		s.tree.modules = append(s.tree.modules, dir)
	}
	files, err := s.mainFiles(dir, moduleDir, entries)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		s.tree.mains = append(s.tree.mains, mainDir{dir: dir, moduleDir: moduleDir, files: files})
	}
	return s.walkDown(ctx, dir, moduleDir, entries)
}

func (s *scanner) walkDown(ctx context.Context, dir, moduleDir string, entries []fs.DirEntry) error {
	for _, entry := range entries {
		child := path.Join(dir, entry.Name())
		switch {
		case !entry.IsDir(), child == s.dist:
		case ignoredByGo(entry.Name()):
			if !strings.HasPrefix(entry.Name(), ".") {
				s.tree.ignored = append(s.tree.ignored, child)
			}
		default:
			if err := s.walk(ctx, child, moduleDir); err != nil {
				return err
			}
		}
	}
	return nil
}

// mainFiles are the files of package main. Files that no compiler would read
// are passed over here; verify is the one to say what is wrong with them.
func (s *scanner) mainFiles(dir, moduleDir string, entries []fs.DirEntry) ([]mainFile, error) {
	var files []mainFile
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue
		}
		if strings.HasSuffix(name, "_test.go") {
			s.tree.tested[moduleDir] = true
			continue
		}
		file, err := s.parse(dir, name)
		if err != nil {
			return nil, err
		}
		if file != nil && file.Name.Name == "main" {
			files = append(files, mainFile{name: name, cgo: importsC(file)})
		}
	}
	return files, nil
}

// parse reads a file as far as its imports, or gives nil for one that no
// compiler would take.
func (s *scanner) parse(dir, name string) (*ast.File, error) {
	file := path.Join(dir, name)
	if !isFile(s.fsys, file) {
		return nil, nil // a dangling link, one that leads out, a pipe
	}
	source, err := fs.ReadFile(s.fsys, file)
	if err != nil {
		return nil, unreadable("file", file, err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil
	}
	return parsed, nil
}

func importsC(file *ast.File) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"C"` })
}

// platform is what build constraints are weighed against.
type platform struct {
	target target.Target
	tags   []string
	cgo    bool
	golang string // release that compiles: 1.26.8
}

// fits says whether any file of the package is compiled for the platform.
func (m mainDir) fits(fsys fs.FS, p platform) bool {
	context := build.Context{
		GOOS: p.target.OS, GOARCH: p.target.Arch, CgoEnabled: p.cgo, Compiler: "gc",
		BuildTags: p.tags, ReleaseTags: releaseTags(p.golang),
		JoinPath: path.Join,
		OpenFile: func(name string) (io.ReadCloser, error) { return fsys.Open(name) },
	}
	return slices.ContainsFunc(m.files, func(file mainFile) bool {
		if file.cgo && !p.cgo {
			return false
		}
		match, err := context.MatchFile(m.dir, file.name)
		return match && err == nil
	})
}

// fitsAnything says whether there is any platform at all that compiles it;
// the scripts that carry "//go:build ignore" have none.
func (m mainDir) fitsAnything(fsys fs.FS, golang string) bool {
	return slices.ContainsFunc(append(target.Default(), target.Known()...), func(t target.Target) bool {
		return m.fits(fsys, platform{target: t, golang: golang}) || m.fits(fsys, platform{target: t, golang: golang, cgo: true})
	})
}

// releaseTags are the go1.N tags that a release satisfies.
func releaseTags(golang string) []string {
	var tags []string
	for n := 1; n <= minorOf(golang); n++ {
		tags = append(tags, fmt.Sprintf("go1.%d", n))
	}
	return tags
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

func hasFile(entries []fs.DirEntry, name string) bool {
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
