package project

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/git"
)

func (l *loader) readVersion(ctx context.Context) error {
	var changed []string
	if l.past.none == "" {
		var err error
		if changed, err = changedInputs(ctx, l.git.In(l.site.root), l.scope()); err != nil {
			var refused *git.RefusedError
			if !errors.As(err, &refused) {
				return err
			}
			l.reason("dirty", "false", "git cannot say: "+refused.Error())
		}
	}
	if err := l.readTag(ctx); err != nil {
		return err
	}
	v := decideVersion(l.past, changed)
	l.project.Version = v
	l.project.Source = Source{URL: webAddress(l.past.remote), Branch: l.past.branch}
	l.reason("version", v.Version, v.Reason)
	return nil
}

// readTag reads the tags of the module that is shipped, when it has some of
// its own, else those of the repository.
func (l *loader) readTag(ctx context.Context) error {
	if l.past.none != "" {
		return nil
	}
	g := l.git.In(l.site.root)
	own := l.lines()
	if len(own) == 1 && own[0] != (line{}) {
		if err := l.past.readTag(ctx, g, own[0]); err != nil || l.past.tag != "" {
			return err
		}
	}
	if err := l.past.readTag(ctx, g, line{}); err != nil || len(own) < 2 {
		return err
	}
	return l.explainOtherTags(ctx, g, own)
}

// lines are the lines of versions of what is shipped.
func (l *loader) lines() []line {
	prefix := l.prefix()
	var lines []line
	for _, dir := range l.appModules() {
		if at := lineOf(path.Join(prefix, dir), l.mods[dir].path); !slices.Contains(lines, at) {
			lines = append(lines, at)
		}
	}
	return lines
}

// explainOtherTags says that tags of modules are there and do not count: all
// programs of a run have one version.
func (l *loader) explainOtherTags(ctx context.Context, g git.Git, lines []line) error {
	for _, own := range lines {
		other := l.past
		if err := other.readTag(ctx, g, own); err != nil {
			return err
		}
		if other.tag != "" && own != (line{}) {
			dir := strings.TrimSuffix(own.prefix, "/")
			l.reason("tag "+other.tag, "not used", "programs of several modules are shipped, with one version for all; use -C "+dir+" to ship that module by its own tags")
		}
	}
	return nil
}

// prefix is the root relative to the top of the git work tree.
func (l *loader) prefix() string {
	prefix, err := filepath.Rel(l.past.top, l.site.root)
	if err != nil {
		return "."
	}
	return filepath.ToSlash(prefix)
}

// scope is where the build inputs of the apps are: their modules, what these
// replace with directories, and the workspace when they belong to it.
func (l *loader) scope() dirtyScope {
	s := dirtyScope{fsys: l.fsys, prefix: l.prefix(), others: []string{imageFile}, outputs: slices.Clone(l.tree.outputs)}
	if l.site.dist != "" && l.site.dist != "." {
		s.outputs = append(s.outputs, l.site.dist)
	}
	pending := l.appModules()
	for len(pending) > 0 {
		dir := pending[0]
		pending = pending[1:]
		if slices.Contains(s.dirs, dir) {
			continue
		}
		s.dirs = append(s.dirs, dir)
		pending = append(pending, l.readsFrom(dir)...)
	}
	for _, dir := range l.tree.modules {
		if !slices.Contains(s.dirs, dir) {
			s.nested = append(s.nested, dir)
		}
	}
	if slices.ContainsFunc(s.dirs, l.inWorkspace) {
		s.others = append(s.others, l.work.file, strings.TrimSuffix(l.work.file, "work")+"work.sum", path.Join(l.site.base, "vendor/modules.txt"))
	}
	slices.Sort(s.dirs)
	return s
}

// appModules are the modules that the apps are in; a library's own modules
// stand in for them.
func (l *loader) appModules() []string {
	var dirs []string
	for _, app := range l.project.Apps {
		dirs = append(dirs, app.ModuleDir)
	}
	if len(dirs) == 0 {
		dirs = slices.Clone(l.own())
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// readsFrom are the other local directories that a module compiles.
func (l *loader) readsFrom(dir string) []string {
	var dirs []string
	if l.inWorkspace(dir) {
		dirs = append(dirs, l.used...)
		dirs = append(dirs, l.inside(l.site.base, l.work.replaced)...)
	}
	m, known := l.mods[dir]
	if !known {
		m, _ = readModule(l.fsys, dir) // what is unreadable there fails the build, and says so
	}
	return append(dirs, l.inside(dir, m.replaced)...)
}

// inside are those of some written directories that are in the root.
func (l *loader) inside(dir string, written []string) []string {
	var dirs []string
	for _, w := range written {
		if other, inside := resolve(l.site.root, dir, w); inside {
			dirs = append(dirs, other)
		}
	}
	return dirs
}
