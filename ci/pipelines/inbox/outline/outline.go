// Package outline reduces a source tree to what the go command needs in order to say what a build reads: the first lines of
// Go files up to their imports, the patterns of go:embed, and the names of all files that such a pattern could mean.
//
// "go list" gives the same answer for the outline as for the tree. The outline is small, and it stays the same when only the
// body of a function changes: then nothing has to be asked again, and a build of one program in a large repository needs no
// more of that repository than the program is made of.
package outline

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Write writes the outline of a tree as a tar archive: names, contents and nothing else, in the order of names. leave says
// what is no part of the tree. Links are written as links; what is neither file nor link nor directory is passed over.
//
// root must be an [os.Root]'s file system or another that does not follow links out of the tree.
func Write(ctx context.Context, w io.Writer, root fs.FS, leave func(name string) bool) error {
	o := outliner{ctx: ctx, root: root, leave: leave, texts: map[string][]byte{}, links: map[string]string{}, others: map[string][]byte{}}
	if err := o.walk("."); err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, name := range o.names() {
		if err := o.put(archive, name); err != nil {
			return fmt.Errorf("outline %q: %w", name, err)
		}
	}
	return archive.Close()
}

// profile steers the optimiser when it lies beside package main; only that it is there matters to the list of inputs.
const profile = "default.pgo"

// outliner collects what goes into an outline.
type outliner struct {
	ctx    context.Context
	root   fs.FS
	leave  func(name string) bool
	texts  map[string][]byte // what is written, by name
	links  map[string]string // symbolic links and where they lead
	others map[string][]byte // files that matter only where a pattern could mean them
	embeds []string          // directories of files with patterns
}

func (o *outliner) walk(dir string) error {
	if o.ctx.Err() != nil {
		return context.Cause(o.ctx)
	}
	entries, err := fs.ReadDir(o.root, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // it went away, or the upload has left it out as well
	}
	if err != nil {
		return fmt.Errorf("outline the sources: %w", err)
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		switch {
		case o.leave(name):
		case entry.IsDir():
			if err := o.walk(name); err != nil {
				return err
			}
		case entry.Type()&fs.ModeSymlink != 0:
			o.link(name)
		case entry.Type().IsRegular():
			o.file(name)
		}
	}
	return nil
}

// link keeps a link as one. What a source's link leads to may have a name that says nothing: it is kept whole then.
func (o *outliner) link(name string) {
	target, err := fs.ReadLink(o.root, name)
	if err != nil {
		return
	}
	o.links[name] = target
	target = path.Join(path.Dir(name), target)
	if !matters(name) || !fs.ValidPath(target) || matters(target) {
		return
	}
	if info, err := fs.Lstat(o.root, target); err != nil || !info.Mode().IsRegular() {
		return
	}
	if text, err := fs.ReadFile(o.root, target); err == nil {
		o.texts[target] = text
	}
}

// file decides how much of a file the outline has. One that cannot be read is left to the upload, which says so.
func (o *outliner) file(name string) {
	if !matters(name) {
		o.others[name] = nil
		return
	}
	text, err := fs.ReadFile(o.root, name)
	if err != nil {
		return
	}
	switch {
	case strings.HasSuffix(name, "_test.go"): // no build reads it
		o.others[name] = clause(text)
		return
	case strings.HasSuffix(name, ".go"):
		var patterns bool
		if text, patterns = head(text); patterns {
			o.embeds = append(o.embeds, path.Dir(name))
		}
	}
	o.texts[name] = text
}

// names are those of all entries: what has a text, links, and what a pattern could mean. Patterns reach no further up than
// the directory of their file (https://pkg.go.dev/embed).
func (o *outliner) names() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(o.texts)), maps.Keys(o.links))
	for name := range o.others {
		if _, kept := o.texts[name]; kept {
			continue
		}
		if path.Base(name) == profile || slices.ContainsFunc(o.embeds, func(dir string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (o *outliner) put(archive *tar.Writer, name string) error {
	text, kept := o.texts[name]
	if !kept {
		text = o.others[name]
	}
	header := tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}
	if target, ok := o.links[name]; ok {
		header, text = tar.Header{Name: name, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}, nil
	}
	if err := archive.WriteHeader(&header); err != nil {
		return err
	}
	_, err := archive.Write(text)
	return err
}

// matters tells whether the go command looks into a file, and does not only need its name: sources in any language that it
// compiles, because their first lines may keep them out of a build, and what says which modules there are.
func matters(name string) bool {
	switch path.Base(name) {
	case "go.mod", "go.sum", "go.work", "go.work.sum":
		return true
	case "modules.txt":
		return path.Base(path.Dir(name)) == "vendor"
	}
	return slices.Contains([]string{
		".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90", ".s", ".S", ".sx", ".swig", ".swigcxx", ".syso",
	}, path.Ext(name))
}

// head is a Go file as far as its imports, followed by its go:embed lines. A file that cannot be read that far is kept whole:
// the go command then says what is wrong with it.
func head(source []byte) (text []byte, patterns bool) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", source, parser.ImportsOnly|parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source, bytes.Contains(source, []byte("//go:embed"))
	}
	end := parsed.Name.End()
	for _, declared := range parsed.Decls {
		end = max(end, declared.End())
	}
	offset := files.Position(end).Offset
	text = append(slices.Clone(source[:offset]), '\n')
	if !slices.ContainsFunc(parsed.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"embed"` }) {
		return text, false
	}
	lines := directives(source[offset:])
	return append(text, lines...), len(lines) > 0
}

// clause is a test as far as its package clause: where a pattern could mean it, it must be there and be Go.
func clause(source []byte) []byte {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", source, parser.PackageClauseOnly|parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source
	}
	return append(slices.Clone(source[:files.Position(parsed.Name.End()).Offset]), '\n')
}

// directives are the go:embed lines of a piece of Go: those that begin a line and are in no text and no other comment.
func directives(source []byte) []byte {
	var lines []byte
	file := token.NewFileSet().AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, func(token.Position, string) {}, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		switch {
		case tok == token.EOF:
			return lines
		case tok == token.COMMENT && strings.HasPrefix(text, "//go:embed") && beginsLine(source[:file.Offset(pos)]):
			lines = append(append(lines, text...), '\n')
		}
	}
}

func beginsLine(before []byte) bool {
	return len(bytes.TrimSpace(before[bytes.LastIndexByte(before, '\n')+1:])) == 0
}

// Unpack writes an outline into a directory, which must be empty. Links may lead anywhere: nothing is written through them.
func Unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack the outline: %w", err)
	}
	defer root.Close()
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpack(root, header, archive)
		}
		if err != nil {
			return fmt.Errorf("unpack the outline: %w", err)
		}
	}
}

func unpack(root *os.Root, header *tar.Header, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(header.Name), 0o755); err != nil {
		return err
	}
	if header.Typeflag == tar.TypeSymlink {
		return root.Symlink(header.Linkname, header.Name)
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	return root.WriteFile(header.Name, text, 0o644)
}
