package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/target"
)

// namedApps checks the apps of slipway.yaml against the sources.
func (l *loader) namedApps(ctx context.Context) error {
	names := map[string]bool{}
	for i, c := range l.cfg.Apps {
		field := fmt.Sprintf("apps[%d]", i)
		l.checkName(field+".name", c.Name, names)
		app := App{Name: c.Name, Binary: c.Name}
		if err := l.place(ctx, field, c, &app); err != nil {
			return err
		}
		app.Build = l.build(field+".build", c.Build)
		app.Targets, app.TargetsNamed = l.targets(field, c, app)
		app.Image = l.image(field+".image", c.Image, app)
		app.Packages = l.packages(field+".packages", c.Packages, app)
		app.Service = l.service(field+".service", c.Service)
		l.project.Apps = append(l.project.Apps, app)
	}
	return nil
}

func (l *loader) checkName(field, name string, taken map[string]bool) {
	switch {
	case !l.doc.has(field) || l.doc.isBlamed(field):
		return // missing or of a wrong type
	case !validName(name):
		hint := ""
		if s := slug(name); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		l.doc.blame(field, fmt.Sprintf("%q is no name: %s", name, nameRule), hint)
	case taken[name]:
		l.doc.blame(field, fmt.Sprintf("another app is called %q", name), "give each app a name of its own")
	}
	taken[name] = true
}

// place finds the app's module and package main.
func (l *loader) place(ctx context.Context, field string, c appConfig, app *App) error {
	written := c.Dir
	if !l.doc.has(field + ".dir") {
		written = "."
	}
	dir, ok := l.local(field+".dir", written)
	if !ok {
		return nil
	}
	if !isDir(l.fsys, dir) {
		l.doc.blame(field+".dir", fmt.Sprintf("there is no directory %q", written), cmp.Or(didYouMean(dir, l.knownDirs()), l.mainsBelow(dir)))
		return nil
	}
	moduleDir := enclosingModule(l.fsys, dir)
	if moduleDir == "" {
		l.doc.blame(field+".dir", fmt.Sprintf("no go.mod in %q or above it", written), didYouMean(dir, l.tree.modules))
		return nil
	}
	app.Dir, app.ModuleDir, app.Workspace = dir, moduleDir, l.inWorkspace(moduleDir)
	if err := l.know(ctx, moduleDir); err != nil {
		return err
	}
	return l.placeMain(ctx, field, c, app)
}

func (l *loader) placeMain(ctx context.Context, field string, c appConfig, app *App) error {
	main, at := path.Clean(c.Main), field+".main"
	if !l.doc.has(at) {
		main, at = ".", field+".dir"
	}
	if l.doc.has(at) && c.Main == "" && at == field+".main" {
		l.doc.blame(at, "must not be empty", "write . for dir itself, or remove the line")
	}
	if l.doc.isBlamed(at) {
		return nil
	}
	dir := path.Join(app.Dir, main)
	if c.Main != "" && (path.IsAbs(main) || strings.Contains(main, "\\") || !isUnder(app.Dir, dir)) {
		l.doc.blame(at, fmt.Sprintf("%q is outside of %q", c.Main, app.Dir), "name a package below dir, such as ./cmd/"+app.Name)
		return nil
	}
	if !isDir(l.fsys, dir) {
		l.doc.blame(at, fmt.Sprintf("there is no directory %q", dir), l.mainsBelow(app.Dir))
		return nil
	}
	if other := enclosingModule(l.fsys, dir); other != app.ModuleDir {
		l.doc.blame(at, fmt.Sprintf("%q is in a module of its own", dir), fmt.Sprintf("write dir: %s", other))
		return nil
	}
	app.Main = mainOf(app.Dir, dir)
	if _, ok := l.tree.main(dir); !ok {
		more, err := scan(ctx, l.fsys, dir, l.site.dist)
		if err != nil {
			return err
		}
		if _, ok := more.main(dir); !ok {
			l.doc.blame(at, fmt.Sprintf("no package main in %q", dir), l.mainsBelow(app.Dir))
			return nil
		}
		l.tree.add(tree{mains: more.mains})
	}
	l.reason("app "+app.Name, dir, defaultConfig)
	return nil
}

