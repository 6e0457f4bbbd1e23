package ship_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// smallDisk is a cache on a disk of its own, of a few gigabytes, with an engine that belongs to the test.
type smallDisk struct {
	t   *testing.T
	dir string
}

func newSmallDisk(t *testing.T, size string) smallDisk {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("it mounts a disk: needs root")
	}
	users, err := ship.CacheDir(os.Getenv)
	require.NoError(t, err)
	work, err := os.MkdirTemp(users, "test-")
	require.NoError(t, err)
	d := smallDisk{t, filepath.Join(work, "disk")}
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(work)) })
	image := filepath.Join(work, "image")
	d.sh("mkdir -p %[1]s %[3]s/engine/layers %[3]s/rootfs && truncate -s %[4]s %[2]s && mkfs.ext4 -q -m 0 -O ^has_journal %[2]s", d.dir, image, users, size)
	if out, err := exec.Command("mount", "-o", "loop", image, d.dir).CombinedOutput(); err != nil {
		t.Skipf("no loop devices here: %s", out)
	}
	t.Cleanup(func() {
		assert.NoError(t, embedded.Stop(context.Background(), embedded.Options{Cache: d.dir}))
		d.unmount()
	})
	d.sh("mkdir -p %[1]s/engine && ln -s %[2]s/engine/layers %[1]s/engine/layers && ln -s %[2]s/rootfs %[1]s/rootfs", d.dir, users)
	return d
}

// unmount waits until the kernel lets go of the disk: what the stopped engine and its session had open is closed soon after them.
func (d smallDisk) unmount() {
	d.t.Helper()
	if !assert.Eventually(d.t, func() bool { return exec.Command("umount", d.dir).Run() == nil }, 30*time.Second, 200*time.Millisecond) {
		d.sh("umount -l %s", d.dir)
	}
}

func (d smallDisk) sh(format string, args ...any) {
	d.t.Helper()
	out, err := exec.Command("sh", "-ec", fmt.Sprintf(format, args...)).CombinedOutput()
	require.NoError(d.t, err, string(out))
}

func (d smallDisk) options() embedded.Options {
	return ship.EmbeddedOptions(d.dir, os.Getenv, func(text string) { d.t.Log(text) })
}

