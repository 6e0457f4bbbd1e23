package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// site is where a project stands. Slipway uploads the root and nothing else,
// so everything that a build reads has to be in there.
type site struct {
	dir    string // absolute directory that was asked for, links resolved
	root   string // absolute root: dir, or the work tree when dir is not enough
	base   string // dir relative to root, with slashes
	config string // absolute path of the configuration, "" for none
	dist   string // output directory relative to root, "" when it is outside
	why    string // why root is root
}

// findSite checks that there is something to ship in the directory.
func findSite(opts Options) (site, error) {
	dir, err := filepath.Abs(opts.Source)
	if err != nil {
		return site{}, fmt.Errorf("find source directory: %w", err)
	}
	if dir, err = realDir(dir); err != nil {
		return site{}, err
	}
	config := ""
	if !opts.Unasked {
		if config, err = findConfig(dir, opts.Config); err != nil {
			return site{}, err
		}
	}
	s := site{dir: dir, root: dir, base: ".", config: config}
	for _, mark := range []string{"go.mod", "go.work"} {
		if isRegular(filepath.Join(dir, mark)) {
			s.why = "it has a " + mark
			return s, nil
		}
	}
	if config != "" {
		s.why = "it has a " + filepath.Base(config)
		return s, nil
	}
	if below := modulesBelow(dir); len(below) > 0 && exists(filepath.Join(dir, ".git")) {
		s.why = "it is a git repository with modules below: " + listed(below)
		return s, nil
	}
	return site{}, nothingToShip(dir)
}

// widen makes the root the git work tree when go.mod or go.work point out of
// the directory. There is no middle way on purpose: a root that depends on
// how far the paths reach would move with every edit of them.
func (s site) widen(ctx context.Context, top string) (site, error) {
	outside, err := s.outside(ctx)
	if err != nil || len(outside) == 0 {
		return s, err
	}
	for _, p := range outside {
		if top == "" || !within(top, p.dir) {
			return s, &SourceError{
				Message: fmt.Sprintf("%s points to %s, which is outside of %s", p.file, p.written, s.dir),
				Next:    "keep both in one git repository, or run slipway with -C on a directory that holds both and has a slipway.yaml",
			}
		}
	}
	base, err := filepath.Rel(top, s.dir)
	if err != nil {
		return s, fmt.Errorf("find root: %w", err)
	}
	s.root, s.base = top, filepath.ToSlash(base)
	s.why = fmt.Sprintf("%s in %s points to %s, so the whole git repository is needed", outside[0].file, s.base, outside[0].written)
	return s, nil
}

// pointer is a path that a go.mod or go.work names.
type pointer struct{ file, written, dir string }

func (s site) outside(ctx context.Context) ([]pointer, error) {
	pointers, err := s.pointers()
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	var outside []pointer
	for _, p := range pointers {
		if !within(s.dir, p.dir) {
			outside = append(outside, p)
		}
	}
	return outside, nil
}

func (s site) pointers() ([]pointer, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, unreadable("directory", s.dir, err)
	}
	defer root.Close()
	work, err := readWorkspace(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var found []pointer
	modules := []string{"."}
	for _, written := range work.replaced {
		found = append(found, s.pointer("go.work", ".", written))
	}
	for _, use := range work.uses {
		found = append(found, s.pointer("go.work", ".", use))
		if dir, inside := resolve(s.dir, ".", use); inside {
			modules = append(modules, dir)
		}
	}
	for _, dir := range modules {
		if !isFile(root.FS(), filepath.ToSlash(filepath.Join(dir, "go.mod"))) {
			continue
		}
		m, err := readModule(root.FS(), dir)
		if err != nil {
			return nil, err
		}
		for _, written := range m.replaced {
			found = append(found, s.pointer(filepath.ToSlash(filepath.Join(dir, "go.mod")), dir, written))
		}
	}
	return found, nil
}

func (s site) pointer(file, dir, written string) pointer {
	absolute := filepath.FromSlash(written)
	if !filepath.IsAbs(absolute) {
		absolute = filepath.Join(s.dir, filepath.FromSlash(dir), absolute)
	}
	return pointer{file: file, written: written, dir: filepath.Clean(absolute)}
}

