package ship

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

func TestExitCode(t *testing.T) {
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	late, stop := context.WithTimeoutCause(t.Context(), 0, fmt.Errorf("too long: %w", context.DeadlineExceeded))
	defer stop()
	<-late.Done()
	wrapped := func(err error) error { return fmt.Errorf("run: %w", err) }
	cases := []struct {
		name string
		ctx  context.Context
		run  report.Run
		err  error
		want int
	}{
		{name: "well", want: ExitOK},
		{name: "a stage failed", run: report.Run{ExitCode: ExitFailed}, want: ExitFailed},
		{name: "configuration", err: wrapped(&project.ConfigError{}), want: ExitUsage},
		{name: "source", err: wrapped(&project.SourceError{}), want: ExitUsage},
		{name: "usage", err: wrapped(&UsageError{"x"}), want: ExitUsage},
		{name: "no engine", err: wrapped(&engine.UnavailableError{}), want: ExitNoEngine},
		{name: "lacking", err: wrapped(&LackingError{errors.New("no root")}), want: ExitNoEngine},
		{name: "anything else", err: errors.New("disk full"), want: ExitFailed},
		{name: "the engine died", err: &EngineDiedError{errors.New("EOF")}, want: ExitFailed},
		{name: "interrupted", ctx: canceled, err: context.Cause(canceled), want: ExitInterrupted},
		{name: "interrupted, whatever the error", ctx: canceled, err: &engine.UnavailableError{}, want: ExitInterrupted},
		{name: "out of time", ctx: late, err: context.Cause(late), want: ExitFailed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			assert.Equal(t, c.want, ExitCode(c.ctx, c.run, c.err))
		})
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	cause := errors.New("unexpected EOF")
	died := &EngineDiedError{cause}
	require.ErrorIs(t, died, cause)
	assert.ErrorContains(t, died, "run the same command again")
	assert.ErrorIs(t, &LackingError{cause}, cause)
}

func TestJobs(t *testing.T) {
	cases := []struct {
		cores, memory, want int
		why                 string
	}{
		{8, 64 << 10, 8, "one for each of 8 cores"},
		{8, 8 << 10, 4, "8192 MiB of memory, 2048 MiB each"},
		{8, 1 << 10, 1, "1024 MiB of memory, 2048 MiB each"},
		{8, 0, 8, "one for each of 8 cores"}, // unknown
		{1, 512, 1, "512 MiB of memory, 2048 MiB each"},
		{2, 4096, 2, "one for each of 2 cores"},
	}
	for _, c := range cases {
		assert.Equal(t, report.Parallel{Cores: c.cores, MemoryMiB: c.memory, Jobs: c.want, Why: c.why}, jobs(c.cores, c.memory))
	}
}

func targets(t *testing.T, names ...string) []target.Target {
	t.Helper()
	var list []target.Target
	for _, name := range names {
		parsed, err := target.Parse(name)
		require.NoError(t, err)
		list = append(list, parsed)
	}
	return list
}

func TestNarrow(t *testing.T) {
	fresh := func() project.Project {
		return project.Project{Apps: []project.App{
			{Name: "a", Targets: targets(t, "linux/amd64", "linux/arm64")}, {Name: "b", Targets: targets(t, "linux/amd64", "windows/amd64")},
		}}
	}
	p := fresh()
	require.NoError(t, narrow(&p, nil))
	assert.Equal(t, fresh(), p, "nothing asked for: all")

	require.NoError(t, narrow(&p, targets(t, "linux/amd64", "windows/amd64")))
	assert.Equal(t, targets(t, "linux/amd64"), p.Apps[0].Targets)
	assert.Equal(t, targets(t, "linux/amd64", "windows/amd64"), p.Apps[1].Targets)

	p = fresh()
	var usage *UsageError
	err := narrow(&p, targets(t, "linux/amd64", "darwin/arm64"))
	require.ErrorAs(t, err, &usage)
	assert.ErrorContains(t, err, "--target darwin/arm64: no app is built for it; there is linux/amd64")
}

func TestSettled(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SLIPWAY_CACHE", filepath.Join(dir, "cache"))
	o, err := Options{Source: dir}.settled()
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "dist"), o.Dist)
	assert.Equal(t, filepath.Join(dir, "cache"), o.Cache)
	assert.NotEmpty(t, o.Environ)
	assert.NotNil(t, o.Getenv)

	t.Chdir(dir)
	o, err = Options{Dist: "out", Cache: "/c"}.settled()
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(o.Source, "out"), o.Dist, "an output directory is relative to where the user is")
	assert.Equal(t, "/c", o.Cache)

	cache, err := CacheDir(func(string) string { return "" })
	require.NoError(t, err)
	assert.Equal(t, "slipway", filepath.Base(cache))
}

func shippedProject() (project.Project, project.App) {
	app := project.App{Name: "greeter", Image: project.Image{Enabled: true, User: 1234, Labels: map[string]string{"team": "ships", "org.opencontainers.image.title": "Greeter"}}}
	return project.Project{
		Name: "hello", Version: project.Version{Version: "1.2.3", Commit: "abc", Date: time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("X", 3600))},
		Source: project.Source{URL: "https://example.com/hello"}, Apps: []project.App{app},
	}, app
}

