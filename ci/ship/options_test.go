package ship

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/pipelines/inbox/capacity"
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
		{name: "the engine died", err: &EngineDiedError{Cause: errors.New("EOF")}, want: ExitFailed},
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

func TestErrorsKeepTheirCause(t *testing.T) {
	cause := errors.New("unexpected EOF")
	for _, err := range []error{&EngineDiedError{Cause: cause}, &LackingError{cause}, &ReportError{cause}} {
		require.ErrorIs(t, err, cause)
		assert.ErrorContains(t, err, "unexpected EOF")
	}
}

// An error of a run is a card of its own: its first line the title, the rest below, and what to do next.
func TestTell(t *testing.T) {
	told := func(code int, err error) []report.Failure {
		r := &run{report: report.NewRecorder(report.Run{}, nil, time.Now)}
		r.tell(code, err)
		return r.report.Finish(code).Failures
	}
	assert.Empty(t, told(ExitInterrupted, errors.New("interrupted")), "an interrupt needs no explanation")
	died := told(ExitFailed, &EngineDiedError{Cause: errors.New("unexpected EOF")})
	require.Len(t, died, 1)
	assert.Equal(t, "the engine is gone", died[0].Title)
	assert.Equal(t, []string{"unexpected EOF"}, died[0].Tail)
	assert.Contains(t, died[0].Next, "run the same command again")
	none := told(ExitNoEngine, &engine.UnavailableError{Attempts: []engine.Attempt{{Kind: engine.Runtime, Cause: "none", Fix: "install one"}}})
	assert.Equal(t, "no engine to build with", none[0].Title)
	assert.Equal(t, "engine", none[0].Stage)
	assert.Contains(t, strings.Join(none[0].Tail, "\n"), "fix: install one")
	assert.Contains(t, none[0].Next, "slipway doctor")
}

func TestJobs(t *testing.T) {
	cases := []struct {
		cores, memory, want int
		why                 string
	}{
		{8, 64 << 10, 8, "one for each of 8 cores"},
		{8, 8 << 10, 4, "8192 MiB of memory (the machine), 2048 MiB each"},
		{8, 1 << 10, 1, "1024 MiB of memory (the machine), 2048 MiB each"},
		{8, 0, 8, "one for each of 8 cores"}, // unknown
		{1, 512, 1, "512 MiB of memory (the machine), 2048 MiB each"},
		{2, 4096, 2, "one for each of 2 cores"},
	}
	for _, c := range cases {
		assert.Equal(t, report.Parallel{Cores: c.cores, MemoryMiB: c.memory, Jobs: c.want, Why: c.why}, jobs(capacity.Capacity{Cores: c.cores, MemoryMiB: c.memory, Limit: "the machine"}))
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
	assert.Equal(t, "b", cmp.Or("", "b"))
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

// isolated leaves only git and a go command that takes its time on PATH, so that nothing is fetched.
func isolated(t *testing.T) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("it needs git and a shell")
	}
	bin := t.TempDir()
	require.NoError(t, os.Symlink(git, filepath.Join(bin, "git")))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\nexec /bin/sleep 60\n"), 0o755))
	t.Setenv("PATH", bin)
}

// An engine that cannot be had: exit code 3, a card, a report, and nothing half-written.
func TestRunWithoutAnEngine(t *testing.T) {
	isolated(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "go.mod"), "module example.com/x\n\ngo 1.25\n")
	put(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {}\n")
	o := Options{Source: dir, Engine: "tcp://127.0.0.1:1", Cache: t.TempDir(), Getenv: func(string) string { return "" }}
	run, err := Run(t.Context(), Build, o, nil)
	var unavailable *engine.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	assert.Equal(t, ExitNoEngine, run.ExitCode)
	require.Len(t, run.Failures, 1)
	assert.Equal(t, "no engine to build with", run.Failures[0].Title)
	assert.Equal(t, []string{".slipway", "reports"}, entries(t, filepath.Join(dir, "dist")))
	var stored report.Run
	require.NoError(t, json.Unmarshal([]byte(text(t, filepath.Join(dir, "dist", "reports", "run.json"))), &stored))
	assert.Equal(t, run.Failures, stored.Failures)
	assert.Equal(t, ExitNoEngine, stored.ExitCode)

	report := filepath.Join(dir, "dist", "reports", "run.json")
	require.NoError(t, os.Remove(report))
	put(t, filepath.Join(report, "in the way"), "")
	run, err = Run(t.Context(), Build, o, nil)
	var unwritten *ReportError
	require.ErrorAs(t, err, &unwritten, "a report that cannot be written is told")
	assert.Equal(t, ExitNoEngine, run.ExitCode)
}

// Docker Hub is asked for its credential under its own name, however it is written.
func TestLoginsAreKeptUnderTheNameThatIsAskedFor(t *testing.T) {
	p := project.Project{Version: project.Version{Version: "1.2.3", Commit: "0123456789abcdef"}, Apps: []project.App{
		{Name: "a", Image: project.Image{Enabled: true, Repository: "docker.io/team/a"}},
		{Name: "b", Image: project.Image{Enabled: true, Repository: "registry.example.org:5000/team/b"}},
	}}
	images, err := outboundImages(p)
	require.NoError(t, err)
	assert.Equal(t, "index.docker.io", images[0].host)
	assert.Equal(t, "registry.example.org:5000", images[1].host)
}