// inRoot gives a path of the host relative to the root, or "".
func (s site) inRoot(name string) string {
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.dir, name)
	}
	relative, err := filepath.Rel(s.root, name)
	if err != nil || !fs.ValidPath(filepath.ToSlash(relative)) {
		return ""
	}
	return filepath.ToSlash(relative)
}

func realDir(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &SourceError{Message: fmt.Sprintf("there is no directory %s", dir), Next: "check -C"}
	}
	if err != nil {
		return "", unreadable("directory", dir, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", unreadable("directory", dir, err)
	}
	if !info.IsDir() {
		return "", &SourceError{Message: dir + " is not a directory", Next: "give -C the directory of the project"}
	}
	return real, nil
}

func findConfig(dir, named string) (string, error) {
	if named != "" {
		config, err := filepath.Abs(named)
		if err != nil {
			return "", fmt.Errorf("find configuration: %w", err)
		}
		if !exists(config) {
			return "", &SourceError{Message: "there is no file " + named, Next: "check -f"}
		}
		return config, mustBeFile(config, named)
	}
	if config := filepath.Join(dir, defaultConfig); isThere(config) {
		return config, mustBeFile(config, defaultConfig)
	}
	for _, wrong := range []string{"slipway.yml", ".slipway.yaml", ".slipway.yml"} {
		if exists(filepath.Join(dir, wrong)) {
			return "", &SourceError{Message: "found " + wrong + ", which is not read", Next: "rename it to " + defaultConfig}
		}
	}
	return "", nil
}

// mustBeFile refuses a configuration that is a directory, or a pipe on which we
// would wait for ever.
func mustBeFile(config, shown string) error {
	info, err := os.Stat(config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &SourceError{Message: shown + " is a link to a file that is not there", Next: "mend the link, or remove it to have everything inferred"}
	case err != nil:
		return unreadable("file", shown, err)
	case info.IsDir():
		return &SourceError{Message: shown + " is a directory", Next: "rename it, or name a configuration file with -f"}
	case !info.Mode().IsRegular():
		return &SourceError{Message: shown + " is no regular file", Next: "name a file with -f"}
	}
	return nil
}

// nothingToShip looks up and down for what the user may have meant.
func nothingToShip(dir string) error {
	message := fmt.Sprintf("no go.mod, go.work or %s in %s", defaultConfig, dir)
	if isThere(filepath.Join(dir, "go.mod")) {
		return &SourceError{Message: fmt.Sprintf("the go.mod in %s is no regular file", dir), Next: "put the file itself there"}
	}
	for parent := filepath.Dir(dir); parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		if exists(filepath.Join(parent, "go.mod")) || exists(filepath.Join(parent, "go.work")) {
			return &SourceError{Message: message, Next: "the module begins further up: use -C " + parent}
		}
	}
	if below := modulesBelow(dir); len(below) > 0 {
		return &SourceError{Message: message, Next: "modules below: " + listed(below) + "; use -C " + filepath.Join(dir, below[0]) + ", or have one go.work for all of them"}
	}
	if sources, _ := filepath.Glob(filepath.Join(dir, "*.go")); len(sources) > 0 {
		return &SourceError{Message: message, Next: "make it a module: go mod init example.com/name"}
	}
	return &SourceError{Message: message, Next: "run slipway in a Go project, or name one with -C"}
}

// modulesBelow are directories with a go.mod, not far below. Nobody wants a
// whole home directory walked because of a mistyped -C.
func modulesBelow(dir string) []string {
	var below []string
	for _, pattern := range []string{"*/go.mod", "*/*/go.mod", "*/*/*/go.mod"} {
		found, _ := fs.Glob(os.DirFS(dir), pattern)
		for _, file := range found {
			if module := path.Dir(file); !slices.ContainsFunc(strings.Split(module, "/"), ignoredByGo) {
				below = append(below, module)
			}
		}
	}
	return below
}

// workAbove is a go.work in a directory above, which go would use on the
// host and which is not uploaded.
func (s site) workAbove() string {
	for parent := filepath.Dir(s.root); parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		if exists(filepath.Join(parent, "go.work")) {
			return parent
		}
	}
	return ""
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// isThere is exists, for links that lead nowhere too.
func isThere(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func isRegular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func within(dir, name string) bool {
	relative, err := filepath.Rel(dir, name)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}
