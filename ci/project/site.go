package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	config, err := findConfig(dir, opts.Config)
	if err != nil {
		return site{}, err
	}
	s := site{dir: dir, root: dir, base: ".", config: config}
	for _, mark := range []string{"go.mod", "go.work"} {
		if exists(filepath.Join(dir, mark)) {
			s.why = "it has a " + mark
			return s, nil
		}
	}
	if config != "" {
		s.why = "it has a " + filepath.Base(config)
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
	for _, path := range outside {
		if top == "" || !within(top, path.dir) {
			return s, &SourceError{
				Message: fmt.Sprintf("%s points to %s, which is outside of %s", path.file, path.written, s.dir),
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
func (s site) inRoot(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	relative, err := filepath.Rel(s.root, path)
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
		return config, nil
	}
	if config := filepath.Join(dir, defaultConfig); exists(config) {
		return config, nil
	}
	for _, wrong := range []string{"slipway.yml", ".slipway.yaml", ".slipway.yml"} {
		if exists(filepath.Join(dir, wrong)) {
			return "", &SourceError{Message: "found " + wrong + ", which is not read", Next: "rename it to " + defaultConfig}
		}
	}
	return "", nil
}

// nothingToShip looks up and down for what the user may have meant.
func nothingToShip(dir string) error {
	message := fmt.Sprintf("no go.mod, go.work or %s in %s", defaultConfig, dir)
	for parent := filepath.Dir(dir); parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		if exists(filepath.Join(parent, "go.mod")) || exists(filepath.Join(parent, "go.work")) {
			return &SourceError{Message: message, Next: "the module begins further up: use -C " + parent}
		}
	}
	below, _ := filepath.Glob(filepath.Join(dir, "*", "go.mod"))
	if len(below) > 0 {
		return &SourceError{Message: message, Next: "there is a module below: use -C " + filepath.Dir(below[0])}
	}
	if sources, _ := filepath.Glob(filepath.Join(dir, "*.go")); len(sources) > 0 {
		return &SourceError{Message: message, Next: "make it a module: go mod init example.com/name"}
	}
	return &SourceError{Message: message, Next: "run slipway in a Go project, or name one with -C"}
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func within(dir, path string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}
