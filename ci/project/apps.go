package project

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

// findApps takes the apps that slipway.yaml names, else infers them.
func (l *loader) findApps(ctx context.Context) error {
	if len(l.cfg.Apps) > 0 {
		return l.namedApps(ctx)
	}
	if l.cfg.Apps != nil {
		l.doc.blame("apps", "is empty", "name an app, or remove the line to have them inferred")
	}
	l.inferApps()
	return nil
}

// inferApps finds package main in the project's own modules.
func (l *loader) inferApps() {
	left := map[string][]string{} // reason: directories
	var found []mainDir
	for _, main := range l.tree.mains {
		if !slices.Contains(l.own(), main.moduleDir) {
			continue
		}
		if why := l.leftOut(main); why != "" {
			left[why] = append(left[why], main.dir)
			continue
		}
		if why := l.neverCompiled(main); why != "" {
			left[why] = append(left[why], main.fileNames()...)
			continue
		}
		found = append(found, main)
	}
	names := l.inferNames(found)
	for i, main := range found {
		l.inferApp(main, names[i])
	}
	l.explainLeftOut(left)
	l.explainNoApps()
}

// leftOut says why a package main is no program to ship, or "".
func (l *loader) leftOut(main mainDir) string {
	if !main.fitsAnything(l.fsys, l.project.Go.Version) {
		return "" // neverCompiled knows why
	}
	if why := leftOut(l.seenFrom(main)); why != "" {
		return why
	}
	if by, ok := l.tree.runners[main.dir]; ok {
		return fmt.Sprintf("go generate runs it (%s); name it under apps to ship it", by)
	}
	if !main.hasFuncMain(l.fsys) {
		return "package main without func main: a plugin, or not finished"
	}
	return ""
}

// neverCompiled says why no platform compiles a package main, or "".
func (l *loader) neverCompiled(main mainDir) string {
	golang := l.project.Go.Version
	if main.fitsAnything(l.fsys, golang) {
		return ""
	}
	if newer := main.newerGo(l.fsys, golang); newer != "" {
		return fmt.Sprintf("build constraints ask for Go %s, and %s builds; say go: {version: %q} to ship it", newer, golang, fullRelease(newer))
	}
	tags := main.guards(l.fsys)
	if len(tags) == 0 || slices.Contains(tags, "ignore") {
		return "build constraints leave it out everywhere: for go run or go generate"
	}
	return fmt.Sprintf("compiled only with the build tag %s; name it under apps with build: {tags: [%s]} to ship it", strings.Join(tags, " or "), tags[0])
}

// seenFrom is the directory as its users see it: relative to where the
// project is, or to the module when that is elsewhere.
func (l *loader) seenFrom(main mainDir) string {
	if relative, ok := under(l.site.base, main.dir); ok {
		return relative
	}
	relative, _ := under(main.moduleDir, main.dir)
	return relative
}

func (l *loader) explainLeftOut(left map[string][]string) {
	for _, why := range slices.Sorted(maps.Keys(left)) {
		l.reason("left out", listed(left[why]), why)
	}
}

// explainNoApps says what comes of a project without a program, and where
// there are some after all.
func (l *loader) explainNoApps() {
	if len(l.project.Apps) > 0 {
		return
	}
	var here, elsewhere []string
	for _, main := range l.tree.mains {
		switch {
		case slices.Contains(l.own(), main.moduleDir):
			here = append(here, main.dir)
		case main.moduleDir != "" && leftOut(l.seenFrom(main)) == "" && !slices.Contains(elsewhere, main.moduleDir):
			elsewhere = append(elsewhere, main.moduleDir)
		}
	}
	why := "no package main to ship: a library is verified only"
	if len(here) > 0 {
		why = "every package main is left out, so this is verified only"
	}
	if len(elsewhere) > 0 {
		why += fmt.Sprintf("; there are programs in modules of their own (%s): name them under apps, or use -C", listed(elsewhere))
	}
	l.reason("apps", "none", why)
}

// leftOut says why a directory holds no program for users, or "".
func leftOut(dir string) string {
	const next = "; name it under apps to ship it"
	for _, element := range strings.Split(dir, "/") {
		switch element {
		case "internal", "hack", "tools":
			return element + "/ holds programs for developers" + next
		case "examples", "example", "samples", "demos":
			return element + "/ holds examples" + next
		case "scripts", "third_party":
			return element + "/ holds scripts or the code of others" + next
		case "test", "tests", "e2e", "testutil", "testutils", "testhelper", "testhelpers":
			return element + "/ holds helpers of tests" + next
		}
		if strings.HasSuffix(element, "_test") || strings.HasSuffix(element, "-test") {
			return "a name that ends in test means a helper of tests" + next
		}
	}
	return importable(dir)
}

// inferredName is a name with its story.
type inferredName struct{ name, binary, why string }

