package hook_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/hook"
)

func (r repository) place() hook.Place {
	r.t.Helper()
	p, err := hook.Find(r.t.Context(), r.git())
	require.NoError(r.t, err)
	return p
}

var script = hook.Script{Program: "/opt/a b/slipway", Args: []string{"-C", "it's here"}}

func TestInstallAndUninstall(t *testing.T) {
	r := newRepository(t)
	p := r.place()
	assert.Equal(t, filepath.Join(r.dir, ".git", "hooks", "pre-push"), p.File)
	require.NoError(t, os.RemoveAll(filepath.Dir(p.File))) // a template may have none

	written, err := hook.Install(p, script)
	require.NoError(t, err)
	assert.True(t, written)
	info, err := os.Stat(p.File)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode().Perm())

	written, err = hook.Install(p, script)
	require.NoError(t, err)
	assert.False(t, written, "it is there already")
	written, err = hook.Install(p, hook.Script{Program: "/elsewhere/slipway", Args: script.Args})
	require.NoError(t, err)
	assert.True(t, written, "one of ours is renewed")
	_, err = hook.Install(p, hook.Script{Program: "/elsewhere/slipway", Args: []string{"-C", "another"}})
	require.ErrorContains(t, err, "verifies another project of this repository")

	removed, err := hook.Uninstall(p)
	require.NoError(t, err)
	assert.True(t, removed)
	removed, err = hook.Uninstall(p)
	require.NoError(t, err)
	assert.False(t, removed)
	entries, err := os.ReadDir(filepath.Dir(p.File))
	require.NoError(t, err)
	assert.Empty(t, entries, "nothing is left")
}

// What is not ours is neither replaced nor removed, and what to do is said.
func TestSomebodysHookStays(t *testing.T) {
	for name, plant := range map[string]func(p hook.Place){
		"a script": func(p hook.Place) {
			require.NoError(t, os.WriteFile(p.File, []byte("#!/bin/sh\nmake test\n"), 0o755))
		},
		"an empty file": func(p hook.Place) { require.NoError(t, os.WriteFile(p.File, nil, 0o755)) },
		"a link":        func(p hook.Place) { require.NoError(t, os.Symlink("../../hooks/pre-push", p.File)) },
		"a directory":   func(p hook.Place) { require.NoError(t, os.Mkdir(p.File, 0o755)) },
		"ours, changed": func(p hook.Place) {
			require.NoError(t, os.WriteFile(p.File, []byte(strings.Replace(script.Text(), "exec", "date; exec", 1)), 0o755))
		},
		"ours, and more": func(p hook.Place) {
			require.NoError(t, os.WriteFile(p.File, []byte(script.Text()+"make test\n"), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newRepository(t).place()
			require.NoError(t, os.MkdirAll(filepath.Dir(p.File), 0o755))
			plant(p)
			before, err := os.Lstat(p.File)
			require.NoError(t, err)

			var refused *hook.RefusedError
			_, err = hook.Install(p, script)
			require.ErrorAs(t, err, &refused)
			if !strings.HasPrefix(name, "ours") {
				assert.Contains(t, err.Error(), `add this line to it: slipway hook run -C 'it'\''s here' -- "$@" || exit 1`)
			}
			_, err = hook.Uninstall(p)
			require.ErrorAs(t, err, &refused)

			after, err := os.Lstat(p.File)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()))
		})
	}
}

func TestHooksPath(t *testing.T) {
	r := newRepository(t)
	r.must("config", "core.hooksPath", ".githooks")
	r.write("sub/x", "")
	below := r
	below.dir = filepath.Join(r.dir, "sub")
	for _, from := range []repository{r, below} {
		assert.Equal(t, hook.Place{File: filepath.Join(r.dir, ".githooks", "pre-push"), InTree: true}, from.place())
	}
	_, err := hook.Install(r.place(), script)
	require.NoError(t, err)
	data, err := os.ReadFile(r.place().File)
	require.NoError(t, err)
	assert.NotContains(t, string(data), "/opt", "it goes to others, who have slipway elsewhere")

	elsewhere := t.TempDir()
	r.must("config", "core.hooksPath", elsewhere)
	assert.Equal(t, hook.Place{File: filepath.Join(elsewhere, "pre-push")}, r.place())

	r.must("config", "--unset", "core.hooksPath")
	r.must("config", "--global", "core.hooksPath", elsewhere)
	assert.Equal(t, hook.Place{File: filepath.Join(elsewhere, "pre-push"), Shared: true}, r.place())
	_, err = hook.Install(r.place(), script)
	assert.ErrorContains(t, err, "would run for all repositories of this user")
	assert.NoFileExists(t, filepath.Join(elsewhere, "pre-push"))
}

func TestWorkTreesShareTheHook(t *testing.T) {
	r := newRepository(t)
	other := r
	other.dir = filepath.Join(filepath.Dir(r.dir), "other")
	r.must("worktree", "add", "-q", other.dir)
	assert.Equal(t, r.place(), other.place())
}

func TestNoRepository(t *testing.T) {
	r := newRepository(t)
	r.env["GIT_CEILING_DIRECTORIES"] = filepath.Dir(r.dir)
	require.NoError(t, os.RemoveAll(filepath.Join(r.dir, ".git")))
	_, err := hook.Find(t.Context(), r.git())
	var refused *hook.RefusedError
	assert.ErrorAs(t, err, &refused)
	assert.ErrorContains(t, err, "git init")
}

// The script finds slipway, hands on what git gives it, and says how to go on where there is none.
func TestScriptRuns(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	program := filepath.Join(dir, "it's slipway")
	text := hook.Script{Program: program, Args: script.Args}.Text()
	run := func() (string, error) {
		cmd := exec.Command("/bin/sh", "-c", text, "pre-push", "origin", "a b")
		cmd.Env, cmd.Stdin = []string{"PATH=" + bin + ":/usr/bin:/bin"}, strings.NewReader("refs\n")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run()
	require.Error(t, err)
	assert.Contains(t, out, "git push --no-verify")

	const echo = "#!/bin/sh\nprintf '%s|' \"${0##*/}\" \"$@\"\ncat\nexit 7\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "slipway"), []byte(echo), 0o755))
	out, err = run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 7, exit.ExitCode())
	assert.Equal(t, "slipway|hook|run|-C|it's here|--|origin|a b|refs\n", out)

	require.NoError(t, os.WriteFile(program, []byte(echo), 0o755))
	out, _ = run()
	assert.Contains(t, out, "it's slipway|hook|run|", "the one that installed it comes first")
}