// mainsBelow is the hint for a missing package main: those that are there.
func (l *loader) mainsBelow(dir string) string {
	var mains []string
	for _, m := range l.tree.mains {
		if isUnder(dir, m.dir) && enclosingModule(l.fsys, m.dir) == enclosingModule(l.fsys, dir) {
			mains = append(mains, mainOf(dir, m.dir))
		}
	}
	if len(mains) > 0 {
		return "there is " + listed(mains)
	}
	for _, m := range l.tree.mains {
		mains = append(mains, m.dir)
	}
	if len(mains) == 0 {
		return "no directory of the project has one"
	}
	return "package main is in " + listed(mains)
}

func (l *loader) knownDirs() []string {
	dirs := slices.Clone(l.tree.modules)
	for _, m := range l.tree.mains {
		dirs = append(dirs, m.dir)
	}
	return dirs
}

func (l *loader) build(field string, c buildConfig) Build {
	link := c.Link
	if !l.doc.has(field + ".link") {
		link = "static"
		if c.CGO {
			link = "auto"
		}
	}
	if links := ruleOf("link"); !links.allows(link) {
		l.doc.blame(field+".link", fmt.Sprintf("%q is no way to link", link), links.choices())
	}
	for i, tag := range c.Tags {
		if !ruleOf("tag").allows(tag) {
			l.doc.blame(fmt.Sprintf("%s.tags[%d]", field, i), fmt.Sprintf("%q is no build tag", tag), "one tag per entry: letters, digits, _ and .")
		}
	}
	l.checkFlags(field+".ldflags", c.Ldflags)
	l.checkFlags(field+".gcflags", c.Gcflags)
	for name, value := range c.Env {
		l.checkEnv(join(field+".env", name), name, value)
	}
	return Build{CGO: c.CGO, Link: link, Tags: c.Tags, Ldflags: c.Ldflags, Gcflags: c.Gcflags, Env: c.Env}
}

// checkFlags refuses flags that would change the meaning of those behind them.
func (l *loader) checkFlags(field string, flags []string) {
	for i, flag := range flags {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !ruleOf("noNUL").allows(flag):
			l.doc.blame(at, "has a NUL byte, which no command line can hold", "remove it")
		case !closesQuotes(flag):
			l.doc.blame(at, fmt.Sprintf("%q has a quote that is not closed", flag), "close it; the go command knows no escape for quotes")
		}
	}
}

// checkEnv refuses variables that another key decides: two places that say
// different things help nobody.
func (l *loader) checkEnv(field, name, value string) {
	switch {
	case !ruleOf("variable").allows(name):
		l.doc.blame(field, fmt.Sprintf("%q is no name of a variable", name), "letters, digits and _")
	case !ruleOf("noNUL").allows(value):
		l.doc.blame(field, "has a NUL byte, which no environment can hold", "remove it")
	}
	if key := decided()[name]; key != "" {
		l.doc.blame(field, name+" is decided elsewhere", "say it under "+key)
	}
}

func (l *loader) targets(field string, c appConfig, app App) ([]target.Target, bool) {
	if c.Targets == nil || l.doc.isBlamed(field+".targets") {
		if c.Build.CGO {
			l.doc.blame(field+".targets", "is missing, and with cgo there is no default: a C compiler builds for its own machine only", "write targets: [linux/amd64], or the processor of your machines")
		}
		return l.defaultTargets(app), false
	}
	if len(c.Targets) == 0 {
		l.doc.blame(field+".targets", "is empty", "name a target, or remove the line for the default ones")
	}
	var targets []target.Target
	for i, written := range c.Targets {
		at := fmt.Sprintf("%s.targets[%d]", field, i)
		if l.doc.isBlamed(at) {
			continue
		}
		t, err := target.Parse(written)
		switch {
		case err != nil:
			l.blameTarget(at, err)
		case c.Build.CGO && t.OS != "linux":
			l.doc.blame(at, fmt.Sprintf("%q cannot be built with cgo: the C compiler is one for linux", written), "remove it, or cgo")
		case slices.Contains(targets, t):
			l.doc.blame(at, fmt.Sprintf("%q is there twice", written), "remove one")
		default:
			targets = append(targets, t)
		}
	}
	l.reason(app.Name+" targets", targetNames(targets), defaultConfig)
	return targets, true
}