func TestLabelsAndAnnotations(t *testing.T) {
	p, app := shippedProject()
	assert.Equal(t, map[string]string{
		"org.opencontainers.image.title": "greeter", "org.opencontainers.image.version": "1.2.3", "org.opencontainers.image.revision": "abc",
		"org.opencontainers.image.created": "2026-02-03T03:05:06Z", "org.opencontainers.image.source": "https://example.com/hello",
	}, annotations(p, app))
	all := labels(p, app)
	assert.Equal(t, "ships", all["team"])
	assert.Equal(t, "Greeter", all["org.opencontainers.image.title"], "the project's own words win")
	assert.NotEmpty(t, all["org.opencontainers.image.base.name"])

	p.Source.URL, p.Version.Commit = "", ""
	assert.NotContains(t, annotations(p, app), "org.opencontainers.image.source", "what is not known is not said")
	app.Image.Base = "gcr.io/distroless/static@sha256:1"
	assert.Equal(t, app.Image.Base, labels(p, app)["org.opencontainers.image.base.name"])
}

func TestImageOptions(t *testing.T) {
	p, app := shippedProject()
	o := imageOptions(p, app)
	assert.Equal(t, "1234:1234", o.User)
	assert.Empty(t, o.ExposedPorts)
	assert.NotEmpty(t, o.Attributes, "the owners of the assembled base")
	app.Service, app.Image.Base = &project.Service{Port: 8080}, "scratch"
	o = imageOptions(p, app)
	assert.Equal(t, []string{"8080/tcp"}, o.ExposedPorts)
	assert.Empty(t, o.Attributes, "another base keeps its own")
}

func TestImagedApps(t *testing.T) {
	p, app := shippedProject()
	linux, windows := pipelines.Binary{App: app, Target: targets(t, "linux/amd64")[0]}, pipelines.Binary{App: app, Target: targets(t, "windows/amd64")[0]}
	assert.Len(t, imagedApps(p, pipelines.Built{Binaries: []pipelines.Binary{windows, linux, linux}}), 1)
	assert.Empty(t, imagedApps(p, pipelines.Built{Binaries: []pipelines.Binary{windows}}), "an image needs a linux binary")
	p.Apps[0].Image.Enabled = false
	assert.Empty(t, imagedApps(p, pipelines.Built{Binaries: []pipelines.Binary{linux}}))
}

func TestShown(t *testing.T) {
	assert.Equal(t, "dist", shown("/src", "/src/dist"))
	assert.Equal(t, "/out", shown("/src", "/out"))
	assert.Equal(t, "/srcs/dist", shown("/src", "/srcs/dist"))
	assert.Equal(t, ".", shown("/src", "/src"))
}

func TestOpening(t *testing.T) {
	p, _ := shippedProject()
	p.Version.Reason = "tag v1.2.3"
	p.Reasons = []project.Reason{{What: "version", Value: "1.2.3", Why: "tag"}, {What: "app greeter", Value: ".", Why: "the only main"}}
	run := opening(Ship, Options{Source: "/src", Dist: "/src/dist", Slipway: "9"}, p, time.Unix(1, 0))
	assert.Equal(t, []report.Fact{{What: "app greeter", Value: ".", Why: "the only main"}}, run.Inferred, "the version is shown by itself")
	assert.Equal(t, "tag v1.2.3", run.VersionWhy)
	assert.Equal(t, "dist", run.Dist)
	assert.Equal(t, "ship", run.Verb)
}

func TestWriteLists(t *testing.T) {
	p, app := shippedProject()
	d, err := openDist(filepath.Join(t.TempDir(), "dist"), "1")
	require.NoError(t, err)
	defer d.close()
	a := assembly{run: &run{project: p, dist: d, options: Options{Slipway: "9"}}}
	require.NoError(t, a.writeLists([]artifact.Artifact{
		{Name: app.Name, Path: "linux_amd64/greeter", Kind: artifact.Binary, Digest: "sha256:" + strings.Repeat("a", 64)},
		{Name: app.Name, Path: "image/greeter", Kind: artifact.Image, Digest: "sha256:" + strings.Repeat("b", 64)},
	}))
	assert.Equal(t, strings.Repeat("a", 64)+"  linux_amd64/greeter\n", text(t, filepath.Join(d.staging, "checksums.txt")), "an image is no file")
	assert.Contains(t, text(t, filepath.Join(d.staging, "artifacts.json")), `"checksums.txt"`)
	assert.Contains(t, text(t, filepath.Join(d.staging, "metadata.json")), `"slipway_version": "9"`)
}

func TestPlural(t *testing.T) {
	assert.Equal(t, "1 image", plural(1, "image"))
	assert.Equal(t, "2 images", plural(2, "image"))
	assert.Equal(t, "b", or("", "b"))
	assert.NotEqual(t, runID(time.Unix(1, 0)), runID(time.Unix(1, 1)))
}

// What cannot be run is said before anything is made.
func TestRunRefuses(t *testing.T) {
	getenv := func(string) string { return "" }
	for name, o := range map[string]Options{
		"no module":      {Source: t.TempDir()},
		"no directory":   {Source: filepath.Join(t.TempDir(), "missing")},
		"no such config": {Source: t.TempDir(), Config: "missing.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			o.Getenv, o.Cache = getenv, t.TempDir()
			run, err := Run(t.Context(), Ship, o, nil)
			require.Error(t, err)
			assert.Equal(t, ExitUsage, run.ExitCode, "%v", err)
			assert.NoDirExists(t, filepath.Join(o.Source, "dist"))
		})
	}
}
