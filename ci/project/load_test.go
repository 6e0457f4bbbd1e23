package project

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/target"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestLoad_Shapes loads every archive under testdata and compares what comes
// out with the golden file beside it. The comment of an archive is a script:
//
//	git ARGS         run git in the project
//	write FILE       make or change a file
//	link FILE TO     make a symbolic link
//	fifo FILE        make a named pipe
//	source DIR       load this directory and not the top
//	dist DIR         the output directory
func TestLoad_Shapes(t *testing.T) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(archive, "testdata/"), ".txtar"), func(t *testing.T) {
			f := newFixture(t)
			f.expand(archive)
			loaded, err := Load(t.Context(), f.options())
			for _, r := range loaded.Reasons {
				assert.NotContains(t, r.What+r.Value+r.Why, "\n", "a reason is one line")
				assert.True(t, r.What != "" && r.Value != "" && r.Why != "", "%q has a value and a reason", r)
			}
			assertGolden(t, strings.TrimSuffix(archive, ".txtar")+".golden", f.neutral(render(loaded, err)))
		})
	}
}

// fixture is a project in a directory of its own, with a git that knows
// nothing of the machine it runs on.
type fixture struct {
	t           *testing.T
	top, source string
	dist        string
	env         map[string]string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	top = filepath.Join(top, "mein Projekt ü")
	require.NoError(t, os.Mkdir(top, 0o755))
	return &fixture{t: t, top: top, source: top, env: map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": t.TempDir(), "GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1",
	}}
}

func (f *fixture) options() Options {
	return Options{Source: f.source, Dist: f.dist, PinnedGo: "1.26.8", Getenv: func(name string) string { return f.env[name] }}
}

func (f *fixture) expand(archive string) {
	f.t.Helper()
	parsed, err := txtar.ParseFile(archive)
	require.NoError(f.t, err)
	for _, file := range parsed.Files {
		f.write(file.Name, file.Data)
	}
	for line := range strings.Lines(string(parsed.Comment)) {
		f.do(strings.TrimSpace(line))
	}
}

func (f *fixture) do(line string) {
	f.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "", "#":
	case "git":
		f.git(strings.Fields(rest)...)
	case "write":
		f.write(rest, []byte("package main // changed\n\nfunc main() {}\n"))
	case "link":
		name, to, _ := strings.Cut(rest, " ")
		require.NoError(f.t, os.Symlink(to, filepath.Join(f.top, name)))
	case "fifo":
		f.fifo(rest)
	case "source":
		f.source = filepath.Join(f.top, rest)
	case "dist":
		f.dist = rest
	default:
		f.t.Fatalf("unknown line in archive: %s", line)
	}
}

func (f *fixture) write(name string, data []byte) {
	f.t.Helper()
	path := filepath.Join(f.top, filepath.FromSlash(name))
	require.NoError(f.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(f.t, os.WriteFile(path, data, 0o644))
}

func (f *fixture) fifo(name string) {
	f.t.Helper()
	if _, err := exec.LookPath("mkfifo"); err != nil {
		f.t.Skip("this system has no mkfifo")
	}
	file := filepath.Join(f.top, filepath.FromSlash(name))
	require.NoError(f.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(f.t, exec.Command("mkfifo", file).Run())
}

// git commits at fixed times, so that commits have the same name everywhere.
func (f *fixture) git(args ...string) string {
	f.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = f.top
	cmd.Env = []string{
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2024-05-06T07:08:09+02:00", "GIT_COMMITTER_DATE=2024-05-06T07:08:09+02:00",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=init.defaultBranch", "GIT_CONFIG_VALUE_0=main",
	}
	for name, value := range f.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	require.NoErrorf(f.t, err, "git %s: %s", args, out)
	return string(out)
}

func (f *fixture) neutral(text string) string {
	return strings.ReplaceAll(text, f.top, "$TOP")
}

// render is a Project, or why there is none, for people who read golden files.
func render(p Project, err error) string {
	var b bytes.Buffer
	if err != nil {
		kind := "error"
		switch {
		case errors.As(err, new(*ConfigError)):
			kind = "configuration"
		case errors.As(err, new(*SourceError)):
			kind = "source"
		}
		fmt.Fprintf(&b, "%s:\n%v\n", kind, err)
		return b.String()
	}
	v := p.Version
	fmt.Fprintf(&b, "root %s\nname %s\ngo %s\nworkspace %q\n", p.Root, p.Name, p.Go.Version, p.Workspace)
	fmt.Fprintf(&b, "version %s tag=%q short=%q date=%s dirty=%t\n", v.Version, v.Tag, v.Short, v.Date.Format("2006-01-02T15:04:05Z07:00"), v.Dirty)
	fmt.Fprintf(&b, "source %q branch=%q\nverify %+v\n", p.Source.URL, p.Source.Branch, p.Verify)
	for _, m := range p.Modules {
		fmt.Fprintf(&b, "module %+v\n", m)
	}
	for _, a := range p.Apps {
		renderApp(&b, a)
	}
	for _, e := range p.Environments {
		renderEnvironment(&b, e)
	}
	for _, r := range p.Reasons {
		fmt.Fprintf(&b, "because | %s | %s | %s\n", r.What, r.Value, r.Why)
	}
	return b.String()
}

func renderApp(b *bytes.Buffer, a App) {
	fmt.Fprintf(b, "app %s binary=%s dir=%q main=%q module=%q workspace=%t\n", a.Name, a.Binary, a.Dir, a.Main, a.ModuleDir, a.Workspace)
	targets := targetNames(a.Targets)
	if slices.Equal(a.Targets, target.Default()) {
		targets = "default"
	}
	fmt.Fprintf(b, "    targets %s named=%t\n    build %+v\n    vars %v\n    image %+v\n", targets, a.TargetsNamed, a.Build, a.Vars, a.Image)
	if a.Service != nil {
		fmt.Fprintf(b, "    service %+v\n", *a.Service)
	}
}

func renderEnvironment(b *bytes.Buffer, e Environment) {
	fmt.Fprintf(b, "environment %s driver=%s service=%s ports=%v\n    rollout %+v\n", e.Name, e.Driver, e.Service, e.Ports, e.Rollout)
	if e.Proxy != nil {
		fmt.Fprintf(b, "    proxy %+v\n", *e.Proxy)
	}
	if e.Commands != nil {
		fmt.Fprintf(b, "    commands %+v\n", *e.Commands)
	}
	fmt.Fprintf(b, "    env %q file=%q secrets=%v variables=%v\n", e.Env, e.EnvFile, e.Secrets, e.SecretVariables)
	fmt.Fprintf(b, "    arguments %q files=%v limits=%+v relax=%v state=%t writable=%v\n", e.Arguments, e.Files, e.Limits, e.Relax, e.State, e.Writable)
	fmt.Fprintf(b, "    drain %s keep=%d log=%q notify=%v\n", e.Drain, e.Keep, e.LogFile, e.Notify)
	if e.Filebeat != "" {
		fmt.Fprintf(b, "    filebeat %s\n", e.Filebeat)
	}
}

func assertGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err, "make it with: go test ./ci/project -update")
	assert.Equal(t, string(want), got)
}

