package project

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// chooseVerify reads the verify part of the configuration and decides which
// modules it covers.
func (l *loader) chooseVerify(ctx context.Context) error {
	c := l.cfg.Verify
	v := Verify{Strict: c.Strict, Race: c.Race == nil || *c.Race, Short: c.Short, Retry: c.Retry, Coverage: Coverage{Min: c.Coverage.Min}}
	if percent := ruleOf("percent"); !percent.holds(c.Coverage.Min) {
		l.doc.blame("verify.coverage.min", percent.between(), "a percentage, such as 70")
	}
	if retries := ruleOf("retries"); !retries.holds(float64(c.Retry)) {
		l.doc.blame("verify.retry", retries.between(), "2 tells most flaky tests from broken ones")
	}
	for i, ignore := range c.Vuln.Ignore {
		v.Vuln.Ignore = append(v.Vuln.Ignore, l.ignore(fmt.Sprintf("verify.vuln.ignore[%d]", i), ignore))
	}
	l.project.Verify = v
	l.project.Hook.Budget = l.duration("hook.budget", l.cfg.Hook.Budget, DefaultBudget)
	dirs, err := l.verifyDirs(ctx)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		l.project.Modules = append(l.project.Modules, l.module(dir))
	}
	return nil
}

func (l *loader) ignore(field string, c ignoreConfig) Ignore {
	hintOf := map[string]string{"id": "such as GO-2024-2687", "reason": "say why it does not matter here"}
	for key, value := range map[string]string{"id": c.ID, "reason": c.Reason} {
		if l.doc.has(field+"."+key) && !ruleOf("filled").allows(value) {
			l.doc.blame(field+"."+key, "must not be empty", hintOf[key])
		}
	}
	ignore := Ignore{ID: c.ID, Reason: c.Reason}
	if l.doc.has(field + ".until") {
		until, err := time.Parse(time.DateOnly, c.Until)
		if err != nil {
			l.doc.blame(field+".until", fmt.Sprintf("%q is no date", c.Until), "write it as 2006-01-02")
		}
		ignore.Until = until
	}
	return ignore
}

func (l *loader) verifyDirs(ctx context.Context) ([]string, error) {
	if named := l.cfg.Verify.Modules; len(named) > 0 {
		dirs, err := l.namedModules(ctx, named)
		l.reason("modules to verify", strings.Join(dirs, ", "), defaultConfig)
		return dirs, err
	}
	if l.doc.has("verify.modules") && l.cfg.Verify.Modules != nil {
		l.doc.blame("verify.modules", "is empty", "name at least one module, or remove the line")
	}
	dirs := slices.Clone(l.own())
	why := "the root module"
	switch {
	case l.work.file != "":
		why = "the modules of " + l.work.file
	case !slices.Contains(l.tree.modules, l.site.base):
		why = "there is no module in the root, so all below it"
	}
	for _, app := range l.project.Apps {
		if app.ModuleDir != "" && !slices.Contains(dirs, app.ModuleDir) {
			dirs = append(dirs, app.ModuleDir)
			why += ", and that of app " + app.Name
		}
	}
	slices.SortFunc(dirs, rootFirst)
	l.reason("modules to verify", orNone(dirs), why)
	var others []string
	for _, dir := range l.tree.modules {
		if !slices.Contains(dirs, dir) {
			others = append(others, dir)
		}
	}
	if len(others) > 0 {
		l.reason("not covered", listed(others), "modules of their own; name them under verify.modules or apps to cover them")
	}
	return dirs, nil
}

func (l *loader) namedModules(ctx context.Context, named []string) ([]string, error) {
	var dirs []string
	for i, written := range named {
		field := fmt.Sprintf("verify.modules[%d]", i)
		dir, ok := l.local(field, written)
		if !ok {
			continue
		}
		switch {
		case !isFile(l.fsys, path.Join(dir, "go.mod")):
			l.doc.blame(field, fmt.Sprintf("there is no go.mod in %q", written), cmp.Or(didYouMean(written, l.tree.modules), "modules are in "+orNone(l.tree.modules)))
		case slices.Contains(dirs, dir):
			l.doc.blame(field, fmt.Sprintf("%q is there twice", written), "remove one")
		default:
			if err := l.know(ctx, dir); err != nil {
				return nil, err
			}
			dirs = append(dirs, dir)
		}
	}
	slices.SortFunc(dirs, rootFirst)
	return dirs, nil
}

func (l *loader) module(dir string) Module {
	m := l.mods[dir]
	vendor := isFile(l.fsys, path.Join(dir, "vendor/modules.txt"))
	if l.inWorkspace(dir) {
		vendor = isFile(l.fsys, path.Join(l.site.base, "vendor/modules.txt"))
	}
	return Module{Dir: dir, Path: m.path, Go: m.golang, HasTests: l.tree.tested[dir], Vendor: vendor, Workspace: l.inWorkspace(dir)}
}

// local checks a directory that the configuration names, and gives it
// relative to the root.
func (l *loader) local(field, written string) (string, bool) {
	if l.doc.isBlamed(field) {
		return "", false
	}
	dir := path.Join(l.site.base, written)
	switch {
	case written == "":
		l.doc.blame(field, "must not be empty", "write . for the directory of "+defaultConfig)
	case strings.ContainsFunc(written, func(r rune) bool { return r == '\\' || r < ' ' }):
		l.doc.blame(field, fmt.Sprintf("%q has characters that a directory here may not have", written), "use / between directories")
	case !ruleOf("place").allows(written) || !fs.ValidPath(dir):
		l.doc.blame(field, fmt.Sprintf("%q is outside of the project", written), "name a directory relative to "+defaultConfig)
	default:
		return dir, true
	}
	return "", false
}

func rootFirst(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == ".":
		return -1
	case b == ".":
		return 1
	}
	return strings.Compare(a, b)
}

func orNone(items []string) string {
	if len(items) == 0 {
		return "none"
	}
	return listed(items)
}