// inferNames names programs after their directories. Two of the same name
// are both named after their whole path, so that neither is "the" one.
func (l *loader) inferNames(found []mainDir) []inferredName {
	names := make([]inferredName, len(found))
	times := map[string]int{}
	for i, main := range found {
		names[i] = l.plainName(main)
		times[names[i].name]++
	}
	taken := map[string]bool{}
	for i, main := range found {
		if n := names[i]; times[n.name] > 1 && main.dir != main.moduleDir {
			name := slug(main.dir)
			names[i] = inferredName{name: name, binary: name, why: fmt.Sprintf("named after its path, because %s programs are called %s", numeral(times[n.name]), n.name)}
		}
		for base, n := names[i].name, 2; taken[names[i].name]; n++ {
			name := fmt.Sprintf("%s-%d", base[:min(len(base), 60)], n)
			names[i] = inferredName{name: name, binary: name, why: "numbered, because the name was taken"}
		}
		taken[names[i].name] = true
	}
	return names
}

func (l *loader) plainName(main mainDir) inferredName {
	binary := path.Base(main.dir)
	why := "package main in " + oneLine(main.dir)
	switch parent := path.Dir(main.dir); {
	case main.dir == main.moduleDir:
		binary = nameOfModule(l.mods[main.moduleDir].path)
		why = "package main at the top of module " + l.mods[main.moduleDir].path
	case isMajorVersion(binary) && parent == main.moduleDir:
		binary = nameOfModule(l.mods[main.moduleDir].path)
		why += ", and a major version is no name"
	case isMajorVersion(binary):
		binary = path.Base(parent)
		why += ", and a major version is no name"
	}
	name := slug(binary)
	if name == "" {
		return inferredName{name: "app", binary: "app", why: why + fmt.Sprintf("; %q has no letter that a name may have", binary)}
	}
	if name != binary {
		why += fmt.Sprintf("; named %s, because names are %s; the binary stays %s", name, nameRule, binary)
	}
	return inferredName{name: name, binary: binary, why: why}
}

func (l *loader) inferApp(main mainDir, name inferredName) {
	app := App{
		Name: name.name, Binary: name.binary, Dir: main.moduleDir, Main: mainOf(main.moduleDir, main.dir), ModuleDir: main.moduleDir,
		Workspace: l.inWorkspace(main.moduleDir), Build: Build{Link: "static"}, Image: Image{User: DefaultUser},
	}
	if app.Targets = l.inferTargets(main, app); len(app.Targets) == 0 {
		l.reason("left out", oneLine(main.dir), l.whyNowhere(main, app))
		return
	}
	app.Image.Enabled = hasLinux(app.Targets)
	l.reason("app "+app.Name, main.dir, name.why)
	l.explainTargets(main, app)
	l.explainStub(main, app)
	l.project.Apps = append(l.project.Apps, app)
}

// whyNowhere explains a program that no default target can have. cgo is not
// inferred: the C compiler is there for one processor only, which depends on
// the machine, and what C libraries are needed is not written anywhere.
func (l *loader) whyNowhere(main mainDir, app App) string {
	for _, t := range target.Default() {
		if missing, _ := l.gap(main, l.platform(app, t, false)); missing.cgo {
			who := "it"
			if missing.dir != main.dir {
				who = "package " + missing.dir
			}
			return fmt.Sprintf("%s needs cgo, and a C compiler builds for its own machine only; name it under apps with targets: [linux/amd64] and build: {cgo: true} to ship it", who)
		}
	}
	return "it compiles for none of the default targets; name it under apps with its targets to ship it"
}

// inferTargets are the default targets that a package can be compiled for.
func (l *loader) inferTargets(main mainDir, app App) []target.Target {
	var fitting []target.Target
	for _, t := range target.Default() {
		if _, missing := l.gap(main, l.platform(app, t, app.Build.CGO)); !missing {
			fitting = append(fitting, t)
		}
	}
	return fitting
}

func (l *loader) explainTargets(main mainDir, app App) {
	l.reason(app.Name+" targets", targetNames(app.Targets), "default")
	for _, t := range target.Default() {
		if slices.Contains(app.Targets, t) {
			continue
		}
		why := "build constraints exclude all files of "
		missing, _ := l.gap(main, l.platform(app, t, app.Build.CGO))
		if missing.cgo {
			why = "without cgo there are no files of "
		}
		l.reason(app.Name+" "+t.String(), "unsupported", why+missing.dir)
	}
}

// explainStub warns of a program that builds without cgo and does not work.
func (l *loader) explainStub(main mainDir, app App) {
	if l.imports(main, l.platform(app, app.Targets[0], false), stub) {
		l.reason(app.Name+" cgo", "off", "it imports "+stub+", which does not work without: name the app with targets: [linux/amd64] and build: {cgo: true}, or take a driver that is all Go")
	}
}

func (l *loader) platform(app App, t target.Target, cgo bool) platform {
	return platform{target: t, tags: app.Build.Tags, cgo: cgo, golang: l.project.Go.Version}
}

// mainOf is the package in dir as the go command wants it: . or ./cmd/x.
func mainOf(moduleDir, dir string) string {
	relative, _ := under(moduleDir, dir)
	if relative == "." || dir == "." {
		return "."
	}
	return "./" + relative
}

func hasLinux(targets []target.Target) bool {
	return slices.ContainsFunc(targets, func(t target.Target) bool { return t.OS == "linux" })
}

func targetNames(targets []target.Target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

func numeral(n int) string {
	if n == 2 {
		return "two"
	}
	return fmt.Sprint(n)
}
