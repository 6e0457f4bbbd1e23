package scaffold_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/scaffold"
)

func plan(t *testing.T, dir string, force bool, files ...scaffold.File) []scaffold.Change {
	t.Helper()
	changes, err := scaffold.Plan(os.DirFS(dir), files, force)
	require.NoError(t, err)
	return changes
}

func TestPlan(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"same": "a\n", "differs": "one\ntwo\n", ".gitignore": "/bin/"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	files := []scaffold.File{
		{Path: "deep/down/new", Text: "new\n"}, {Path: "same", Text: "a\n"}, {Path: "differs", Text: "one\n2\n"}, {Path: ".gitignore", Lines: []string{"/dist/"}},
	}
	changes := plan(t, dir, false, files...)
	var states []scaffold.State
	for _, c := range changes {
		states = append(states, c.State)
	}
	assert.Equal(t, []scaffold.State{scaffold.New, scaffold.Same, scaffold.Kept, scaffold.Added}, states)
	assert.Contains(t, changes[2].Diff, "--- differs\n+++ differs as slipway init writes it\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n")

	require.NoError(t, scaffold.Write(dir, changes))
	assert.Equal(t, "new\n", content(t, dir, "deep/down/new"))
	assert.Equal(t, "one\ntwo\n", content(t, dir, "differs"), "it is not overwritten")
	assert.Equal(t, "/bin/\n/dist/\n", content(t, dir, ".gitignore"))

	changes = plan(t, dir, true, files...)
	assert.Equal(t, scaffold.Replaced, changes[2].State)
	assert.Equal(t, scaffold.Same, changes[3].State)
	require.NoError(t, scaffold.Write(dir, changes))
	assert.Equal(t, "one\n2\n", content(t, dir, "differs"))
	info, err := os.Stat(filepath.Join(dir, "differs"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := filepath.Glob(filepath.Join(dir, "*.slipway-init"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestDistIsIgnoredOnce(t *testing.T) {
	for _, line := range []string{"dist", "dist/", "/dist", "/dist/", "  /dist/  "} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("bin\n"+line+"\n"), 0o644))
		assert.Equal(t, scaffold.Same, plan(t, dir, false, scaffold.File{Path: ".gitignore", Lines: []string{"/dist/"}})[0].State, line)
	}
}

// A link is not followed, neither to read nor to write.
func TestLinksAreRefused(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(elsewhere, []byte("precious\n"), 0o644))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "Makefile")))
	_, err := scaffold.Plan(os.DirFS(dir), []scaffold.File{{Path: "Makefile", Text: "x"}}, true)
	assert.EqualError(t, err, "Makefile is no regular file: move it away, or write it by hand")

	require.NoError(t, os.Symlink(filepath.Dir(elsewhere), filepath.Join(dir, ".github")))
	changes := []scaffold.Change{{Path: ".github/dependabot.yml", State: scaffold.New}}
	assert.Error(t, scaffold.Write(dir, changes))
	assert.NoFileExists(t, filepath.Join(filepath.Dir(elsewhere), "dependabot.yml"))
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(data)
}
