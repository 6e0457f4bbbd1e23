package project

import (
	"bytes"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// dirtyScope says where build inputs are. Directories are relative to the
// project's root, prefix is the root relative to git's.
type dirtyScope struct {
	fsys    fs.FS
	prefix  string
	dirs    []string
	nested  []string // modules below dirs that are not built
	others  []string // files outside of dirs that are read too
	outputs []string // what runs made: no input, whatever an embed line says
}

// inputs picks the build inputs out of what git status --porcelain -z says.
// It errs on the side of dirty: a file that merely might be read counts.
func (s dirtyScope) inputs(porcelain string) []string {
	var changed []string
	entries := strings.Split(porcelain, "\x00")
	for i := 0; i < len(entries); i++ {
		entry := entries[i]
		if len(entry) < 4 || entry[2] != ' ' {
			continue
		}
		status, name := entry[:2], entry[3:]
		if strings.ContainsAny(status, "RC") {
			i++ // the next entry is the old name
		}
		if relative, ok := under(s.prefix, strings.TrimSuffix(name, "/")); ok && s.isInput(relative) {
			changed = append(changed, relative)
		}
	}
	return changed
}

func (s dirtyScope) isInput(name string) bool {
	switch {
	case slices.Contains(s.others, name):
		return true
	case slices.ContainsFunc(s.outputs, func(dir string) bool { return isUnder(dir, name) }):
		return false
	}
	module, ok := s.moduleOf(name)
	return ok && (isCompiled(module, name) || s.isEmbedded(module, name))
}

// moduleOf is the module that a file belongs to, if it is one that is built.
func (s dirtyScope) moduleOf(name string) (string, bool) {
	module, best, nested := "", -1, false
	for _, dir := range s.dirs {
		if isUnder(dir, name) && depth(dir) > best {
			module, best, nested = dir, depth(dir), false
		}
	}
	for _, dir := range s.nested {
		if isUnder(dir, name) && depth(dir) > best {
			best, nested = depth(dir), true
		}
	}
	return module, best >= 0 && !nested
}

// isCompiled says whether the go command reads a file of a module by itself:
// what go list has in GoFiles, CFiles, SysoFiles and so on.
func isCompiled(module, name string) bool {
	relative, _ := under(module, name)
	base, dir := path.Base(relative), path.Dir(relative)
	switch relative {
	case "go.mod", "go.sum", "vendor/modules.txt":
		return true
	}
	if dir != "." && slices.ContainsFunc(strings.Split(dir, "/"), neverImported) || neverImported(base) || strings.HasSuffix(base, "_test.go") {
		return false
	}
	return base == "default.pgo" || slices.Contains(compiledExtensions, path.Ext(base))
}

// compiledExtensions are of the files that the go command compiles, or gives to a C compiler or the linker.
var compiledExtensions = []string{
	".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90",
	".s", ".S", ".sx", ".swig", ".swigcxx", ".syso",
}

// isSource says whether a file of this name may be compiled, in a test too, or says what is: those that editors put beside
// the ones that they write are none.
func isSource(base string) bool {
	switch base {
	case "go.mod", "go.sum", "go.work", "go.work.sum", "modules.txt", "default.pgo":
		return true
	}
	return !neverImported(base) && slices.Contains(compiledExtensions, path.Ext(base))
}

// neverImported are the names that the go command does not look at. Unlike
// ignoredByGo these hold for vendored packages too.
func neverImported(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata"
}

// isEmbedded says whether a Go file between a file and the top of its module
// has a go:embed line for it.
func (s dirtyScope) isEmbedded(module, name string) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		relative, ok := under(dir, name)
		if ok && slices.ContainsFunc(embeds(s.fsys, dir), func(pattern string) bool { return embedMatches(pattern, relative) }) {
			return true
		}
		if dir == module || dir == "." {
			return false
		}
	}
}

// embeds are the patterns of all go:embed lines in a directory.
func embeds(fsys fs.FS, dir string) []string {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil // removed: then its Go files are in the list too
	}
	var patterns []string
	for _, entry := range entries {
		file := path.Join(dir, entry.Name())
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || !isFile(fsys, file) {
			continue
		}
		source, err := fs.ReadFile(fsys, file)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(source) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "//go:embed "); ok {
				patterns = append(patterns, embedPatterns(rest)...)
			}
		}
	}
	return patterns
}

// embedPatterns splits the arguments of go:embed, which may be quoted.
func embedPatterns(args string) []string {
	var patterns []string
	for args = strings.TrimSpace(args); args != ""; args = strings.TrimSpace(args) {
		pattern := args
		if quoted, err := strconv.QuotedPrefix(args); err == nil && args[0] != '\'' {
			pattern, _ = strconv.Unquote(quoted)
			args = args[len(quoted):]
		} else {
			pattern, args, _ = strings.Cut(args, " ")
		}
		patterns = append(patterns, strings.TrimPrefix(pattern, "all:"))
	}
	return patterns
}

// embedMatches says whether a pattern takes a file, or a directory above it.
func embedMatches(pattern, name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if matched, err := path.Match(pattern, name); matched || err != nil {
			return true // a broken pattern is for the compiler to refuse
		}
	}
	return pattern == "."
}

func depth(dir string) int {
	if dir == "." {
		return 0
	}
	return 1 + strings.Count(dir, "/")
}

func isUnder(dir, name string) bool {
	_, ok := under(dir, name)
	return ok
}

// under gives a file relative to dir, and whether it is in there at all.
func under(dir, name string) (string, bool) {
	switch {
	case dir == "." || dir == "":
		return name, true
	case dir == name:
		return ".", true
	}
	return strings.CutPrefix(name, dir+"/")
}
