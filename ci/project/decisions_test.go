package project

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/target"
)

func TestChooseGo(t *testing.T) {
	mod := func(v string) goLine { return goLine{file: "go.mod", wish: "go " + v, version: v, minimum: true} }
	for _, test := range []struct {
		pinned string
		lines  []goLine
		want   string
	}{
		{"1.26.8", nil, "1.26.8"},
		{"1.26.8", []goLine{mod("1.16")}, "1.26.8"},
		{"1.26.8", []goLine{mod("1.26")}, "1.26.8"},
		{"1.26.8", []goLine{mod("1.26.9")}, "1.26.9"},
		{"1.26.8", []goLine{mod("1.27")}, "1.27.0"},
		{"1.26.8", []goLine{mod("1.27rc1")}, "1.27rc1"},
		{"1.26.8", []goLine{mod("1.27rc1"), mod("1.27.2"), mod("1.27")}, "1.27.2"},
		{"1.26.8", []goLine{{file: "go.mod", wish: "toolchain go1.28.1-bigcorp", version: "1.28.1-bigcorp"}}, "1.28.1"},
		{"1.26.8", []goLine{{version: "nonsense"}}, "1.26.8"},
	} {
		assert.Equal(t, test.want, chooseGo(test.pinned, test.lines).Version, "%v", test.lines)
	}
}

func TestOverrideGo(t *testing.T) {
	lines := []goLine{
		{file: "go.mod", wish: "go 1.25.5", version: "1.25.5", minimum: true},
		{file: "go.mod", wish: "toolchain go1.26.8", version: "1.26.8"},
	}
	for wanted, wrong := range map[string]string{
		"1.25.5": "", "1.25.9": "", "1.26": "", "1.27rc1": "",
		"1.25": "is older than go.mod", "1.25.4": "is older than go.mod", "latest": "is no Go release", "go1.26.8": "is no Go release",
		"1.26.8-x": "is no Go release", "": "is no Go release", "1.26.8 ": "is no Go release",
	} {
		_, got := overrideGo(wanted, lines)
		assert.Equal(t, wrong == "", got == "", "%q: %s", wanted, got)
		assert.Contains(t, got, wrong, wanted)
	}
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"api": "api", "my_tool": "my-tool", "My.Tool": "my-tool", "--a--b--": "a-b", "über": "ber", "日本": "", "": "", "../x": "x",
		strings.Repeat("a", 62) + "-b": strings.Repeat("a", 62),
	} {
		got := slug(name)
		assert.Equal(t, want, got, name)
		assert.True(t, got == "" || validName(got), got)
	}
	assert.False(t, validName("a\n"))
}

func TestNameOfModule(t *testing.T) {
	for path, want := range map[string]string{
		"example.com/acme/web": "web", "example.com/web/v2": "web", "gopkg.in/thing.v3": "thing", "web": "web", "example.com/v2": "example.com",
	} {
		assert.Equal(t, want, nameOfModule(path), path)
	}
}

func TestMeaning_OfEveryTemplateExpands(t *testing.T) {
	declared := []string{
		"version", "Build_Version", "appVersion", "commit", "GitCommit", "gitSHA", "shortCommit", "buildDate", "BuildTime", "date", "revision", "gitTag", "GIT_BRANCH",
	}
	for _, name := range declared {
		template := meaning(name, declared)
		require.NotEmpty(t, template, name)
		value, err := expand(template, templateData{Version: "x", Commit: "x", ShortCommit: "x", Date: "x", Tag: "x", Branch: "x"})
		require.NoError(t, err, name)
		assert.Equal(t, "x", value, name)
	}
	assert.Empty(t, meaning("date", []string{"date"}), "a date alone may be anything")
	assert.Empty(t, meaning("tag", declared))
}

