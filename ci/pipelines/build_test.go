package pipelines

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/target"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func parse(t *testing.T, name string) target.Target {
	t.Helper()
	parsed, err := target.Parse(name)
	require.NoError(t, err)
	return parsed
}

func TestBuildArgs(t *testing.T) {
	cases := []struct {
		name string
		app  project.App
	}{
		{"plain", project.App{Main: "."}},
		{"everything", project.App{Main: "./cmd/x", Vars: map[string]string{"main.version": "1.2.3", "main.date": "2026-02-03 04:05", "main.name": "it's"}, Build: project.Build{
			Tags: []string{"netgo", "osusergo"}, Gcflags: []string{"-N", "-l"}, Ldflags: []string{"-buildid=", "-X main.version=9"},
		}}},
		{"static cgo", project.App{Main: ".", Build: project.Build{CGO: true, Link: "static"}}},
		{"static without cgo", project.App{Main: ".", Build: project.Build{Link: "static"}}},
		{"cgo as it comes", project.App{Main: ".", Build: project.Build{CGO: true, Link: "auto"}}},
	}
	var got strings.Builder
	for _, c := range cases {
		got.WriteString("# " + c.name + "\n" + strings.Join(buildArgs(c.app, "/out/app"), "\n") + "\n\n")
	}
	golden(t, "buildargs", got.String())
}

// split divides -ldflags as cmd/internal/quoted documents it: fields are separated by white space; one that begins with a quote
// ends at the next such quote; there is no escape.
func split(t *testing.T, s string) []string {
	t.Helper()
	var fields []string
	for {
		s = strings.TrimLeft(s, " \t\n\r")
		if s == "" {
			return fields
		}
		if quote := s[:1]; quote == "'" || quote == `"` {
			field, rest, ok := strings.Cut(s[1:], quote)
			require.True(t, ok, "unterminated %s string", quote)
			fields, s = append(fields, field), rest
			continue
		}
		end := strings.IndexAny(s, " \t\n\r")
		if end < 0 {
			end = len(s)
		}
		fields, s = append(fields, s[:end]), s[end:]
	}
}

func FuzzQuoteFlag(f *testing.F) {
	for _, seed := range []string{"", "1.2.3", "two words", "it's", `say "hello"`, `it's a "word"`, `it's"both"`, "tab\tnew\nline", `back\slash`, "$HOME `x` ;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		app := project.App{Vars: map[string]string{"main.version": value, "main.zzz": "last"}}
		if checkVars([]project.App{app}) != nil {
			assert.Contains(t, value, "'")
			assert.Contains(t, value, `"`)
			return
		}
		fields := split(t, strings.Join(ldflags(app), " "))
		assert.Equal(t, []string{"-s", "-w", "-X", "main.version=" + value, "-X", "main.zzz=last"}, fields)
	})
}

func TestTargetEnv(t *testing.T) {
	app := project.App{Build: project.Build{Env: map[string]string{"B": "2", "A": "1=1", "GOEXPERIMENT": "x"}}}
	assert.Equal(t, []string{"GOARCH=arm", "GOARM=7", "GOOS=linux", "CGO_ENABLED=0", "A=1=1", "B=2", "GOEXPERIMENT=x"}, targetEnv(app, parse(t, "linux/arm/v7")))
	app = project.App{Build: project.Build{CGO: true}}
	assert.Equal(t, []string{"GOARCH=amd64", "GOOS=windows", "CGO_ENABLED=1"}, targetEnv(app, parse(t, "windows/amd64")))
	assert.Empty(t, workspaceEnv(true))
	assert.Equal(t, []string{"GOWORK=off"}, workspaceEnv(false))
}

func requests(t *testing.T) (inputs, pack string) {
	t.Helper()
	app := project.App{
		Name: "greeter", Binary: "greet", Dir: "examples/greeter", Main: "./cmd/greet", Build: project.Build{Tags: []string{"netgo"}},
		Targets: []target.Target{parse(t, "linux/amd64"), parse(t, "windows/arm64")},
	}
	asked, err := json.MarshalIndent(inputsRequest([]project.App{app, {Name: "x", Dir: ".", Main: ".", Workspace: true, Targets: []target.Target{parse(t, "linux/arm/v6")}}}, "/slipway/request/outline.tar"), "", "  ")
	require.NoError(t, err)
	p := project.Project{Version: project.Version{Version: "1.2.3", Date: time.Unix(1700000000, 0)}}
	binary := Binary{App: app, Target: parse(t, "windows/arm64")}
	packed, err := json.MarshalIndent(packRequest(p, Archive{Binary: binary, Product: Product{Path: archiveName(p, binary)}}, []string{"LICENSE", "examples/greeter/README.md"}), "", "  ")
	require.NoError(t, err)
	return string(asked) + "\n", string(packed) + "\n"
}

func TestRequests(t *testing.T) {
	inputs, pack := requests(t)
	golden(t, "inputs-request", inputs)
	golden(t, "pack-request", pack)
}

