package command_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

// The same commit, published from two directories by two programs, one of which believes that it is more than a year later: all
// that is made is the same, byte by byte, but for the reports.
func TestTwoClocks(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	p := newPublisher(t)
	later := filepath.Join(t.TempDir(), "elsewhere", "hello")
	p.git(t, "clone", "-q", p.dir, later)
	p.git(t, "-C", later, "remote", "remove", "origin")

	p.start(t)
	require.NoError(t, p.publish(t, 0), p.said)
	today := p.digest(t, "1.2.3")
	require.NotEmpty(t, today)

	p.start(t)
	run := exec.Command(laterSlipway(t), "publish", "-C", later, "--engine", "embedded", "--no-cache")
	run.Env = append(p.env, "GITHUB_API_URL="+p.hub.API)
	said, err := run.CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Equal(t, today, p.digest(t, "1.2.3"))
	assert.Equal(t, madeIn(t, filepath.Join(p.dir, "dist")), madeIn(t, filepath.Join(later, "dist")))
	written, err := os.ReadFile(filepath.Join(later, "dist", "reports", "run.json"))
	require.NoError(t, err)
	var told report.Run
	require.NoError(t, json.Unmarshal(written, &told))
	assert.Greater(t, time.Until(told.Started), 400*24*time.Hour, "it does believe so")
}

// laterSlipway is this program, compiled with a standard library whose clock is 500 days ahead.
func laterSlipway(t *testing.T) string {
	t.Helper()
	const tells = "\tsec, nsec, mono := runtimeNow()\n"
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	clock := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	source, err := os.ReadFile(clock)
	require.NoError(t, err)
	require.Contains(t, string(source), "func Now() Time {\n"+tells)
	dir := t.TempDir()
	changed, overlay, program := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "slipway")
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(source), "func Now() Time {\n"+tells, "func Now() Time {\n"+tells+"\tsec += 500 * 24 * 60 * 60\n", 1)), 0o644))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{clock: changed}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replace, 0o644))
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./cmd/slipway")
	build.Dir = filepath.Join("..", "..")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return program
}

// madeIn are the files in an output directory, by name, without the reports, which tell of their run.
func madeIn(t *testing.T, dist string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dist, func(name string, entry fs.DirEntry, err error) error {
		relative, _ := filepath.Rel(dist, name)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && relative == "reports":
			return fs.SkipDir
		case !entry.Type().IsRegular() || strings.HasPrefix(relative, "."):
			return nil
		}
		content, err := os.ReadFile(name)
		files[relative] = string(content)
		return err
	}))
	require.Greater(t, len(files), 6)
	return files
}