func TestExpand(t *testing.T) {
	data := templateData{Version: "1.2.3", Dirty: true, App: "web"}
	for text, want := range map[string]string{
		"":                                     "",
		"plain":                                "plain",
		"{{.App}}/{{.Version}}":                "web/1.2.3",
		"{{if .Dirty}}+{{else}}-{{end}}":       "+",
		`{{printf "%q" .Version}}`:             `"1.2.3"`,
		"{{/* nothing */}}v{{.Version}}":       "v1.2.3",
		"{{.Version | len | printf \"%03d\"}}": "005",
	} {
		got, err := expand(text, data)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"{{.Nope}}":                              "no value .Nope",
		"{{":                                     "is no template",
		"{{range 9}}{{end}}":                     "only values and if",
		"{{if .Dirty}}{{range 9}}{{end}}{{end}}": "only values and if",
		`{{define "a"}}{{end}}`:                  "only values and if",
		`{{template "a"}}`:                       "only values and if",
		`{{"a\nb"}}`:                             "more than one line",
		strings.Repeat("a", maxVariableSize+1):   "longer than",
		`{{index .Version 99}}`:                  "is no template",
	} {
		_, err := expand(text, data)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"name", "dir", "main", "targets", "build", "vars", "image", "service"}
	for input, want := range map[string]string{
		"nmae": "name", "taget": "targets", "Service": "service", "images": "image", "d": "", "environment": "", "": "", "idr": "dir",
	} {
		assert.Equal(t, want, nearest(input, keys), input)
	}
}

// brokenDir is a file system in which one directory cannot be read: for root,
// permissions alone do not make one.
type brokenDir struct {
	fs.FS
	name string
}

func (b brokenDir) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == b.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return fs.ReadDir(b.FS, name)
}

func TestScan_NamesWhatCannotBeRead(t *testing.T) {
	fsys := brokenDir{FS: fstest.MapFS{"go.mod": {}, "locked/x.go": {}}, name: "locked"}
	_, err := scan(t.Context(), fsys, ".", "")
	var source *SourceError
	require.ErrorAs(t, err, &source)
	assert.Contains(t, err.Error(), `cannot read directory "locked": permission denied`)
	assert.Contains(t, source.Hint(), "make it readable")

	_, err = scan(t.Context(), fsys, ".", "locked")
	assert.NoError(t, err, "the output directory is never read")

	for _, name := range []string{".git", "node_modules", "testdata", "_x", "vendor"} {
		fsys = brokenDir{FS: fstest.MapFS{"go.mod": {}, name + "/x.go": {}}, name: name}
		_, err = scan(t.Context(), fsys, ".", "")
		assert.NoError(t, err, "%s is never read, however large it is", name)
	}
}

func TestConfigError_ListsAllProblems(t *testing.T) {
	err := &ConfigError{File: "slipway.yaml", Problems: []Problem{{Line: 2, Column: 3, Field: "apps", Message: "is wrong", Hint: "fix it"}, {Line: 4, Column: 1, Message: "so is this"}}}
	assert.Equal(t, "slipway.yaml:2:3: apps: is wrong (fix it)\nslipway.yaml:4:1: so is this", err.Error())
}

func TestConfig_EveryKeyIsDescribed(t *testing.T) {
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			check(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				field := typ.Field(i)
				assert.NotEmpty(t, field.Tag.Get("yaml"), field.Name)
				assert.NotEmpty(t, field.Tag.Get("doc"), field.Name)
				check(field.Type)
			}
		}
	}
	check(reflect.TypeFor[config]())
}

// FuzzConfig reads any configuration as far as Load would, on sources in
// memory: it never panics, and each problem says where it is.
func FuzzConfig(f *testing.F) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	require.NoError(f, err)
	for _, archive := range archives {
		parsed, err := txtar.ParseFile(archive)
		require.NoError(f, err)
		for _, file := range parsed.Files {
			if strings.HasSuffix(file.Name, defaultConfig) {
				f.Add(string(file.Data))
			}
		}
	}
	sources, check := oneProgram(), compiledSchema(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := loadFrom(t.Context(), sources, text)
		if err == nil {
			assertShippable(t, p)
			assert.NoError(t, check(strings.TrimPrefix(text, "\ufeff")), "what Load accepts, the schema accepts")
			return
		}
		var problems *ConfigError
		if !errors.As(err, &problems) {
			require.ErrorAs(t, err, new(*SourceError))
			return
		}
		for _, p := range problems.Problems {
			assert.Positive(t, p.Line)
			assert.Positive(t, p.Column)
			assert.NotEmpty(t, p.Message)
			assert.False(t, strings.ContainsFunc(p.String(), func(r rune) bool { return !strconv.IsPrint(r) }), "%q is one line of text", p.String())
		}
	})
}

