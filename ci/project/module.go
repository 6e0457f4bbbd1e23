package project

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// goModule is what matters of one go.mod.
type goModule struct {
	dir, path string
	golang    string
	lines     []goLine
	replaced  []string // local directories as written
}

// workspace is what matters of one go.work. The zero value means none.
type workspace struct {
	file  string // relative to the root
	uses  []string
	lines []goLine
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
	for _, r := range file.Replace {
		if r.New.Version == "" && modfile.IsDirectoryPath(r.New.Path) {
			m.replaced = append(m.replaced, r.New.Path)
		}
	}
	return m, nil
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
	file, err := modfile.ParseWork(name, data, nil)
	if err != nil {
		return workspace{}, &SourceError{Message: firstError(err), Next: "correct " + name}
	}
	w := workspace{file: name, lines: wishes(name, file.Go, file.Toolchain)}
	for _, use := range file.Use {
		w.uses = append(w.uses, use.Path)
	}
	return w, nil
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
