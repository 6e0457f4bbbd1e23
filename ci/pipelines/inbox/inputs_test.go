package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var linux = targetSpec{Env: []string{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0"}}

// tree writes files, and returns their root with links resolved.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	return root
}

// ask runs one query against a tree, with no network and no settings of ours.
func ask(t *testing.T, root, dir, pkg string, targets ...targetSpec) answer {
	t.Helper()
	environ := append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=", "GOTOOLCHAIN=local")
	asked := query{Dir: filepath.Join(root, dir), Package: pkg, Targets: targets}
	answers := answerInputs(t.Context(), inputsRequest{Root: root, Queries: []query{asked}}, environ)
	require.Len(t, answers.Queries, 1)
	return answers.Queries[0]
}

func service() map[string]string {
	return map[string]string{
		"README.md":                "not an input",
		"svc/go.mod":               "module example.com/svc\n\ngo 1.24\n\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => ../lib\n\nreplace example.com/unused => ../unused\n",
		"svc/go.sum":               "",
		"svc/main.go":              "package main\n\nimport (\n\t\"embed\"\n\n\t\"example.com/lib\"\n\t\"example.com/svc/page\"\n)\n\n//go:embed static\nvar _ embed.FS\n\nfunc main() { lib.F(); page.F() }\n",
		"svc/main_windows.go":      "package main\n",
		"svc/main_extra.go":        "//go:build extra\n\npackage main\n",
		"svc/main_test.go":         "package main\n",
		"svc/static/b.txt":         "b",
		"svc/static/deep/a.txt":    "a",
		"svc/static/_hidden":       "not embedded",
		"svc/default.pgo":          "",
		"svc/notes.txt":            "not an input",
		"svc/page/page.go":         "package page\n\nfunc F()\n",
		"svc/page/page_amd64.s":    "#include \"page.h\"\n\nTEXT ·F(SB), 4, $0-0\n\tRET\n",
		"svc/page/page_arm64.s":    "",
		"svc/page/page.h":          "",
		"svc/page/testdata/in.txt": "",
		"lib/go.mod":               "module example.com/lib\n\ngo 1.24\n",
		"lib/lib.go":               "package lib\n\nfunc F() {}\n",
		"lib/other/other.go":       "package other\n",
		"unused/go.mod":            "module example.com/unused\n",
		"unused/u.go":              "package unused\n",
	}
}

func TestInputsAreWhatTheBuildReads(t *testing.T) {
	root := tree(t, service())
	got := ask(t, root, "svc", ".", linux)
	assert.Equal(t, "svc", got.Dir)
	assert.Equal(t, []targetAnswer{{Env: linux.Env, Tags: []string{}, OK: true}}, got.Targets)
	assert.Equal(t, []string{
		"lib/go.mod", "lib/lib.go",
		"svc/default.pgo", "svc/go.mod", "svc/go.sum", "svc/main.go",
		"svc/page/page.go", "svc/page/page.h", "svc/page/page_amd64.s",
		"svc/static/b.txt", "svc/static/deep/a.txt",
		"unused/go.mod",
	}, got.Files)
}

// What the answer is for: those files alone are enough to build.
func TestInputsAreEnoughToBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	root := tree(t, service())
	got := ask(t, root, "svc", ".", linux)
	copied := t.TempDir()
	for _, name := range got.Files {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(copied, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(copied, name), data, 0o644))
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(t.TempDir(), "svc"), ".")
	build.Dir = filepath.Join(copied, "svc")
	build.Env = append(append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOPROXY=off"), linux.Env...)
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

func TestInputsOfSeveralTargetsAreJoined(t *testing.T) {
	windows := targetSpec{Env: []string{"GOOS=windows", "GOARCH=arm64", "CGO_ENABLED=0"}, Tags: []string{"extra"}}
	got := ask(t, tree(t, service()), "svc", ".", linux, windows)
	assert.Subset(t, got.Files, []string{
		"svc/main_windows.go", "svc/main_extra.go", "svc/page/page_amd64.s", "svc/page/page_arm64.s",
	})
	assert.Equal(t, []string{"extra"}, got.Targets[1].Tags)
}

func TestInputsSayWhyATargetCannotBe(t *testing.T) {
	root := tree(t, map[string]string{
		"go.mod":         "module example.com/m\n\ngo 1.24\n",
		"all/main.go":    "package main\n\nimport _ \"example.com/m/lin\"\n\nfunc main() {}\n",
		"lin/x_linux.go": "package lin\n",
		"own/main.go":    "//go:build linux\n\npackage main\n\nfunc main() {}\n",
		"bad/main.go":    "package main\n\nimport _ \"example.com/nowhere\"\n\nfunc main() {}\n",
		"syntax/main.go": "package main\n\nimport {\n",
		"cgo/main.go":    "package main\n\nimport \"C\"\n\nfunc main() {}\n",
	})
	darwin := targetSpec{Env: []string{"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0"}}
	for _, c := range []struct {
		pkg      string
		spec     targetSpec
		ok       bool
		excluded bool
		reason   string
	}{
		{"./all", linux, true, false, ""},
		{"./all", darwin, false, true, "build constraints exclude all Go files"},
		{"./own", linux, true, false, ""},
		{"./own", darwin, false, true, "build constraints exclude all Go files"},
		{"./cgo", linux, false, true, "build constraints exclude all Go files"},
		{"./bad", linux, false, false, "example.com/nowhere"},
		{"./syntax", linux, false, false, "main.go:3:8"},
		{"./none", linux, false, false, "none"},
	} {
		t.Run(c.pkg+" "+c.spec.Env[0], func(t *testing.T) {
			got := ask(t, root, ".", c.pkg, c.spec).Targets[0]
			assert.Equal(t, c.ok, got.OK)
			assert.Equal(t, c.excluded, got.Excluded, got.Reason)
			assert.Contains(t, got.Reason, c.reason)
		})
	}
}

func TestInputsOfABrokenModule(t *testing.T) {
	root := tree(t, map[string]string{"go.mod": "modul x\n", "main.go": "package main\n"})
	got := ask(t, root, ".", ".", linux)
	assert.False(t, got.Targets[0].OK)
	assert.False(t, got.Targets[0].Excluded)
	assert.Contains(t, got.Targets[0].Reason, "go.mod")
	assert.NotNil(t, got.Files)
}

func TestInputsOfAWorkspace(t *testing.T) {
	root := tree(t, map[string]string{
		"go.work":         "go 1.24\n\nuse (\n\t./app\n\t./aside\n)\n\nreplace example.com/lib => ./lib\n",
		"app/go.mod":      "module example.com/app\n\ngo 1.24\n\nrequire example.com/lib v0.0.0\n",
		"app/cmd/main.go": "package main\n\nimport _ \"example.com/lib\"\n\nfunc main() {}\n",
		"aside/go.mod":    "module example.com/aside\n\ngo 1.24\n",
		"aside/a.go":      "package aside\n",
		"lib/go.mod":      "module example.com/lib\n\ngo 1.24\n",
		"lib/lib.go":      "package lib\n",
	})
	got := ask(t, root, "app", "./cmd", linux)
	assert.True(t, got.Targets[0].OK, got.Targets[0].Reason)
	assert.Equal(t, []string{
		"app/cmd/main.go", "app/go.mod", "aside/go.mod", "go.work", "lib/go.mod", "lib/lib.go",
	}, got.Files)
}

func TestInputsOfVendoredModules(t *testing.T) {
	root := tree(t, map[string]string{
		"go.mod":                         "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v1.0.0\n",
		"go.sum":                         "",
		"main.go":                        "package main\n\nimport _ \"example.com/dep\"\n\nfunc main() {}\n",
		"vendor/modules.txt":             "# example.com/dep v1.0.0\n## explicit; go 1.24\nexample.com/dep\n",
		"vendor/example.com/dep/dep.go":  "package dep\n",
		"vendor/example.com/dep/LICENSE": "",
	})
	got := ask(t, root, ".", ".", linux)
	assert.True(t, got.Targets[0].OK, got.Targets[0].Reason)
	assert.Equal(t, []string{
		"go.mod", "go.sum", "main.go", "vendor/example.com/dep/dep.go", "vendor/modules.txt",
	}, got.Files)
}

func TestInputsFollowLinks(t *testing.T) {
	root := tree(t, map[string]string{
		"go.mod":         "module example.com/app\n\ngo 1.24\n",
		"main.go":        "package main\n\nfunc main() {}\n",
		"shared/gen.txt": "package main\n",
	})
	require.NoError(t, os.Symlink("shared/gen.txt", filepath.Join(root, "gen.go")))
	got := ask(t, root, ".", ".", linux)
	assert.Equal(t, []string{"gen.go", "go.mod", "main.go", "shared/gen.txt"}, got.Files)
}

func TestInputsStayBelowTheRoot(t *testing.T) {
	root := tree(t, service())
	got := ask(t, filepath.Join(root, "svc"), ".", ".", linux)
	for _, name := range got.Files {
		assert.True(t, filepath.IsLocal(name), name)
		assert.NotContains(t, name, "lib.go")
	}
}

func TestInputsCommandIsDeterministic(t *testing.T) {
	root := tree(t, service())
	request, err := json.Marshal(inputsRequest{Root: root, Queries: []query{
		{Dir: filepath.Join(root, "svc"), Package: ".", Targets: []targetSpec{linux}},
		{Dir: filepath.Join(root, "lib"), Package: ".", Targets: []targetSpec{linux}},
	}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "request.json")
	require.NoError(t, os.WriteFile(file, request, 0o644))
	first, second := answered(t, file), answered(t, file)
	assert.Equal(t, first.Queries, second.Queries)
	assert.True(t, first.Started.Before(second.Started), "each answer says when it was found")
	assert.Equal(t, "svc", first.Queries[0].Dir)
	assert.Equal(t, "lib/go.mod", first.Queries[0].Files[0])
}

func answered(t *testing.T, file string) inputsAnswer {
	t.Helper()
	var printed bytes.Buffer
	require.NoError(t, dispatch([]string{"inputs", file}, &printed, os.Stderr))
	var answer inputsAnswer
	require.NoError(t, json.Unmarshal(printed.Bytes(), &answer))
	return answer
}

func TestInputsNeedAnAbsoluteRoot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "request.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"root":"src"}`), 0o644))
	assert.ErrorAs(t, dispatch([]string{"inputs", file}, os.Stdout, os.Stderr), &usageError{})
}

func TestDecodePackagesRefusesGarbage(t *testing.T) {
	_, err := decodePackages([]byte(`{"Dir":"a"} nonsense`))
	assert.Error(t, err)
}

func TestVerdictWithoutPackages(t *testing.T) {
	excluded, reason := verdict(nil)
	assert.False(t, excluded)
	assert.NotEmpty(t, reason)
}
