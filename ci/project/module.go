package project

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// goModule is what matters of one go.mod.
type goModule struct {
	dir, path string
	golang    string
	lines     []goLine
	replaced  []string // local directories as written
	needs     string   // a module that go.sum must know, "" for none
}

// workspace is what matters of one go.work. The zero value means none.
type workspace struct {
	file     string // relative to the root
	uses     []string
	lines    []goLine
	replaced []string // local directories as written
}

func readModule(fsys fs.FS, dir string) (goModule, error) {
	name := path.Join(dir, "go.mod")
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return goModule{}, unreadable("file", name, err)
	}
	return parseModule(name, data)
}

// parseModule reads a go.mod of any Go version: one with directives that are
// not known here yet is read as a dependency's is, without them.
func parseModule(name string, data []byte) (goModule, error) {
	if err := unresolved(name, data); err != nil {
		return goModule{}, err
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		lax, laxError := modfile.ParseLax(name, data, nil)
		if laxError != nil {
			return goModule{}, &SourceError{Message: firstError(laxError), Next: "correct " + name}
		}
		file = lax
	}
	if file.Module == nil {
		return goModule{}, &SourceError{Message: name + " has no module line", Next: "add one: go mod edit -module=example.com/name"}
	}
	m := goModule{dir: path.Dir(name), path: file.Module.Mod.Path, lines: wishes(name, file.Go, file.Toolchain)}
	if file.Go != nil {
		m.golang = file.Go.Version
	}
	m.replaced = replacedByDirectory(file.Replace)
	m.needs = needsSum(file)
	return m, nil
}

// replacedByDirectory are the directories that stand in for modules.
func replacedByDirectory(replaces []*modfile.Replace) []string {
	var dirs []string
	for _, r := range replaces {
		if r.New.Version == "" && modfile.IsDirectoryPath(r.New.Path) {
			dirs = append(dirs, r.New.Path)
		}
	}
	return dirs
}

// needsSum is a module that is fetched, and so needs a line in go.sum, or "".
func needsSum(file *modfile.File) string {
	for _, r := range file.Require {
		local := slices.ContainsFunc(file.Replace, func(replace *modfile.Replace) bool {
			return replace.Old.Path == r.Mod.Path && replace.New.Version == ""
		})
		if !r.Indirect && !local {
			return r.Mod.Path
		}
	}
	return ""
}

// ignoreLines are what the go.mod in a directory tells the go command to pass
// over. One that cannot be read says nothing here: it is said elsewhere.
func ignoreLines(fsys fs.FS, dir string) []string {
	name := path.Join(dir, "go.mod")
	if dir == "" || !isFile(fsys, name) {
		return nil
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil || !bytes.Contains(data, []byte("ignore")) {
		return nil
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil
	}
	lines := make([]string, len(file.Ignore))
	for i, ignore := range file.Ignore {
		lines[i] = ignore.Path
	}
	return lines
}

func readWorkspace(fsys fs.FS, dir string) (workspace, error) {
	name := path.Join(dir, "go.work")
	if !isFile(fsys, name) {
		return workspace{}, nil
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return workspace{}, unreadable("file", name, err)
	}
	return parseWorkspace(name, data)
}

func parseWorkspace(name string, data []byte) (workspace, error) {
	if err := unresolved(name, data); err != nil {
		return workspace{}, err
	}
	file, err := modfile.ParseWork(name, data, nil)
	if err != nil {
		return workspace{}, &SourceError{Message: firstError(err), Next: "correct " + name}
	}
	w := workspace{file: name, lines: wishes(name, file.Go, file.Toolchain), replaced: replacedByDirectory(file.Replace)}
	for _, use := range file.Use {
		w.uses = append(w.uses, use.Path)
	}
	return w, nil
}

// unresolved refuses a file with a merge conflict in it: what a parser says
// of one leads nowhere.
func unresolved(name string, data []byte) error {
	if line := conflictLine(data); line > 0 {
		return &SourceError{Message: fmt.Sprintf("%s:%d: an unresolved merge conflict begins here", name, line), Next: "resolve it, and remove the lines with <<<<<<<, ======= and >>>>>>>"}
	}
	return nil
}

// conflictLine is the line in which git left a merge conflict, or 0.
func conflictLine(data []byte) int {
	n := 0
	for line := range bytes.Lines(data) {
		if n++; bytes.HasPrefix(line, []byte("<<<<<<< ")) {
			return n
		}
	}
	return 0
}

// wishes are the go and toolchain lines of a file. "toolchain default" and
// "local" are wishes for whatever there is.
func wishes(file string, golang *modfile.Go, toolchain *modfile.Toolchain) []goLine {
	var lines []goLine
	if golang != nil {
		lines = append(lines, goLine{file: file, wish: "go " + golang.Version, version: golang.Version, minimum: true})
	}
	if toolchain != nil {
		if v, ok := strings.CutPrefix(toolchain.Name, "go"); ok {
			lines = append(lines, goLine{file: file, wish: "toolchain " + toolchain.Name, version: v})
		}
	}
	return lines
}

// resolve gives a path out of a go.mod or go.work in dir, relative to the
// root, and whether it is inside.
func resolve(root, dir, written string) (string, bool) {
	if filepath.IsAbs(written) {
		relative, err := filepath.Rel(root, written)
		if err != nil {
			return "", false
		}
		dir, written = ".", filepath.ToSlash(relative)
	}
	joined := path.Join(dir, filepath.ToSlash(written))
	return joined, fs.ValidPath(joined)
}

func firstError(err error) string {
	var list modfile.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return list[0].Error()
	}
	return fmt.Sprint(err)
}
