package moduletest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/ship"
)

// patience is far more than any call takes, on a machine that does much else too.
const patience = 20 * time.Minute

// world is an engine of the test's own and the environment that "slipway engine env" gives.
type world struct {
	t       *testing.T
	slipway string // the program
	environ []string
	ca      authority
	address string // of this machine, as the engine sees it
}

// newWorld builds slipway and starts an engine that trusts the registry of the test. What was built for the user's engine is used
// again, what it has cached is not.
func newWorld(t *testing.T) world {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("it starts an engine: needs root")
	}
	w := world{t: t, slipway: filepath.Join(t.TempDir(), "slipway"), address: address(t)}
	build := exec.Command("go", "build", "-o", w.slipway, "./cmd/slipway")
	build.Dir, build.Env = repository(t), append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	cache := cacheDir(t)
	w.ca = newAuthority(t, cache)
	w.environ = append(os.Environ(), "SLIPWAY_CACHE="+cache, "SSL_CERT_FILE="+w.ca.bundle(t, cache), "NO_COLOR=1")
	began := time.Now()
	env := w.command(repository(t), w.slipway, "engine", "env")
	t.Logf("slipway engine env, the first time: %s", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { w.command(repository(t), w.slipway, "engine", "stop") })
	w.environ = exported(t, w.environ, env)
	began = time.Now()
	assert.Equal(t, env, w.command(repository(t), w.slipway, "engine", "env"))
	t.Logf("slipway engine env, again: %s", time.Since(began).Round(time.Millisecond))
	return w
}

// in is the world for a test within the test.
func (w world) in(t *testing.T) world {
	w.t = t
	return w
}

// repository is the root of this one.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

// keptCache names a directory to keep the engine's cache in from one run of the test to the next.
const keptCache = "SLIPWAY_TEST_MODULE_CACHE"

// cacheDir is a cache directory whose layers and roots are the user's.
func cacheDir(t *testing.T) string {
	t.Helper()
	users, err := ship.CacheDir(os.Getenv)
	require.NoError(t, err)
	cache := os.Getenv(keptCache)
	if cache == "" {
		require.NoError(t, os.MkdirAll(users, 0o755))
		cache, err = os.MkdirTemp(users, "test-")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, os.RemoveAll(cache)) })
	}
	require.NoError(t, os.MkdirAll(filepath.Join(cache, "engine"), 0o700))
	for _, place := range []string{"engine/layers", "rootfs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(users, place), 0o755))
		if err := os.Symlink(filepath.Join(users, place), filepath.Join(cache, place)); !os.IsExist(err) {
			require.NoError(t, err)
		}
	}
	return cache
}

// exported are the variables that a shell has after it has evaluated the text.
func exported(t *testing.T, environ []string, text string) []string {
	t.Helper()
	cmd := exec.Command("sh", "-c", `eval "$1"; env -0`, "sh", text)
	cmd.Env = environ
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// command runs a command that must end well, and returns what it printed.
func (w world) command(dir, name string, args ...string) string {
	w.t.Helper()
	out, told, err := w.try(dir, name, args...)
	require.NoError(w.t, err, "%s %s\n%s\n%s", name, strings.Join(args, " "), out, told)
	return out
}

func (w world) try(dir, name string, args ...string) (out, told string, err error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), patience) // the engine is stopped when the test is over
	defer cancel()
	cmd := exec.CommandContext(ctx, "env", append([]string{name}, args...)...) // which looks on the PATH that it is given
	cmd.Dir, cmd.Env = dir, w.environ
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err = cmd.Run()
	w.t.Logf("%s: %s %s", time.Since(began).Round(time.Millisecond), filepath.Base(name), strings.Join(args, " "))
	return stdout.String(), stderr.String(), err
}

// calls calls the module from another repository.
func (w world) calls(p project, args ...string) string {
	w.t.Helper()
	return w.command(p.dir, "dagger", w.call(args)...)
}

// refuses calls the module and expects an error. It returns what was said.
func (w world) refuses(p project, args ...string) string {
	w.t.Helper()
	out, told, err := w.try(p.dir, "dagger", w.call(args)...)
	var exit *exec.ExitError
	require.ErrorAs(w.t, err, &exit, "%s\n%s", out, told)
	return told
}

func (w world) call(args []string) []string {
	return append([]string{"call", "--progress=plain", "-m", repository(w.t)}, args...)
}
