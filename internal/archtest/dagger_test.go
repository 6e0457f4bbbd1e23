package archtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

// The Dagger module is a thin layer over ci/ship, as the command is: these are the packages of ours that it may see.
var moduleSees = []string{"ci/ship", "ci/report", "ci/report/render", "ci/target"}

// moduleFiles are the files of the Dagger module that people write.
func moduleFiles(t *testing.T) []file {
	t.Helper()
	base := root(t)
	names, err := filepath.Glob(filepath.Join(base, ".dagger", "*.go"))
	require.NoError(t, err)
	var files []file
	for _, name := range names {
		if filepath.Base(name) != "dagger.gen.go" {
			files = append(files, read(t, base, name))
		}
	}
	require.NotEmpty(t, files)
	return files
}

func TestTheDaggerModuleHasNoLogicOfItsOwn(t *testing.T) {
	for _, f := range moduleFiles(t) {
		for _, imported := range f.imports {
			first, _, _ := strings.Cut(imported, "/")
			ours, ok := strings.CutPrefix(imported, module+"/")
			switch {
			case ok:
				assert.Contains(t, moduleSees, ours, "%s imports %s: what is more than calling ci/ship belongs there, where the command has it too", f.path, imported)
			case first != "dagger":
				assert.NotContains(t, first, ".", "%s imports %s: the module needs no library that ci/ship does not hide", f.path, imported)
			}
		}
		for call := range edge {
			assert.NotContains(t, f.source, call+"(", f.path)
		}
	}
}

// The engine loads the module's go.mod as it is, and says "no packages found" when it lags behind that of the root; and it sees of
// this repository only what dagger.json includes.
func TestTheDaggerModuleIsInStep(t *testing.T) {
	base := root(t)
	const files = `{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}`
	cmd := exec.Command("go", "list", "-e", "-mod=readonly", "-deps", "-f", files, ".") // -e: what the engine generates is not here
	cmd.Dir = filepath.Join(base, ".dagger")
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n.dagger/go.mod lags behind go.mod. To mend it:\n\n  go list -C .dagger -e -mod=mod -deps . >/dev/null\n", complaint.String())
	config := moduleConfig(t)
	for line := range strings.Lines(string(out)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), base+"/")
		if strings.HasPrefix(name, ".dagger/") {
			continue
		}
		assert.True(t, !ok || strings.HasSuffix(name, "_test.go") || included(t, config.Include, name), "ci/ship is made of %s, which dagger.json does not include", name)
	}
}

// included tells whether a file goes along with the module. Patterns are directories and names.
func included(t *testing.T, patterns []string, name string) bool {
	t.Helper()
	if strings.Contains(name, "/testdata/") {
		return false
	}
	for _, pattern := range patterns {
		fits, err := path.Match(pattern, name)
		require.NoError(t, err)
		if fits || strings.HasPrefix(name, pattern+"/") {
			return true
		}
	}
	return false
}

type daggerConfig struct {
	Name, Source, EngineVersion string
	Include                     []string
}

func moduleConfig(t *testing.T) daggerConfig {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), "dagger.json"))
	require.NoError(t, err)
	var config daggerConfig
	require.NoError(t, json.Unmarshal(data, &config))
	return config
}

func TestTheDaggerModuleIsBuiltFromThisCheckout(t *testing.T) {
	base := root(t)
	data, err := os.ReadFile(filepath.Join(base, ".dagger", "go.mod"))
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", data, nil)
	require.NoError(t, err)
	above, err := os.ReadFile(filepath.Join(base, "go.mod"))
	require.NoError(t, err)
	parent, err := modfile.Parse("go.mod", above, nil)
	require.NoError(t, err)
	assert.Equal(t, parent.Go.Version, mod.Go.Version, "a module can be no older than what it requires, and the engine accepts nothing newer")
	replaced := map[string]string{}
	for _, r := range mod.Replace {
		replaced[r.Old.Path] = r.New.Path
	}
	assert.Equal(t, "..", replaced[module])

	config := moduleConfig(t)
	assert.Equal(t, "slipway", config.Name)
	assert.Equal(t, ".dagger", config.Source)
	for _, required := range parent.Require {
		if required.Mod.Path == "dagger.io/dagger" {
			assert.Equal(t, required.Mod.Version, config.EngineVersion)
		}
	}
}