// fill leaves so many megabytes free.
func (d smallDisk) fill(left int64) {
	d.t.Helper()
	have, err := embedded.FreeSpace(d.dir)
	require.NoError(d.t, err)
	size := have - left<<20
	if size <= 0 {
		return
	}
	file, err := os.OpenFile(filepath.Join(d.dir, "filler"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(d.t, err)
	defer file.Close()
	info, err := file.Stat()
	require.NoError(d.t, err)
	err = syscall.Fallocate(int(file.Fd()), 0, info.Size(), size)
	require.True(d.t, err == nil || errors.Is(err, syscall.ENOSPC), "%v", err)
}

func (d smallDisk) empty() {
	d.t.Helper()
	require.NoError(d.t, os.RemoveAll(filepath.Join(d.dir, "filler")))
}

// junk puts so many megabytes into the engine's cache that nobody will ask for again.
func (d smallDisk) junk(megabytes int64) {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "junk")
	require.NoError(d.t, os.WriteFile(file, []byte(time.Now().String()), 0o600))
	require.NoError(d.t, os.Truncate(file, megabytes<<20))
	endpoint, err := embedded.Ensure(d.t.Context(), d.options())
	require.NoError(d.t, err)
	d.t.Setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", endpoint.Address)
	d.t.Setenv("_EXPERIMENTAL_DAGGER_CLI_BIN", endpoint.CLI)
	client, err := dagger.Connect(d.t.Context())
	require.NoError(d.t, err)
	defer client.Close()
	_, err = client.Host().File(file).Sync(d.t.Context())
	require.NoError(d.t, err)
	require.NoError(d.t, os.Unsetenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST"))
}

// builds runs a build on the disk's engine.
func (d smallDisk) builds(m module, observer report.Observer) report.Run {
	d.t.Helper()
	options := m.options()
	options.Engine, options.Cache = "embedded", d.dir
	run, _ := m.run(d.t.Context(), ship.Build, options, observer) // the report has its error
	return run
}

// E3: a disk that is full in the middle is said in one line, the engine's cache is emptied once, and the run goes on.
func TestDiskFullInABuild(t *testing.T) {
	d := newSmallDisk(t, "5G")
	m := newModule(t, "tool", nil)
	require.Zero(t, d.builds(m, nil).ExitCode)
	injections := 1
	if text := os.Getenv("SLIPWAY_SOAK_DISKS"); text != "" {
		var err error
		injections, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	var table strings.Builder
	table.WriteString("| # | left free | full before | said | exit code | free again | next run |\n|---|---|---|---|---|---|---|\n")
	for i := range injections {
		d.empty()
		d.junk(700)
		m.write("salt.go", fmt.Sprintf("package main\n\nconst salt = \"%d %d\"\n", i, time.Now().UnixNano()))
		m.write("main.go", "package main\n\nfunc main() { println(salt) }\n")
		left := rand.Int64N(12)
		full := []string{"the run", "the build"}[i%2]
		var observer report.Observer
		if full == "the run" {
			d.fill(left)
		} else {
			var once sync.Once // the build begins again when there is room
			observer = report.ObserverFunc(func(e report.Event) {
				if stage, ok := e.(report.StageStarted); ok && stage.Stage == "build" {
					once.Do(func() { d.fill(left) })
				}
			})
		}
		run := d.builds(m, observer)
		said := strings.Join(run.Warnings, "; ")
		assert.Contains(t, said, "disk full: need ", outline(run))
		assert.Contains(t, said, "MB at "+d.dir)
		assert.Zero(t, run.ExitCode, outline(run))
		have, err := embedded.FreeSpace(d.dir)
		require.NoError(t, err)
		figures, _, _ := strings.Cut(said, " at ")
		next := d.builds(m, nil)
		assert.Zero(t, next.ExitCode, outline(next))
		fmt.Fprintf(&table, "| %d | %d MB | %s | %s | %d | %d MB | %d |\n", i+1, left, full, figures, run.ExitCode, have>>20, next.ExitCode)
		if dir := os.Getenv("SLIPWAY_SOAK_TABLES"); dir != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "disk.md"), []byte(table.String()), 0o644))
		}
	}
	t.Log("\n" + table.String())
}

// E3: where emptying the cache does not help, or is not enough to start, the card says what is needed and where.
func TestDiskFullForGood(t *testing.T) {
	d := newSmallDisk(t, "2G")
	m := newModule(t, "tool", nil)
	_, err := embedded.Ensure(t.Context(), d.options())
	require.NoError(t, err)
	d.fill(8)
	run := d.builds(m, nil)
	assert.NotZero(t, run.ExitCode)
	require.Len(t, run.Failures, 1, outline(run))
	assert.Contains(t, run.Failures[0].Title, "disk full: ")
	assert.Contains(t, run.Failures[0].Title, " MB at "+d.dir)
	assert.Contains(t, run.Failures[0].Next, "SLIPWAY_CACHE")

	require.NoError(t, embedded.Stop(t.Context(), d.options()))
	start := d.builds(m, nil)
	assert.Equal(t, ship.ExitNoEngine, start.ExitCode, outline(start))
	assert.Contains(t, start.Failures[0].Title, "disk full: ")
	d.empty()
	assert.Zero(t, d.builds(m, nil).ExitCode)
}

// E3: minutes of building are not begun where there is no room for the result.
func TestDiskTooSmallToBuildTheEngine(t *testing.T) {
	if testing.Short() || os.Geteuid() != 0 {
		t.Skip("it mounts a disk: needs root, and is not for -short")
	}
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("none", dir, "tmpfs", 0, "size="+strconv.Itoa(100<<20)))
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, 0)) })
	_, err := embedded.Ensure(t.Context(), ship.EmbeddedOptions(filepath.Join(dir, "cache"), os.Getenv, func(string) {}))
	var full *embedded.DiskFullError
	require.ErrorAs(t, err, &full)
	assert.EqualValues(t, 3<<30, full.Need, "layers and a first cache")
	assert.ErrorContains(t, err, "have 100 MB at "+dir)
}
