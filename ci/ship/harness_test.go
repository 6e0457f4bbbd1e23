package ship_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// The embedded engine runs copies of this program.
func TestMain(m *testing.M) {
	if handled, code := embedded.Main(os.Args[1:]); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// atOnce limits how many runs share the engine: more would only wait for each other's processors.
var atOnce = make(chan struct{}, 2)

// needsEngine skips a test of the engine layer under -short and lets it run beside others.
func needsEngine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	t.Parallel()
}

// module is a copy of a fixture in a git repository of its own.
type module struct {
	t   *testing.T
	dir string
}

// newModule unpacks testdata/NAME.txtar, writes other files over it and commits all of it, at a fixed time.
func newModule(t *testing.T, name string, over map[string]string) module {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	require.NoError(t, err)
	m := module{t, filepath.Join(t.TempDir(), name)}
	for _, file := range archive.Files {
		m.write(file.Name, string(file.Data))
	}
	for name, text := range over {
		m.write(name, text)
	}
	m.git("init", "-q", "-b", "main")
	m.commit()
	m.git("tag", "v1.2.3")
	return m
}

func (m module) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, filepath.FromSlash(name))
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte(text), 0o644))
}

func (m module) replace(name, old, with string) {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.dir, name))
	require.NoError(m.t, err)
	require.Contains(m.t, string(data), old)
	m.write(name, strings.Replace(string(data), old, with, 1))
}

func (m module) commit() {
	m.t.Helper()
	m.git("add", ".")
	m.git("commit", "-q", "-m", "all of it")
}

func (m module) git(args ...string) string {
	m.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-02-03T04:05:06Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-02-03T04:05:06Z")
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (m module) dist(elements ...string) string {
	return filepath.Join(append([]string{m.dir, "dist"}, elements...)...)
}

func (m module) read(elements ...string) string {
	m.t.Helper()
	data, err := os.ReadFile(m.dist(elements...))
	require.NoError(m.t, err)
	return string(data)
}

// options of a run on the engine that the tests were told to use, else on an engine of our own. What is not looked at
// by most tests is left out.
func (m module) options() ship.Options {
	getenv := func(name string) string {
		if name == "GOVULNDB" {
			return "http://127.0.0.1:1" // nobody answers: no test depends on what is known about the standard library today
		}
		return os.Getenv(name)
	}
	engine := os.Getenv("SLIPWAY_TEST_ENGINE")
	if engine == "" {
		engine = "embedded"
	}
	return ship.Options{Source: m.dir, Engine: engine, Skip: []string{"staticcheck"}, Getenv: getenv, Slipway: "test"}
}

// ship runs a verb and returns the report, which must agree with the one on the disk.
func (m module) run(ctx context.Context, verb ship.Verb, options ship.Options, observer report.Observer) (report.Run, error) {
	m.t.Helper()
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	run, err := ship.Run(ctx, verb, options, observer)
	if m.t.Failed() || testing.Verbose() {
		m.t.Logf("%s: exit code %d, %s, error %v\n%s", verb, run.ExitCode, run.Duration, err, outline(run))
	}
	return run, err
}

// ships runs a verb that must end well.
func (m module) ships(verb ship.Verb, change ...func(*ship.Options)) report.Run {
	m.t.Helper()
	options := m.options()
	for _, c := range change {
		c(&options)
	}
	run, err := m.run(m.t.Context(), verb, options, nil)
	require.NoError(m.t, err, outline(run))
	require.Equal(m.t, ship.ExitOK, run.ExitCode, outline(run))
	return run
}

// fails runs a verb that must end with exit code 1 because of the project.
func (m module) fails(verb ship.Verb, change ...func(*ship.Options)) report.Run {
	m.t.Helper()
	options := m.options()
	for _, c := range change {
		c(&options)
	}
	run, err := m.run(m.t.Context(), verb, options, nil)
	require.NoError(m.t, err, outline(run))
	require.Equal(m.t, ship.ExitFailed, run.ExitCode, outline(run))
	return run
}

// outline is a run as a few lines for people who read a failed test.
func outline(run report.Run) string {
	var b strings.Builder
	for _, stage := range run.Stages {
		fmt.Fprintf(&b, "%s: %s %s\n", stage.Name, stage.Status, stage.Summary)
		for _, step := range stage.Steps {
			fmt.Fprintf(&b, "  %s: %s %s (%s, saved %s)\n", step.Title(), step.Status, step.Summary, step.Duration, step.Saved)
		}
	}
	for _, f := range run.Failures {
		fmt.Fprintf(&b, "FAILED %s %s: %s\n  %v\n  %s\n", f.Stage, f.Step, f.Title, f.Findings, strings.Join(f.Tail, "\n  "))
	}
	return b.String()
}

// steps lists the status of each step of a stage by its title.
func steps(run report.Run, stage string) map[string]report.Status {
	all := map[string]report.Status{}
	for _, s := range run.Stages {
		for _, step := range s.Steps {
			if s.Name == stage {
				all[step.Title()] = step.Status
			}
		}
	}
	return all
}

// listing names every file and directory below dir, directories with a slash. The content of image layouts is left out: their
// names are digests.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			name += "/"
		}
		names = append(names, name)
		if strings.HasSuffix(name, "/blobs/") {
			return fs.SkipDir
		}
		return nil
	})
	require.NoError(t, err)
	return names
}

// hashes is the content of every file below dir.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		sum := sha256.Sum256(data)
		sums[filepath.ToSlash(name)] = hex.EncodeToString(sum[:])
		return err
	})
	require.NoError(t, err)
	return sums
}

// sessions counts the processes that were started with a word in their environment.
func sessions(t *testing.T, word string) int {
	t.Helper()
	found := 0
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, entry := range entries {
		environ, err := os.ReadFile("/proc/" + entry.Name() + "/environ")
		if err == nil && strings.Contains(string(environ), word) {
			found++
		}
	}
	return found
}
