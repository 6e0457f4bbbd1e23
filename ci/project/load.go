package project

import (
	"cmp"
	"context"
	"fmt"
	"go/version"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/git"
)

// loader carries what the steps of Load find out, in their order. A step
// that returns an error ends the loading; what is wrong with slipway.yaml is
// collected in doc instead, and reported at the end, all of it.
type loader struct {
	opts Options
	site site
	fsys fs.FS // the root, links out of it refused
	git  git.Git
	past history

	cfg  config
	doc  *document
	tree tree
	mods map[string]goModule // by directory, those in play
	work workspace
	used []string // module directories of the workspace

	project Project
}

// Load finds out what there is to ship. A *ConfigError and a *SourceError are
// the user's to correct; other errors are of the machine.
func Load(ctx context.Context, opts Options) (Project, error) {
	if opts.Getenv == nil {
		opts.Getenv = func(string) string { return "" }
	}
	l := &loader{opts: opts, mods: map[string]goModule{}}
	if err := l.enter(ctx); err != nil {
		return Project{}, err
	}
	root, err := os.OpenRoot(l.site.root)
	if err != nil {
		return Project{}, unreadable("directory", l.site.root, err)
	}
	defer root.Close()
	l.fsys = root.FS()
	for _, step := range l.steps() {
		if err := step(ctx); err != nil {
			return Project{}, err
		}
	}
	if err := l.doc.err(); err != nil {
		return Project{}, err
	}
	return l.project, nil
}

// steps are in the order in which one needs what another found.
func (l *loader) steps() []func(context.Context) error {
	return []func(context.Context) error{
		l.readConfig, l.walk, l.findModules, l.chooseGo, l.findApps, l.chooseVerify, l.choosePublish, l.readVersion, l.setVars, l.chooseEnvironments,
	}
}

// enter finds the root, for which git has to be asked.
func (l *loader) enter(ctx context.Context) error {
	s, err := findSite(l.opts)
	if err != nil {
		return err
	}
	if l.past, l.git, err = readHistory(ctx, s.dir, l.opts.Getenv); err != nil {
		return err
	}
	if l.site, err = s.widen(ctx, l.past.top); err != nil {
		return err
	}
	dist := l.opts.Dist
	if dist == "" {
		dist = defaultDist
	}
	l.site.dist = l.site.inRoot(dist)
	l.project.Root = l.site.root
	l.reason("root", l.site.root, l.site.why)
	return nil
}

func (l *loader) reason(what, value, why string) {
	l.project.Reasons = append(l.project.Reasons, Reason{What: what, Value: value, Why: why})
}

func (l *loader) readConfig(context.Context) error {
	if l.site.config == "" {
		_, l.doc = readConfig("", []byte("version: 1"))
		l.reason("configuration", "none", "no "+defaultConfig+": everything is inferred")
		return nil
	}
	data, err := readAtMost(l.site.config, maxConfigSize+1)
	if err != nil {
		return unreadable("file", l.shownConfig(), err)
	}
	l.cfg, l.doc = readConfig(l.shownConfig(), data)
	if len(l.doc.places) == 0 {
		return l.doc.err() // nothing could be read, and what follows from that is noise
	}
	l.reason("configuration", l.shownConfig(), "it overrides what would be inferred")
	return nil
}

// readAtMost reads the beginning of a file: nothing else is needed to say
// that it is too large.
func readAtMost(name string, size int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, size))
}

// shownConfig is the configuration's name as users would type it.
func (l *loader) shownConfig() string {
	if l.opts.Config != "" {
		return filepath.ToSlash(l.opts.Config)
	}
	return filepath.Base(l.site.config)
}

func (l *loader) walk(ctx context.Context) error {
	work, err := readWorkspace(l.fsys, l.site.base)
	if err != nil {
		return err
	}
	l.work = work
	if l.tree, err = scan(ctx, l.fsys, l.site.base, l.site.dist); err != nil {
		return err
	}
	for _, use := range work.uses {
		dir, inside := resolve(l.site.root, l.site.base, use)
		if !inside || !isFile(l.fsys, path.Join(dir, "go.mod")) {
			return &SourceError{Message: fmt.Sprintf("%s uses %s, which has no go.mod", work.file, use), Next: "correct " + work.file}
		}
		l.used = append(l.used, dir)
		if err := l.know(ctx, dir); err != nil {
			return err
		}
	}
	slices.Sort(l.used)
	l.used = slices.Compact(l.used)
	return nil
}

// know makes sure that a module was walked and read. Modules in directories
// that go ignores itself are walked only when they are named.
func (l *loader) know(ctx context.Context, dir string) error {
	if _, known := l.mods[dir]; known {
		return nil
	}
	if !slices.Contains(l.tree.modules, dir) {
		more, err := scan(ctx, l.fsys, dir, l.site.dist)
		if err != nil {
			return err
		}
		l.tree.add(more)
	}
	m, err := readModule(l.fsys, dir)
	if err != nil {
		return err
	}
	for _, written := range m.replaced {
		if _, inside := resolve(l.site.root, dir, written); !inside {
			return &SourceError{
				Message: fmt.Sprintf("%s/go.mod points to %s, which is outside of %s", dir, written, l.site.root),
				Next:    "move it in, or run slipway on a directory that holds both",
			}
		}
	}
	l.mods[dir] = m
	return nil
}

