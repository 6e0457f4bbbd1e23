package command_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/faults.md names tests that are there.
func TestFaultsNamesTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository, "docs", "faults.md"))
	require.NoError(t, err)
	listed := regexp.MustCompile("`([a-z/0-9]+)`: ((?:Test[A-Za-z0-9_]+(?:, )?)+)").FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(listed), 20)
	sources := map[string]string{}
	for _, match := range listed {
		dir := match[1]
		if sources[dir] == "" {
			sources[dir] = testsOf(t, dir)
		}
		for name := range strings.SplitSeq(match[2], ", ") {
			assert.Contains(t, sources[dir], "func "+name+"(", dir)
		}
	}
}

// testsOf is the source of a package's tests.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, filepath.FromSlash(dir), "*_test.go"))
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(data)
	}
	return all.String()
}
