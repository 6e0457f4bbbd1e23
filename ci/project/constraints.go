package project

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

// newestGo is the highest minor release that a build constraint is asked for
// by: beyond any Go that this program will meet.
const newestGo = 199

// platform is what build constraints are weighed against.
type platform struct {
	target target.Target
	tags   []string
	cgo    bool
	golang string // release that compiles: 1.26.8
}

func (p platform) context(fsys fs.FS) build.Context {
	return build.Context{
		GOOS: p.target.OS, GOARCH: p.target.Arch, CgoEnabled: p.cgo, Compiler: "gc",
		BuildTags: p.tags, ReleaseTags: releaseTags(minorOf(p.golang)),
		JoinPath: path.Join,
		OpenFile: func(name string) (io.ReadCloser, error) { return fsys.Open(name) },
	}
}

// releaseTags are the go1.N tags that a release satisfies.
func releaseTags(minor int) []string {
	var tags []string
	for n := 1; n <= minor; n++ {
		tags = append(tags, fmt.Sprintf("go1.%d", n))
	}
	return tags
}

// compiled are the files of a directory that are compiled for a platform.
func compiled(fsys fs.FS, dir string, files []file, p platform) []file {
	context := p.context(fsys)
	var fitting []file
	for _, f := range files {
		if f.cgo && !p.cgo {
			continue
		}
		if match, err := context.MatchFile(dir, f.name); f.plain || match && err == nil {
			fitting = append(fitting, f)
		}
	}
	return fitting
}

// fits says whether any file of the package is compiled for the platform.
func (m mainDir) fits(fsys fs.FS, p platform) bool {
	return len(compiled(fsys, m.dir, m.files, p)) > 0
}

// fitsAnything says whether there is any platform at all that compiles it;
// the scripts that carry "//go:build ignore" have none.
func (m mainDir) fitsAnything(fsys fs.FS, golang string) bool {
	return slices.ContainsFunc(append(target.Default(), target.Known()...), func(t target.Target) bool {
		return m.fits(fsys, platform{target: t, golang: golang}) || m.fits(fsys, platform{target: t, golang: golang, cgo: true})
	})
}

// newerGo is the release that the package asks for by its constraints, 1.99,
// or "" when a newer Go would not help.
func (m mainDir) newerGo(fsys fs.FS, golang string) string {
	if !m.fitsAnything(fsys, fmt.Sprintf("1.%d", newestGo)) {
		return ""
	}
	low, high := minorOf(golang), newestGo // low does not fit, high does
	for high-low > 1 {
		if middle := (low + high) / 2; m.fitsAnything(fsys, fmt.Sprintf("1.%d", middle)) {
			high = middle
		} else {
			low = middle
		}
	}
	return fmt.Sprintf("1.%d", high)
}

// guards are the build tags that the files of a package ask for and that
// nobody sets by itself: ignore, tools, integration.
func (m mainDir) guards(fsys fs.FS) []string {
	var tags []string
	for _, f := range m.files {
		source, err := fs.ReadFile(fsys, path.Join(m.dir, f.name))
		if err != nil {
			continue
		}
		for line := range bytes.Lines(source) {
			if expression, err := constraint.Parse(strings.TrimSpace(string(line))); err == nil {
				tags = append(tags, wanted(expression)...)
			}
			if bytes.HasPrefix(line, []byte("package ")) {
				break
			}
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// wanted are the tags that a constraint names without a not before them.
func wanted(e constraint.Expr) []string {
	switch e := e.(type) {
	case *constraint.AndExpr:
		return append(wanted(e.X), wanted(e.Y)...)
	case *constraint.OrExpr:
		return append(wanted(e.X), wanted(e.Y)...)
	case *constraint.TagExpr:
		return []string{e.Tag}
	}
	return nil
}

// hasFuncMain says whether one of the files declares func main. A file that
// cannot be parsed may: the compiler says what is wrong with it.
func (m mainDir) hasFuncMain(fsys fs.FS) bool {
	return slices.ContainsFunc(m.files, func(f file) bool {
		source, err := fs.ReadFile(fsys, path.Join(m.dir, f.name))
		if err != nil {
			return true
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.name, source, parser.SkipObjectResolution)
		return err != nil || slices.ContainsFunc(parsed.Decls, isFuncMain)
	})
}

func isFuncMain(declaration ast.Decl) bool {
	f, ok := declaration.(*ast.FuncDecl)
	return ok && f.Recv == nil && f.Name.Name == "main"
}