// findModules decides what belongs to the project when nobody says so.
func (l *loader) findModules(ctx context.Context) error {
	l.project.Workspace = l.work.file
	for _, dir := range append(slices.Clone(l.own()), l.namedDirs()...) {
		if err := l.know(ctx, dir); err != nil {
			return err
		}
		if err := l.checkSum(dir); err != nil {
			return err
		}
	}
	l.project.Name = l.nameOfProject()
	if above := l.site.workAbove(); above != "" && l.work.file == "" && l.past.top != "" && within(l.past.top, above) {
		l.reason("workspace", "none", fmt.Sprintf("the go.work in %s is outside of the root; use -C %s for all of it", above, above))
	}
	l.project.Outputs = l.tree.outputs
	l.explainNotSearched()
	return nil
}

// checkSum refuses a module that cannot be built, before anything is started
// for it: the go command does not write a go.sum unasked.
func (l *loader) checkSum(dir string) error {
	needs := l.mods[dir].needs
	if needs == "" || l.inWorkspace(dir) || isFile(l.fsys, path.Join(dir, "go.sum")) || isFile(l.fsys, path.Join(dir, "vendor/modules.txt")) {
		return nil
	}
	return &SourceError{
		Message: fmt.Sprintf("%s requires %s, but there is no go.sum beside it", path.Join(dir, "go.mod"), needs),
		Next:    "run go mod tidy there, and commit the go.sum that it writes",
	}
}

func (l *loader) explainNotSearched() {
	for _, left := range []struct {
		dirs []string
		why  string
	}{
		{kinds(l.tree.ignored), "the go command ignores directories of these names too, or they hold the code of others"},
		{l.tree.left, "an ignore line of go.mod says so"},
		{l.tree.garbled, "a name that is no UTF-8, which go refuses too"},
		{l.tree.outputs, "made by slipway: it has a " + OutputMarker + " file"},
	} {
		if len(left.dirs) > 0 {
			l.reason("not searched", listed(left.dirs), left.why)
		}
	}
}

// kinds are the names of directories, each once: every package may have a
// testdata, and nobody wants to read them all.
func kinds(dirs []string) []string {
	names := make([]string, len(dirs))
	for i, dir := range dirs {
		names[i] = path.Base(dir)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// namedDirs are the modules that slipway.yaml puts into play, as far as they
// are there: their go lines count too. What is wrong is said later.
func (l *loader) namedDirs() []string {
	written := slices.Clone(l.cfg.Verify.Modules)
	for _, app := range l.cfg.Apps {
		written = append(written, path.Join(app.Dir, app.Main))
	}
	var dirs []string
	for _, w := range written {
		dir := path.Join(l.site.base, w)
		if !fs.ValidPath(dir) || !isDir(l.fsys, dir) {
			continue
		}
		if module := enclosingModule(l.fsys, dir); module != "" {
			dirs = append(dirs, module)
		}
	}
	return dirs
}

// own are the modules of the project: those of go.work, else the root's,
// else, for a directory that only holds modules, all of them.
func (l *loader) own() []string {
	switch {
	case l.work.file != "":
		return l.used
	case slices.Contains(l.tree.modules, l.site.base):
		return []string{l.site.base}
	}
	return l.tree.modules
}

func (l *loader) nameOfProject() string {
	if m, ok := l.mods[l.site.base]; ok {
		return nameOfModule(m.path)
	}
	return cmp.Or(slug(filepath.Base(l.site.dir)), "project")
}

func (l *loader) chooseGo(context.Context) error {
	lines := slices.Clone(l.work.lines)
	for _, dir := range l.playing() {
		lines = append(lines, l.mods[dir].lines...)
	}
	chosen := chooseGo(l.opts.PinnedGo, lines)
	if wanted := l.cfg.Go.Version; l.doc.has("go.version") && !l.doc.isBlamed("go.version") {
		override, wrong := overrideGo(wanted, lines)
		if wrong != "" {
			l.doc.blame("go.version", wrong, "write a release such as "+chosen.Version)
		} else {
			chosen = override
		}
	}
	l.project.Go = chosen
	l.reason("go", chosen.Version, chosen.Reason)
	for _, dir := range l.own() {
		if l.mods[dir].golang == "" {
			language := version.Lang("go" + l.project.Go.Version)
			l.reason("go line of "+path.Join(dir, "go.mod"), "none", "the go command then takes the language of Go 1.16; have a newer one with go mod edit -go="+strings.TrimPrefix(language, "go"))
		}
	}
	return nil
}

// playing are the directories of all modules in play, sorted.
func (l *loader) playing() []string {
	dirs := make([]string, 0, len(l.mods))
	for dir := range l.mods {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs
}

func (l *loader) inWorkspace(dir string) bool {
	return l.work.file != "" && slices.Contains(l.used, dir)
}
