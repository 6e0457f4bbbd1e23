package outline

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func nothing(string) bool { return false }

// entries reads an outline back.
func entries(t *testing.T, files map[string]string, leave func(string) bool) map[string]string {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			tree[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		}
	}
	var b bytes.Buffer
	require.NoError(t, Write(t.Context(), &b, tree, leave))
	found := map[string]string{}
	archive := tar.NewReader(&b)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		text, err := io.ReadAll(archive)
		require.NoError(t, err)
		found[header.Name] = string(text)
		if header.Typeflag == tar.TypeSymlink {
			found[header.Name] = "-> " + header.Linkname
		}
	}
}

func TestAnOutlineEndsWithTheImports(t *testing.T) {
	got := entries(t, map[string]string{
		"go.mod":       "module example.org/x\n",
		"main.go":      "//go:build linux\n\n// Command x.\npackage main\n\nimport (\n\t\"fmt\"\n)\n\nfunc main() { fmt.Println(1) }\n",
		"c.go":         "package main\n\n// #cgo LDFLAGS: -lm\nimport \"C\"\n\nvar x C.int\n",
		"main_test.go": "package main\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) {}\n",
		"broken.go":    "package main\n\nimport \"fmt\n",
		"asm.s":        "//go:build amd64\nTEXT ·f(SB)\n",
		"README.md":    "words",
		"default.pgo":  "profile",
		"link.go":      "-> main.go",
		"odd.go":       "-> shared/odd.txt", "shared/odd.txt": "package main\n", "shared/even.txt": "x", "out.go": "-> ../out.go",
	}, nothing)
	assert.Equal(t, map[string]string{
		"go.mod":      "module example.org/x\n",
		"main.go":     "//go:build linux\n\n// Command x.\npackage main\n\nimport (\n\t\"fmt\"\n)\n",
		"c.go":        "package main\n\n// #cgo LDFLAGS: -lm\nimport \"C\"\n",
		"broken.go":   "package main\n\nimport \"fmt\n",
		"asm.s":       "//go:build amd64\nTEXT ·f(SB)\n",
		"default.pgo": "",
		"link.go":     "-> main.go",
		"odd.go":      "-> shared/odd.txt", "shared/odd.txt": "package main\n", "out.go": "-> ../out.go",
	}, got)
}

func TestAnOutlineKnowsWhatIsEmbedded(t *testing.T) {
	source := "package web\n\nimport _ \"embed\"\n\n//go:embed pages/*.html\nvar pages string\n\n/*\n//go:embed comment\n*/\nvar text = `\n//go:embed text\n`\n\n\t//go:embed more\nvar more string // //go:embed late\n"
	got := entries(t, map[string]string{
		"web/web.go": source, "web/pages/a.html": "<p>", "web/data/deep/x": "x", "web/web_test.go": "package web\n\nimport \"testing\"\n", "other/x": "x",
		"plain/plain.go": "package plain\n\n//go:embed x\nvar X string\n", "plain/x": "x",
	}, nothing)
	assert.Equal(t, map[string]string{
		"web/web.go":       "package web\n\nimport _ \"embed\"\n//go:embed pages/*.html\n//go:embed more\n",
		"web/pages/a.html": "", "web/data/deep/x": "", "web/web_test.go": "package web\n",
		"plain/plain.go": "package plain\n",
	}, got)
}

func TestAnOutlineLeavesOutWhatIsLeftOut(t *testing.T) {
	got := entries(t, map[string]string{"a.go": "package a\n", "dist/b.go": "package b\n", "x/dist/c.go": "package c\n"}, func(name string) bool { return name == "dist" })
	assert.Equal(t, map[string]string{"a.go": "package a\n", "x/dist/c.go": "package c\n"}, got)
}

// What changes in a body changes nothing in the outline.
func TestAnOutlineOfAnotherBodyIsTheSame(t *testing.T) {
	const before, after = "package a\n\nimport \"fmt\"\n\nfunc F() { fmt.Println(1) }\n", "package a\n\nimport \"fmt\"\n\nfunc F() { fmt.Println(2) }\n\nfunc G() {}\n"
	assert.Equal(t, entries(t, map[string]string{"a.go": before}, nothing), entries(t, map[string]string{"a.go": after}, nothing))
}

// The go command says the same of an outline as of the tree: of this repository, which has every shape in it that it ships.
func TestGoListAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("it lists a whole repository, twice")
	}
	source, err := filepath.Abs("../../../..")
	require.NoError(t, err)
	copied := t.TempDir()
	root, err := os.OpenRoot(source)
	require.NoError(t, err)
	defer root.Close()
	var b bytes.Buffer
	require.NoError(t, Write(t.Context(), &b, root.FS(), func(name string) bool { return name == ".git" || name == "dist" || name == "bin" }))
	require.NoError(t, Unpack(&b, copied))
	for _, module := range []string{".", "examples/greeter"} {
		for _, env := range [][]string{{"GOOS=linux", "CGO_ENABLED=0"}, {"GOOS=windows", "CGO_ENABLED=0"}, {"GOOS=linux", "CGO_ENABLED=1"}} {
			want, got := list(t, filepath.Join(source, module), env), list(t, filepath.Join(copied, module), env)
			assert.Equal(t, strings.ReplaceAll(want, source, "ROOT"), strings.ReplaceAll(got, copied, "ROOT"), "%s %v", module, env)
		}
	}
}

func list(t *testing.T, dir string, env []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-e", "-json=Dir,ImportPath,GoFiles,CgoFiles,CFiles,HFiles,SFiles,SysoFiles,EmbedFiles,Error,DepsErrors", "./...")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}

// An outline never leads out of the directory that it is unpacked into.
func TestUnpackStaysInside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	var b bytes.Buffer
	archive := tar.NewWriter(&b)
	require.NoError(t, archive.WriteHeader(&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: outside}))
	require.NoError(t, archive.WriteHeader(&tar.Header{Name: "link/planted", Typeflag: tar.TypeReg, Mode: 0o644}))
	require.NoError(t, archive.Close())
	require.Error(t, Unpack(&b, dir))
	assert.NoFileExists(t, filepath.Join(outside, "planted"))
}

// Whatever a Go file is, its head is a beginning of it and go:embed lines.
func FuzzHead(f *testing.F) {
	f.Add([]byte("package a\n\nimport _ \"embed\"\n\n//go:embed x\nvar x string\n"))
	f.Add([]byte("//go:build x\npackage a; import \"fmt\"; func f() {}\n"))
	f.Add([]byte("package a\nimport (\"embed\"\n\"C\")\n/* //go:embed a */ //go:embed b\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		text, patterns := head(source)
		if bytes.Equal(text, source) {
			return
		}
		cut := text
		for line := range bytes.Lines(text) {
			if patterns && bytes.HasPrefix(line, []byte("//go:embed")) {
				cut = bytes.TrimSuffix(cut, line)
			}
		}
		again, _ := head(text)
		if !bytes.Equal(again, text) && !bytes.HasPrefix(source, bytes.TrimSuffix(cut, []byte("\n"))) {
			t.Errorf("%q\n%q\n%q", source, text, again)
		}
	})
}
