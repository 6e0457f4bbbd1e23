package slipway

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "pack proxy/ anew")

// The program builds what lies in proxy/: "go test . -update" packs it after a change.
func TestProxySource(t *testing.T) {
	archive := txtar.Archive{Comment: []byte("proxy/, packed by: go test . -update\n")}
	for _, name := range sourceFiles(t, "proxy") {
		data, err := os.ReadFile(filepath.Join("proxy", name))
		require.NoError(t, err)
		require.NotContains(t, "\n"+string(data), "\n-- ", "%s: a line would be taken for the beginning of a file", name)
		require.True(t, strings.HasSuffix(string(data), "\n"), name)
		archive.Files = append(archive.Files, txtar.File{Name: filepath.ToSlash(name), Data: data})
	}
	if *update {
		require.NoError(t, os.WriteFile("ci/rollout/host/proxy.txtar", txtar.Format(&archive), 0o644))
		proxySource = txtar.Format(&archive)
	}
	assert.Equal(t, string(txtar.Format(&archive)), string(proxySource), "proxy/ was changed: go test . -update")
	files := ProxySource()
	assert.Contains(t, files, "main.go")
	assert.Contains(t, files, "go.sum")
	assert.Len(t, files, len(archive.Files))
}

// sourceFiles are the files of a module that its build reads.
func sourceFiles(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return fs.SkipDir
		}
		name, err := filepath.Rel(dir, path)
		if source := strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"); source || name == "go.mod" || name == "go.sum" {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// The helper is made of the packages that are named, and of nothing that another module has.
func TestHelperSource(t *testing.T) {
	files, err := HelperSource()
	require.NoError(t, err)
	assert.Contains(t, files, "ci/rollout/host/helper/main_linux.go")
	assert.Contains(t, files, "ci/rollout/host/protocol/protocol.go")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		assert.NotContains(t, name, "_test.go")
		for line := range strings.Lines(files[name]) {
			imported, ok := strings.CutPrefix(strings.TrimSpace(line), `"github.com/`)
			dir := strings.TrimSuffix(strings.TrimPrefix(imported, "slipway-ci/slipway/"), `"`)
			assert.True(t, !ok || slices.Contains(helperDirs, dir), "%s imports %s", name, line)
		}
	}
}
