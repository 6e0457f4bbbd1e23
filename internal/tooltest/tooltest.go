// Package tooltest builds programs of others, for tests alone: what they are to understand of ours, they are asked themselves.
package tooltest

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var major = regexp.MustCompile(`^v[0-9]+$`)

// Install builds a program from the module proxy, once for a machine, and returns its path. Large ones take minutes, on slow
// machines more than go test's own ten: -timeout 30m. What is built so far is kept.
func Install(t *testing.T, pkg, version string) string {
	t.Helper()
	name := path.Base(pkg)
	if major.MatchString(name) {
		name = path.Base(path.Dir(pkg))
	}
	if testing.Short() {
		t.Skip("builds " + name)
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "slipway-test", name+"-"+version)
	program := filepath.Join(dir, name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	build := exec.Command("go", "install", pkg+"@"+version)
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}
