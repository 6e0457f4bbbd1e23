package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/scaffold"
)

// off is a setting that is switched off: # without a space behind it.
var off = regexp.MustCompile(`(?m)^( *)#(\S)`)

// What slipway init writes for a project means the same as nothing at all, apart from strict; and each setting that is switched
// off is one that can be switched on. The projects are those on which inference is tried.
func TestSampleOfEveryShape(t *testing.T) {
	archives, err := filepath.Glob(filepath.Join("..", "project", "testdata", "shapes", "*.txtar"))
	require.NoError(t, err)
	samples := 0
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			dir, options, ok := unpack(t, archive)
			if !ok {
				return // it takes more than files
			}
			inferred, err := project.Load(t.Context(), options)
			if err != nil {
				return // not a project
			}
			samples++
			text := sample(t, dir, inferred)
			options.Unasked = false

			loaded := load(t, options, dir, text)
			assert.Equal(t, names(inferred), names(loaded))
			assert.Equal(t, inferred.Modules, loaded.Modules)
			assert.Equal(t, inferred.Version.Tag == "", loaded.Verify.Strict)

			loaded = load(t, options, dir, off.ReplaceAllString(text, "$1$2"))
			assert.True(t, loaded.Verify.Strict)
			assert.False(t, loaded.Verify.Race)
			assert.NotNil(t, loaded.Publish.GitHub)
			for i, app := range loaded.Apps {
				if len(inferred.Apps) > 0 {
					assert.Equal(t, inferred.Apps[i].Targets, app.Targets)
					assert.NotNil(t, app.Service)
				}
			}
		})
	}
	assert.Greater(t, samples, 20)
}

// unpack makes a directory of an archive, where files alone are enough.
func unpack(t *testing.T, name string) (dir string, options project.Options, ok bool) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	require.NoError(t, err)
	dir, err = filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	options = project.Options{Source: dir, PinnedGo: "1.26.8", Unasked: true, Getenv: gitEnv(t)}
	for _, f := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.Data, 0o644))
	}
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "slipway.yaml")))
	for line := range strings.Lines(string(archive.Comment)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "git":
			cmd := exec.Command("git", strings.Fields(rest)...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
			_ = cmd.Run() // some of them are refused
		case "source", "link", "fifo", "dist":
			return "", options, false
		}
	}
	return dir, options, true
}

func gitEnv(t *testing.T) func(string) string {
	env := map[string]string{"PATH": os.Getenv("PATH"), "HOME": t.TempDir(), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": os.TempDir()}
	return func(name string) string { return env[name] }
}

func sample(t *testing.T, dir string, p project.Project) string {
	t.Helper()
	base, err := filepath.Rel(p.Root, dir)
	require.NoError(t, err)
	files, err := scaffold.Files(scaffold.Options{Project: p, Base: filepath.ToSlash(base), Dir: ".", Slipway: "1.4.0"})
	require.NoError(t, err)
	require.Equal(t, "slipway.yaml", files[0].Path)
	return files[0].Text
}

func load(t *testing.T, options project.Options, dir, text string) project.Project {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(text), 0o644))
	p, err := project.Load(t.Context(), options)
	require.NoError(t, err, text)
	return p
}

// names is what makes an app the same app.
func names(p project.Project) []string {
	var found []string
	for _, app := range p.Apps {
		found = append(found, app.Name+" "+filepath.ToSlash(filepath.Join(app.Dir, app.Main))+" "+app.ModuleDir)
	}
	return found
}

// Whatever a directory is called, slipway.yaml has it as it is.
func FuzzNamesAreQuoted(f *testing.F) {
	for _, name := range []string{"./cmd/hello", "./no", "./a: b", "./a #b", "./[x]", "./{{x}}", "./\"", "./'", "./ü", "./1", "true", "~", "- a", " a", "a\tb", "&a", "*a", "!a", "%a", "@a", "0x1", "1e3", "2026-01-01"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ToValidUTF8(name, "") != name {
			return
		}
		o := service()
		o.Project.Apps[0].Main = name
		files, err := scaffold.Files(o)
		require.NoError(t, err)
		var document struct{ Apps []struct{ Main string } }
		require.NoError(t, yaml.Unmarshal([]byte(files[0].Text), &document), files[0].Text)
		assert.Equal(t, name, document.Apps[0].Main)
	})
}