func TestLoad_ThisRepository(t *testing.T) {
	if _, err := os.Stat("../../slipway.yaml"); err != nil {
		t.Skip("the rest of the repository is not here")
	}
	f := newFixture(t)
	f.source = "../.."
	p, err := Load(t.Context(), f.options())
	require.NoError(t, err)
	assert.Equal(t, "slipway", p.Name)
	assert.Equal(t, Verify{Strict: true, Race: true, Short: true}, p.Verify)
	require.Len(t, p.Modules, 2)
	assert.Equal(t, ".", p.Modules[0].Dir)
	require.Len(t, p.Apps, 1)
	greeter := p.Apps[0]
	assert.Equal(t, "examples/greeter", greeter.ModuleDir)
	assert.ElementsMatch(t, target.Default(), greeter.Targets)
	assert.Equal(t, p.Version.Version, greeter.Vars["main.version"])
	assert.Equal(t, &Service{Port: 8080, Health: "/health", Grace: DefaultGrace, Start: DefaultStart}, greeter.Service)
}

func TestLoad_NothingOutsideIsRead(t *testing.T) {
	f := newFixture(t)
	f.expand(oneMain)
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "go.mod"), []byte("module example.com/out\n"), 0o644))
	require.NoError(t, os.Symlink(outside, filepath.Join(f.top, "out")))
	f.write("slipway.yaml", []byte("version: 1\napps: [{name: out, dir: out}]\nverify: {modules: [out]}\n"))
	_, err := Load(t.Context(), f.options())
	assert.ErrorContains(t, err, `apps[0].dir: there is no directory "out"`)
	assert.ErrorContains(t, err, `verify.modules[0]: there is no go.mod in "out"`)
}

// Names that txtar cannot hold.
func TestLoad_StrangeNames(t *testing.T) {
	f := newFixture(t)
	f.expand(oneMain)
	for _, name := range []string{"cmd/a\nb/main.go", "cmd/\xff/main.go", "cmd/ok/bro\nken.go", strings.Repeat("deep/", 200) + "main.go"} {
		f.write(name, []byte("package main\nfunc main() {}\n"))
	}
	p := load(t, f)
	left := map[string]string{}
	for _, r := range p.Reasons {
		assert.True(t, utf8.ValidString(r.What+r.Value+r.Why) && !strings.Contains(r.What+r.Value+r.Why, "\n"), "%q", r)
		if r.What == "left out" {
			left[r.Value] = r.Why
		}
	}
	assert.Equal(t, `go cannot import a directory named "a\nb"; rename it to ship it`, left[`"cmd/a\nb"`])
	assert.Contains(t, p.Reasons, Reason{What: "not searched", Value: `"cmd/\xff"`, Why: "a name that is no UTF-8, which go refuses too"})
	require.Len(t, p.Apps, 3)
	assert.Equal(t, []string{"web", "ok", "deep"}, []string{p.Apps[0].Name, p.Apps[1].Name, p.Apps[2].Name})
}

func TestLoad_OtherConfig(t *testing.T) {
	f := newFixture(t)
	f.expand(oneMain)
	f.write("other.yaml", []byte("version: 1\nappz: []\n"))
	opts := f.options()
	opts.Config = filepath.Join(f.top, "other.yaml")
	_, err := Load(t.Context(), opts)
	var problems *ConfigError
	require.ErrorAs(t, err, &problems)
	assert.Equal(t, filepath.ToSlash(opts.Config), problems.File)
	assert.Equal(t, []Problem{{Line: 2, Column: 1, Field: "appz", Message: "unknown field", Hint: `did you mean "apps"?`}}, problems.Problems)

	opts.Config = filepath.Join(f.top, "nowhere.yaml")
	_, err = Load(t.Context(), opts)
	assert.ErrorAs(t, err, new(*SourceError))
}