// The helper in the containers must understand what we ask: it refuses unknown fields.
func TestInboxUnderstandsTheRequests(t *testing.T) {
	dir := t.TempDir()
	inbox := filepath.Join(dir, "inbox")
	out, err := exec.Command("go", "build", "-o", inbox, "./inbox").CombinedOutput()
	require.NoError(t, err, string(out))
	inputs, pack := requests(t)
	for verb, request := range map[string]string{"inputs": inputs, "pack": pack} {
		file := filepath.Join(dir, verb+".json")
		require.NoError(t, os.WriteFile(file, []byte(request), 0o644))
		cmd := exec.Command(inbox, verb, file)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		_, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			assert.Equal(t, 1, exit.ExitCode(), "%s: %s", verb, stderr.String())
		}
		assert.NotContains(t, stderr.String(), "read request", verb)
	}
}

func TestArchiveName(t *testing.T) {
	p := project.Project{Version: project.Version{Version: "1.2.3-4-gabc1234-dirty"}}
	for name, want := range map[string]string{
		"linux/amd64": "app_1.2.3-4-gabc1234-dirty_linux_amd64.tar.gz", "windows/arm64": "app_1.2.3-4-gabc1234-dirty_windows_arm64.zip", "linux/arm/v7": "app_1.2.3-4-gabc1234-dirty_linux_arm_v7.tar.gz",
	} {
		assert.Equal(t, want, archiveName(p, Binary{App: project.App{Name: "app"}, Target: parse(t, name)}))
	}
}

func TestDocuments(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"LICENSE", "README.md", "README.zh-CN.md", "CONTRIBUTING.md", "readme.go", "main.go", "sub/readme.txt", "sub/NOTICE", "sub/app/COPYING", "other/README.md", "docs/LICENSE",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o644))
	}
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(root, "other", "LICENSE")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "other", "NOTICE"), 0o755))
	assert.Equal(t, []string{"LICENSE", "README.md"}, documents(root, project.App{Dir: ".", ModuleDir: "."}))
	assert.Equal(t, []string{"LICENSE", "sub/NOTICE", "sub/app/COPYING", "sub/readme.txt"}, documents(root, project.App{Dir: "sub/app", ModuleDir: "sub"}))
	assert.Equal(t, []string{"LICENSE", "other/README.md"}, documents(root, project.App{Dir: "other", ModuleDir: "."}), "a link and a directory are no documents")
	assert.Empty(t, documents(root, project.App{Dir: "missing", ModuleDir: "missing"})[2:])
}

func TestAppLabelAndPlural(t *testing.T) {
	one := project.Project{Apps: []project.App{{Name: "a"}}}
	assert.Empty(t, appLabel(one, one.Apps[0]))
	two := project.Project{Apps: []project.App{{Name: "a"}, {Name: "b"}}}
	assert.Equal(t, "b", appLabel(two, two.Apps[1]))
	assert.Equal(t, "1 binary", plural(1, "binary", "binaries"))
	assert.Equal(t, "0 binaries", plural(0, "binary", "binaries"))
}

func TestDockerfile(t *testing.T) {
	p := project.Project{Root: t.TempDir()}
	text, own, err := Dockerfile(p, "FROM scratch")
	require.NoError(t, err)
	assert.Equal(t, "FROM scratch", text)
	assert.False(t, own)
	require.NoError(t, os.WriteFile(filepath.Join(p.Root, "Dockerfile.runtime"), []byte("FROM mine"), 0o644))
	text, own, err = Dockerfile(p, "FROM scratch")
	require.NoError(t, err)
	assert.Equal(t, "FROM mine", text)
	assert.True(t, own)
	_, _, err = Dockerfile(project.Project{Root: filepath.Join(p.Root, "Dockerfile.runtime")}, "")
	require.Error(t, err)
}

func TestReuseLinksOnlyTheSameContent(t *testing.T) {
	before, after := t.TempDir(), t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(before, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	const sum = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" // of "hello\n"
	write("linux/same", "hello\n", 0o755)
	write("changed", "hellO\n", 0o755)
	write("mode", "hello\n", 0o644)
	write("real", "hello\n", 0o755)
	require.NoError(t, os.Symlink("real", filepath.Join(before, "link")))
	products := []Product{}
	for _, name := range []string{"linux/same", "changed", "mode", "missing", "link"} {
		products = append(products, Product{Path: name, Mode: 0o755, SHA256: sum})
	}
	products = append(products, Product{Path: "real", Mode: 0o755}) // whose digest is not known
	linked := func(out Output) (names []string) {
		require.NoError(t, os.MkdirAll(filepath.Join(out.Dir, "linux"), 0o755))
		for _, p := range products {
			if out.link(p) == nil {
				names = append(names, p.Path)
			}
		}
		return names
	}
	assert.Equal(t, []string{"linux/same"}, linked(Output{Dir: after, Before: before}))
	data, err := os.ReadFile(filepath.Join(after, "linux", "same"))
	require.NoError(t, err)
	assert.Equal(t, "hello\n", string(data))
	assert.Empty(t, linked(Output{Dir: t.TempDir()}), "there was no earlier output")
}