// assertShippable holds a project against what the stages rely on.
func assertShippable(t *testing.T, p Project) {
	names := map[string]bool{}
	for _, app := range p.Apps {
		assert.True(t, validName(app.Name), "%q", app.Name)
		assert.False(t, names[app.Name], "%q is there once", app.Name)
		names[app.Name] = true
		assert.True(t, fs.ValidPath(app.Dir), "%q", app.Dir)
		assert.True(t, fs.ValidPath(path.Join(app.Dir, app.Main)), "%q", app.Main)
		assert.NotEmpty(t, app.Targets)
		for _, built := range app.Targets {
			again, err := target.Parse(built.String())
			assert.NoError(t, err)
			assert.Equal(t, built, again)
		}
		for name, value := range app.Vars {
			assert.NoError(t, CheckVar(value), "%q", name)
			assert.NotContains(t, value, "\n")
		}
		for name, value := range app.Build.Env {
			assert.NotContains(t, name+value, "\x00")
			assert.NotContains(t, name, "=")
		}
		if app.Service != nil {
			assert.True(t, app.Service.Port > 0 && app.Service.Port < 1<<16, "%d", app.Service.Port)
			assert.True(t, app.Service.Grace > 0 && app.Service.Start > 0, "%v", app.Service)
		}
	}
}

// oneProgram are sources in memory: a module with two programs, and another.
func oneProgram() fstest.MapFS {
	return fstest.MapFS{
		"go.mod":         {Data: []byte("module example.com/web\ngo 1.25.0\n")},
		"main.go":        {Data: []byte("package main\nvar version string\nfunc main() {}\n")},
		"cmd/api/api.go": {Data: []byte("package main\nfunc main() {}\n")},
		"sub/go.mod":     {Data: []byte("module example.com/sub\n")},
		"sub/main.go":    {Data: []byte("package main\nfunc main() {}\n")},
	}
}

// loadFrom is Load on sources in memory and without git.
func loadFrom(ctx context.Context, sources fs.FS, text string) (Project, error) {
	l := &loader{
		opts: Options{PinnedGo: "1.26.8"}, fsys: sources, mods: map[string]goModule{}, past: history{none: "no git"},
		site: site{dir: "/nowhere", root: "/nowhere", base: ".", dist: defaultDist},
	}
	l.cfg, l.doc = readConfig(defaultConfig, []byte(text))
	if len(l.doc.places) == 0 {
		return Project{}, l.doc.err()
	}
	for _, step := range l.steps()[1:] {
		if err := step(ctx); err != nil {
			return Project{}, err
		}
	}
	return l.project, l.doc.err()
}

func TestReadConfig_NestingIsBounded(t *testing.T) {
	_, d := readConfig(defaultConfig, []byte("version: 1\napps: "+strings.Repeat("[", 10_000)))
	require.Error(t, d.err())
	assert.Contains(t, d.err().Error(), "slipway.yaml:2:1: is nested too deeply")
	_, d = readConfig(defaultConfig, []byte(strings.Repeat("# \n", maxConfigSize)))
	assert.ErrorContains(t, d.err(), "is larger than 64 KiB")
	_, d = readConfig(defaultConfig, []byte("version: 1\n# \xff"))
	assert.ErrorContains(t, d.err(), "is not UTF-8")
	_, d = readConfig(defaultConfig, []byte("\ufeffversion: 1\r\nverify: {strict: true}\r\n"))
	assert.NoError(t, d.err(), "editors on Windows")
}
