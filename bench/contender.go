package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/target"
)

// contender is one way to build the project, on a clone of its own.
type contender struct {
	name  string
	dir   string // the clone
	empty func(context.Context) error
	run   func(context.Context) (usage, error)
	made  func() (map[string]string, error) // digests of the binaries, by program and target
}

// The names of the contenders, as the table has them.
const (
	goBuild      = "go build"
	goReleaser   = "GoReleaser"
	slipwayBuild = "slipway build"
	slipwayShip  = "slipway ship"
)

// contenders clones the project for each of them.
func (b *bench) contenders(ctx context.Context) ([]contender, error) {
	all := []contender{b.goBuild()}
	if c, err := b.goReleaser(ctx); err != nil {
		return nil, err
	} else if c.run != nil {
		all = append(all, c)
	}
	all = append(all, b.ours(slipwayBuild, "build"))
	if b.ship {
		all = append(all, b.ours(slipwayShip, "ship"))
	}
	for _, c := range all {
		if err := b.clone(ctx, c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (b *bench) clone(ctx context.Context, c contender) error {
	if err := remake(filepath.Dir(c.dir)); err != nil {
		return err
	}
	return git(ctx, b.work, "clone", "-q", "--", b.origin, c.dir)
}

// place is where a contender works: the clone is "src" in there, so that what it makes can lie beside it.
func (b *bench) place(name string) string {
	return filepath.Join(b.work, "contenders", strings.ReplaceAll(name, " ", "-"))
}

// goBuild is the go command, one target after the other.
func (b *bench) goBuild() contender {
	place := b.place(goBuild)
	c := contender{name: goBuild, dir: filepath.Join(place, "src")}
	file := func(app project.App, t target.Target) string {
		return filepath.Join(place, "out", t.Dir(), t.Exe(app.Binary))
	}
	c.empty = func(context.Context) error { return remake(b.buildCache(goBuild)) }
	c.run = func(ctx context.Context) (usage, error) {
		var all usage
		for app, t := range b.builds() {
			u, err := b.goProcess(c.dir, app, t, file(app, t)).run(ctx)
			if err != nil {
				return all, err
			}
			all = all.plus(u)
		}
		return all, nil
	}
	c.made = func() (map[string]string, error) {
		made := map[string]string{}
		for app, t := range b.builds() {
			digest, err := digest(file(app, t))
			if err != nil {
				return nil, err
			}
			made[app.Name+" "+t.String()] = digest
		}
		return made, nil
	}
	return c
}

// builds goes through all programs and targets.
func (b *bench) builds() func(yield func(project.App, target.Target) bool) {
	return func(yield func(project.App, target.Target) bool) {
		for _, app := range b.project.Apps {
			for _, t := range app.Targets {
				if !yield(app, t) {
					return
				}
			}
		}
	}
}

// goProcess builds with the flags of our build stage.
func (b *bench) goProcess(dir string, app project.App, t target.Target, out string) process {
	argv := []string{"go", "build", "-trimpath"}
	if len(app.Build.Tags) > 0 {
		argv = append(argv, "-tags="+strings.Join(app.Build.Tags, ","))
	}
	argv = append(argv, "-ldflags="+ldflags(app), "-o", out, app.Main)
	return process{dir: filepath.Join(dir, app.Dir), env: b.goEnv(goBuild, t.Env()...), argv: argv}
}

// ldflags are those of our build stage.
func ldflags(app project.App) string {
	flags := []string{"-s", "-w"}
	for _, name := range slices.Sorted(maps.Keys(app.Vars)) {
		flags = append(flags, "-X", "'"+name+"="+app.Vars[name]+"'")
	}
	return strings.Join(append(flags, app.Build.Ldflags...), " ")
}

// goReleaserVersion is the release that is compared.
const goReleaserVersion = "v2.13.3"

// goReleaser is "goreleaser build", which builds as many targets at once as there are processors.
func (b *bench) goReleaser(ctx context.Context) (contender, error) {
	program, err := b.goReleaserProgram(ctx)
	if err != nil || program == "" {
		return contender{}, err
	}
	place := b.place(goReleaser)
	c := contender{name: goReleaser, dir: filepath.Join(place, "src")}
	settings := filepath.Join(place, "goreleaser.yaml")
	c.empty = func(context.Context) error { return remake(b.buildCache(goReleaser)) }
	c.run = func(ctx context.Context) (usage, error) {
		if err := os.WriteFile(settings, []byte(b.goReleaserConfig()), 0o644); err != nil {
			return usage{}, err
		}
		return process{dir: c.dir, env: b.goEnv(goReleaser), argv: []string{program, "build", "--snapshot", "--clean", "-f", settings}}.run(ctx)
	}
	c.made = func() (map[string]string, error) { return goReleaserMade(c.dir) }
	return c, nil
}

// goReleaserProgram builds GoReleaser from its module, once. A quick run does without it where it is not there.
func (b *bench) goReleaserProgram(ctx context.Context) (string, error) {
	dir := filepath.Join(b.work, "goreleaser-"+goReleaserVersion)
	program := filepath.Join(dir, "goreleaser")
	if exists(program) {
		return program, nil
	}
	if b.quick {
		return "", nil
	}
	b.say("building GoReleaser %s from its module, which takes a while", goReleaserVersion)
	_, err := process{dir: b.work, env: environ("GOBIN="+dir, "CGO_ENABLED=0"), argv: []string{"go", "install", "github.com/goreleaser/goreleaser/v2@" + goReleaserVersion}}.run(ctx)
	return program, err
}

// goReleaserConfig has the programs, targets and flags of our build stage.
func (b *bench) goReleaserConfig() string {
	var text strings.Builder
	fmt.Fprintf(&text, "version: 2\nproject_name: %s\nbuilds:\n", b.project.Name)
	for _, app := range b.project.Apps {
		fmt.Fprintf(&text, "  - {id: %s, binary: %s, dir: %q, main: %q, flags: [-trimpath], ldflags: [%q], tags: [%s], targets: [%s]}\n",
			app.Name, app.Binary, app.Dir, app.Main, ldflags(app), strings.Join(app.Build.Tags, ", "), strings.ReplaceAll(joined(app.Targets), "/", "_"))
	}
	return text.String()
}

func goReleaserMade(dir string) (map[string]string, error) {
	var artifacts []struct {
		Path, GoOS, GoArch, Type string
		Extra                    struct{ ID string }
	}
	if err := readJSON(filepath.Join(dir, "dist", "artifacts.json"), &artifacts); err != nil {
		return nil, err
	}
	made := map[string]string{}
	for _, a := range artifacts {
		if a.Type != "Binary" {
			continue
		}
		digest, err := digest(filepath.Join(dir, a.Path))
		if err != nil {
			return nil, err
		}
		made[a.Extra.ID+" "+a.GoOS+"/"+a.GoArch] = digest
	}
	return made, nil
}

// ours is a verb of our program.
func (b *bench) ours(name, verb string) contender {
	c := contender{name: name, dir: filepath.Join(b.place(name), "src")}
	c.empty = func(ctx context.Context) error {
		if err := os.RemoveAll(filepath.Join(c.dir, "dist")); err != nil {
			return err
		}
		return b.engine.empty(ctx, b.project, b.origin, b.modules())
	}
	c.run = func(ctx context.Context) (usage, error) {
		p := b.engine.command(verb, "-q", "-C", c.dir)
		if b.checkout == "" || b.narrowed() {
			p.argv = append(p.argv, "--target", strings.ReplaceAll(joined(b.targets), " ", ""))
		}
		return p.run(ctx)
	}
	c.made = func() (map[string]string, error) { return oursMade(c.dir) }
	return c
}

// narrowed tells whether fewer targets are wanted than a project has by itself.
func (b *bench) narrowed() bool { return !slices.Equal(b.targets, target.Default()) }

func oursMade(dir string) (map[string]string, error) {
	var list []struct{ Name, Kind, Target, Digest string }
	if err := readJSON(filepath.Join(dir, "dist", "artifacts.json"), &list); err != nil {
		return nil, err
	}
	made := map[string]string{}
	for _, a := range list {
		if a.Kind == "binary" {
			made[a.Name+" "+a.Target] = strings.TrimPrefix(a.Digest, "sha256:")
		}
	}
	return made, nil
}

func readJSON(file string, value any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

func digest(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// line is a line of package main that can be changed as often as wanted.
type line struct {
	file   string // relative to the clone
	before []byte // the file without it
}

// findLine finds where the first program can have one more line.
func (b *bench) findLine() (line, error) {
	app := b.project.Apps[0]
	dir := filepath.Join(app.Dir, app.Main)
	entries, err := os.ReadDir(filepath.Join(b.origin, dir))
	if err != nil {
		return line{}, err
	}
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		if filepath.Ext(name) != ".go" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(b.origin, name))
		if err != nil {
			return line{}, err
		}
		if declaresMain(data) {
			return line{file: name, before: data}, nil
		}
	}
	return line{}, errors.New("find func main of " + app.Name + ": no file of its package declares it")
}

func declaresMain(source []byte) bool {
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
	if err != nil || file.Name.Name != "main" {
		return false
	}
	return slices.ContainsFunc(file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Recv == nil && f.Name.Name == "main"
	})
}

// change makes the line of a clone say something else. The value is part of the compiled package, so every target is linked
// anew.
func (l line) change(clone, text string) error {
	more := fmt.Sprintf("\nvar benchLine = %q\n\nvar _ = benchLine\n", text)
	if err := os.WriteFile(filepath.Join(clone, l.file), append(slices.Clip(l.before), more...), 0o644); err != nil {
		return fmt.Errorf("change a line: %w", err)
	}
	return nil
}