func (l *loader) blameTarget(field string, err error) {
	message, hint := err.Error(), ""
	var e *target.Error
	if errors.As(err, &e) {
		message = fmt.Sprintf("%q: %s", e.Input, e.Reason)
		hint = "valid: " + strings.Join(e.Valid, ", ")
		if e.Nearest != "" {
			hint = fmt.Sprintf("did you mean %q? ", e.Nearest) + hint
		}
	}
	l.doc.blame(field, message, hint)
}

// defaultTargets are those that the package can be compiled for; when there
// is none, the build is left to say why.
func (l *loader) defaultTargets(app App) []target.Target {
	main, ok := l.tree.main(path.Join(app.Dir, app.Main))
	if !ok {
		return target.Default()
	}
	if app.Targets = l.inferTargets(main, app); len(app.Targets) == 0 {
		app.Targets = target.Default()
	}
	l.explainTargets(main, app)
	return app.Targets
}

func (l *loader) image(field string, c imageConfig, app App) Image {
	image := Image{
		Enabled: hasLinux(app.Targets), Repository: c.Repository, Tags: c.Tags, Latest: c.Latest, Base: c.Base, User: DefaultUser, Labels: c.Labels,
	}
	if c.User != nil {
		image.User = *c.User
	}
	if !ruleOf("user").holds(float64(image.User)) {
		l.doc.blame(field+".user", "must be a user id of 0 or more", fmt.Sprintf("leave it out for %d", DefaultUser))
	}
	if l.doc.has(field+".repository") && !ruleOf("repository").allows(c.Repository) {
		l.doc.blame(field+".repository", fmt.Sprintf("%q is no image repository", c.Repository), "write registry/name, such as registry.example.org/team/app: in lower case, without tag and https://")
	}
	if !ruleOf("base").allows(c.Base) {
		l.doc.blame(field+".base", fmt.Sprintf("%q is no image", c.Base), "write registry/name@sha256:…")
	}
	l.checkTags(field+".tags", c.Tags)
	for name, value := range c.Labels {
		l.checkLabel(join(field+".labels", name), name, value)
	}
	return image
}

func (l *loader) checkLabel(field, name, value string) {
	switch {
	case !ruleOf("label").allows(name):
		l.doc.blame(field, fmt.Sprintf("%q is no name of a label", name), "no spaces, control characters or =; such as org.opencontainers.image.title")
	case !ruleOf("noNUL").allows(value):
		l.doc.blame(field, "has a NUL byte, which no label can hold", "remove it")
	}
}

func (l *loader) service(field string, c *serviceConfig) *Service {
	if c == nil {
		return nil
	}
	if port := ruleOf("port"); l.doc.has(field+".port") && !port.holds(float64(c.Port)) {
		l.doc.blame(field+".port", port.between(), "the port that the program listens on, such as 8080")
	}
	s := &Service{Port: c.Port, Health: c.Health}
	if !l.doc.has(field + ".health") {
		s.Health = DefaultHealth
	}
	if !ruleOf("health").allows(s.Health) {
		l.doc.blame(field+".health", fmt.Sprintf("%q is no path of a URL", s.Health), "begin it with /, such as "+DefaultHealth)
	}
	s.Grace = l.duration(field+".grace", c.Grace, DefaultGrace)
	s.Start = l.duration(field+".start", c.Start, DefaultStart)
	return s
}

func (l *loader) duration(field, written string, otherwise time.Duration) time.Duration {
	if !l.doc.has(field) {
		return otherwise
	}
	d, err := time.ParseDuration(written)
	if err != nil || d <= 0 || d > time.Hour || !ruleOf("time").allows(written) {
		l.doc.blame(field, fmt.Sprintf("%q is no time between 0 and 1h", written), "write it as "+strings.Replace(otherwise.String(), "m0s", "m", 1))
	}
	return d
}
