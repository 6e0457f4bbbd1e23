package ship_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"debug/pe"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestShipMakesWhatItPromises(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "service", nil)
	m.replace("slipway.yaml", "linux/arm64]", "linux/arm64, windows/amd64]")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	run := m.ships(ship.Ship, func(o *ship.Options) { o.Skip = nil })

	golden(t, "dist", strings.Join(listing(t, m.dist()), "\n")+"\n")
	checkSums(t, m)
	checkDocuments(t, m, run)
	checkPrograms(t, m)
	checkArchives(t, m)
	checkImage(t, m)
	assert.Empty(t, run.Failures)
	for title, status := range steps(run, "verify") {
		assert.Contains(t, []report.Status{report.OK, report.Cached, report.NotChecked}, status, title)
	}
}

// checkSums does what sha256sum -c does in the output directory.
func checkSums(t *testing.T, m module) {
	t.Helper()
	content := hashes(t, m.dist())
	lines := strings.Split(strings.TrimSpace(m.read("checksums.txt")), "\n")
	assert.Len(t, lines, 6, "three binaries and three archives")
	for _, line := range lines {
		sum, name, ok := strings.Cut(line, "  ")
		require.True(t, ok, line)
		assert.Equal(t, content[name], sum, name)
	}
}

func checkDocuments(t *testing.T, m module, run report.Run) {
	t.Helper()
	var artifacts []artifact.Artifact
	require.NoError(t, json.Unmarshal([]byte(m.read("artifacts.json")), &artifacts))
	kinds := map[artifact.Kind]int{}
	content := hashes(t, m.dist())
	for _, a := range artifacts {
		kinds[a.Kind]++
		if a.Kind != artifact.Image {
			assert.Equal(t, "sha256:"+content[a.Path], a.Digest, a.Path)
		}
	}
	assert.Equal(t, map[artifact.Kind]int{artifact.Binary: 3, artifact.Archive: 3, artifact.Image: 1, artifact.Checksums: 1}, kinds)

	var metadata artifact.Metadata
	require.NoError(t, json.Unmarshal([]byte(m.read("metadata.json")), &metadata))
	assert.Equal(t, artifact.Metadata{
		Project: "hello", Version: "1.2.3", Tag: "v1.2.3", Commit: m.git("rev-parse", "HEAD"),
		Date: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), GoVersion: ship.PinnedGo, SlipwayVersion: "test",
	}, metadata)

	var stored report.Run
	require.NoError(t, json.Unmarshal([]byte(m.read("reports", "run.json")), &stored))
	assert.Equal(t, 1, stored.Schema)
	assert.Equal(t, 0, stored.ExitCode)
	assert.Equal(t, run.Artifacts, stored.Artifacts)
	assert.Len(t, stored.Stages, 6)
	assert.Contains(t, m.read("reports", "junit.xml"), `name="TestText"`)
	assert.Contains(t, m.read("reports", "coverage.out"), "example.com/hello/greet/greet.go:")
	assert.Contains(t, m.read("reports", "coverage.html"), "hello, ")
	assert.JSONEq(t, `{"checked": false, "why": "the vulnerability database cannot be reached", "findings": []}`, m.read("reports", "vuln.json"))
}

func checkPrograms(t *testing.T, m module) {
	t.Helper()
	for dir, machine := range map[string]elf.Machine{"linux_amd64": elf.EM_X86_64, "linux_arm64": elf.EM_AARCH64} {
		program, err := elf.Open(m.dist(dir, "hello"))
		require.NoError(t, err)
		assert.Equal(t, machine, program.Machine)
		assert.Nil(t, program.Section(".symtab"), "%s is stripped", dir)
		assert.Nil(t, program.Section(".interp"), "%s is static", dir)
		require.NoError(t, program.Close())
	}
	program, err := pe.Open(m.dist("windows_amd64", "hello.exe"))
	require.NoError(t, err)
	assert.EqualValues(t, pe.IMAGE_FILE_MACHINE_AMD64, program.Machine)
	require.NoError(t, program.Close())

	if runtime.GOOS == "linux" {
		out, err := exec.Command(m.dist("linux_"+runtime.GOARCH, "hello"), "version").Output()
		require.NoError(t, err)
		assert.Equal(t, "1.2.3 "+m.git("rev-parse", "HEAD")+"\n", string(out))
	}
}

func checkArchives(t *testing.T, m module) {
	t.Helper()
	zipped, err := gzip.NewReader(strings.NewReader(m.read("hello_1.2.3_linux_amd64.tar.gz")))
	require.NoError(t, err)
	found := map[string]int64{}
	for r := tar.NewReader(zipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		found[header.Name] = header.Mode
		assert.Equal(t, time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), header.ModTime.UTC(), "the commit's time")
		if header.Name == "hello" {
			data, err := io.ReadAll(r)
			require.NoError(t, err)
			assert.Equal(t, m.read("linux_amd64", "hello"), string(data))
		}
	}
	assert.Equal(t, map[string]int64{"hello": 0o755, "LICENSE": 0o644, "README.md": 0o644}, found)

	data := m.read("hello_1.2.3_windows_amd64.zip")
	other, err := zip.NewReader(strings.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	var names []string
	for _, f := range other.File {
		names = append(names, f.Name)
	}
	assert.ElementsMatch(t, []string{"hello.exe", "LICENSE", "README.md"}, names)
}

func checkImage(t *testing.T, m module) {
	t.Helper()
	index, err := oci.ReadLayout(m.dist("image", "hello"))
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, "1.2.3", manifest.Annotations["org.opencontainers.image.version"])
	var platforms []string
	for _, d := range manifest.Manifests {
		platforms = append(platforms, d.Platform.String())
		image, err := index.Image(d.Digest)
		require.NoError(t, err)
		checkConfig(t, m, image)
	}
	assert.ElementsMatch(t, []string{"linux/amd64", "linux/arm64"}, platforms)
}

func checkConfig(t *testing.T, m module, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "65532:65532", config.Config.User)
	assert.Equal(t, []string{"/app"}, config.Config.Entrypoint)
	assert.Contains(t, config.Config.ExposedPorts, "8080/tcp")
	assert.Equal(t, time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), config.Created.UTC())
	labels := config.Config.Labels
	assert.Equal(t, "hello", labels["org.opencontainers.image.title"])
	assert.Equal(t, "1.2.3", labels["org.opencontainers.image.version"])
	assert.Equal(t, m.git("rev-parse", "HEAD"), labels["org.opencontainers.image.revision"])
	assert.Equal(t, "2026-02-03T04:05:06Z", labels["org.opencontainers.image.created"])
	assert.Equal(t, "ships", labels["team"])
}

func TestShipAgainRunsOnlyWhatChanged(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "service", map[string]string{"greet/salt.go": "package greet\n\n// Salt makes this module another one for each test run.\nconst Salt = \"" + time.Now().String() + "\"\n"})
	first := m.ships(ship.Ship)
	assert.Equal(t, report.OK, steps(first, "build")["linux/amd64"], "it is new")
	made := hashes(t, m.dist())
	delete(made, "reports/run.json")

	same := m.ships(ship.Ship)
	for _, stage := range []string{"build", "package", "smoke"} {
		allAre(t, same, stage, report.Cached)
	}
	for title, status := range steps(same, "verify") {
		assert.Contains(t, []report.Status{report.Cached, report.Skipped, report.NotChecked}, status, title)
	}
	assert.Equal(t, report.Cached, steps(same, "verify")["test"])
	assert.Subset(t, hashes(t, m.dist()), made, "every file is the same")

	require.NoError(t, os.RemoveAll(m.dist("linux_arm64")))
	require.NoError(t, os.Remove(m.dist("hello_1.2.3_linux_amd64.tar.gz")))
	require.NoError(t, os.Remove(m.dist("reports", "junit.xml")))
	allAre(t, m.ships(ship.Ship), "build", report.Cached)
	assert.Subset(t, hashes(t, m.dist()), made, "what was deleted is back")

	m.write("greet/more_test.go", "package greet\n\nimport \"testing\"\n\nfunc TestMore(t *testing.T) {\n\tt.Log(Salt)\n\tif Text(\"\") != \"hello\" {\n\t\tt.Fail()\n\t}\n}\n")
	tested := m.ships(ship.Ship)
	allAre(t, tested, "build", report.Cached)
	assert.Equal(t, report.OK, steps(tested, "verify")["test"], "a new test is run")
	assert.Contains(t, m.read("reports", "junit.xml"), `name="TestMore"`)

	m.write("README.md", "# hello, once more\n")
	documented := m.ships(ship.Ship)
	allAre(t, documented, "build", report.Cached)
	assert.Equal(t, report.Cached, steps(documented, "verify")["test"], "go test answers from its own cache")
	allAre(t, documented, "package", report.OK) // the README is in the archives

	anew := m.ships(ship.Ship, func(o *ship.Options) { o.NoCache = true })
	for _, stage := range anew.Stages {
		for _, step := range stage.Steps {
			assert.NotEqual(t, report.Cached, step.Status, "%s: %s", stage.Name, step.Title())
		}
	}
}

func allAre(t *testing.T, run report.Run, stage string, want report.Status) {
	t.Helper()
	all := steps(run, stage)
	assert.NotEmpty(t, all, "stage %s", stage)
	for title, status := range all {
		assert.Equal(t, want, status, "%s: %s", stage, title)
	}
}

// The same commit in two directories gives the same bits, from the cache and without it.
func TestShipIsReproducible(t *testing.T) {
	needsEngine(t)
	one, two := newModule(t, "service", nil), newModule(t, "service", nil)
	all := []string{"gofmt", "vet", "mod tidy", "mod verify", "staticcheck", "vulnerabilities", "test"}
	one.ships(ship.Ship, func(o *ship.Options) { o.Skip = all })
	two.ships(ship.Ship, func(o *ship.Options) { o.Skip, o.NoCache = all, true })
	first, second := hashes(t, one.dist()), hashes(t, two.dist())
	for _, sums := range []map[string]string{first, second} {
		delete(sums, "reports/run.json")
	}
	assert.Equal(t, first, second)
	assert.Subset(t, keys(first), []string{"linux_amd64/hello", "hello_1.2.3_linux_arm64.tar.gz", "checksums.txt", "image/hello/index.json"})
}

func keys(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}

// What is wrong with a project ends the run with exit code 1 and a card that names the place.
func TestShipFails(t *testing.T) {
	main := func(health, then string) map[string]string {
		return map[string]string{"main.go": "package main\n\nimport (\n\t\"net/http\"\n\t\"os/signal\"\n\t\"syscall\"\n)\n\nvar version, commit string\n\nfunc main() {\n\tsignal.Ignore(syscall.SIGTERM)\n" +
			"\thttp.HandleFunc(\"/health\", func(w http.ResponseWriter, _ *http.Request) { " + health + " })\n\t" + then + "\n}\n"}
	}
	cases := map[string]struct {
		over         map[string]string
		verb         ship.Verb // ship, unless another is enough
		stage, title string
		place        string // of a finding
		tail         string // somewhere in the last lines
	}{
		"failing test": {
			over:  map[string]string{"greet/bad_test.go": "package greet\n\nimport \"testing\"\n\nfunc TestBad(t *testing.T) {\n\tt.Errorf(\"not good: %d\", 7)\n}\n"},
			stage: "verify", title: "1 test failed", place: "greet/bad_test.go:6", tail: "not good: 7",
		},
		"vet": {
			verb:  ship.Verify,
			over:  map[string]string{"greet/vet.go": "package greet\n\nimport \"fmt\"\n\n// Vet prints.\nfunc Vet() { fmt.Printf(\"%d\\n\", \"seven\") }\n"},
			stage: "verify", title: "go vet found problems", place: "greet/vet.go:6:26", tail: "fmt.Printf format %d",
		},
		"one target": {
			verb:  ship.Build,
			over:  map[string]string{"only_arm64.go": "package main\n\nvar number int = \"text\"\n"},
			stage: "build", title: "does not compile for linux/arm64", place: "only_arm64.go:3:18", tail: "cannot use \"text\"",
		},
		"data race": {
			verb:  ship.Verify,
			over:  map[string]string{"greet/race_test.go": "package greet\n\nimport \"testing\"\n\nfunc TestRace(t *testing.T) {\n\tn, done := 0, make(chan bool)\n\tgo func() {\n\t\tn++\n\t\tclose(done)\n\t}()\n\tn++\n\t<-done\n\tt.Log(n)\n}\n"},
			stage: "verify", title: "1 test failed, 1 data race", place: "greet/race_test.go:", tail: "DATA RACE",
		},
		"coverage": {
			verb:  ship.Verify,
			over:  map[string]string{"slipway.yaml": "version: 1\nverify: {coverage: {min: 90}}\napps: [{name: hello, targets: [linux/amd64]}]\n"},
			stage: "verify", title: "coverage is 13.3 %, the project asks for 90.0 %",
		},
		"unhealthy": {
			verb:  ship.Smoke,
			over:  main(`http.Error(w, "no database", 503)`, `_ = http.ListenAndServe(":8080", nil)`),
			stage: "smoke", title: "the service was not healthy within 4s", tail: "last answer: 503 Service Unavailable no database",
		},
		"ignores SIGTERM": {
			verb:  ship.Smoke,
			over:  main("", `_ = http.ListenAndServe(":8080", nil)`),
			stage: "smoke", title: "the service did not end within 2s after SIGTERM",
		},
		"panics in init": {
			verb:  ship.Smoke,
			over:  map[string]string{"init.go": "package main\n\nfunc init() { panic(\"no configuration\") }\n"},
			stage: "smoke", title: "the service ended with exit code 2 before it was healthy", tail: "panic: no configuration",
		},
		"listens on the loopback only": {
			verb:  ship.Smoke,
			over:  main("", `_ = http.ListenAndServe("127.0.0.1:8080", nil)`),
			stage: "smoke", title: "the service was not healthy within 4s", tail: "connection refused",
		},
		"unformatted, strict": {
			verb:  ship.Verify,
			over:  map[string]string{"slipway.yaml": "version: 1\nverify: {strict: true}\napps: [{name: hello, targets: [linux/amd64]}]\n", "greet/ugly.go": "package greet\nconst   Ugly = 1\n"},
			stage: "verify", title: "files are not gofmt-ed", place: "greet/ugly.go",
		},
		"a test that does not compile": {
			verb:  ship.Verify,
			over:  map[string]string{"greet/broken_test.go": "package greet\n\nvar _ = missing\n"},
			stage: "verify", place: "greet/broken_test.go:3:9", tail: "undefined: missing",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			needsEngine(t)
			m := newModule(t, "service", c.over)
			if c.verb == "" {
				c.verb = ship.Ship
			}
			run := m.fails(c.verb, func(o *ship.Options) { o.Skip = append(o.Skip, "mod tidy", "mod verify") })
			failure := failureOf(t, run, c.stage, c.title)
			if c.place != "" {
				assert.Contains(t, places(failure), c.place)
			}
			assert.Contains(t, strings.Join(failure.Tail, "\n"), c.tail)
			assert.NotEmpty(t, failure.Next, "what to do next")
			checkLeftovers(t, m, c.stage)
		})
	}
}

func failureOf(t *testing.T, run report.Run, stage, title string) report.Failure {
	t.Helper()
	for _, f := range run.Failures {
		if f.Stage == stage && (title == "" || f.Title == title) {
			return f
		}
	}
	require.Fail(t, "no such failure", "want %s: %q\n%s", stage, title, outline(run))
	return report.Failure{}
}

func places(f report.Failure) string {
	var all []string
	for _, finding := range f.Findings {
		all = append(all, finding.Place())
	}
	return strings.Join(all, " ")
}

// checkLeftovers looks at the output directory of a run that failed: the reports are there, and nothing half-written. What
// was complete before it was tried stays.
func checkLeftovers(t *testing.T, m module, stage string) {
	t.Helper()
	names := listing(t, m.dist())
	assert.Contains(t, names, "reports/run.json")
	assert.Equal(t, stage == "verify", slices.Contains(names, "reports/junit.xml"), "the tests' report")
	for _, name := range names {
		assert.NotContains(t, name, ".staging")
		if stage != "smoke" {
			assert.True(t, name == ".slipway" || strings.HasPrefix(name, "reports/"), "%s is an artifact of a failed run", name)
		}
	}
	var stored report.Run
	require.NoError(t, json.Unmarshal([]byte(m.read("reports", "run.json")), &stored))
	assert.Equal(t, ship.ExitFailed, stored.ExitCode)
	assert.NotEmpty(t, stored.Failures)
}

// E7: a registry that refuses the connection is not an engine that died.
func TestABaseThatNobodyServes(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "tool", map[string]string{"slipway.yaml": "version: 1\napps:\n  - name: tool\n    targets: [linux/amd64]\n    image: {base: \"127.0.0.1:1/base@sha256:" + strings.Repeat("1", 64) + "\"}\n"})
	run := m.fails(ship.Image)
	require.Len(t, run.Failures, 1)
	assert.Contains(t, run.Failures[0].Title, "the base image cannot be had: 127.0.0.1:1/base")
	assert.Equal(t, "127.0.0.1:1 cannot be reached from here", run.Failures[0].Cause)
	assert.Empty(t, run.Warnings, "the engine is well")
}

func TestAFailedRunIsMended(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "tool", nil)
	m.ships(ship.Build)
	m.write("main.go", "package main\n\nfunc main() { missing() }\n")
	run := m.fails(ship.Build)
	assert.Contains(t, places(failureOf(t, run, "build", "does not compile for linux/amd64")), "main.go:3:15")
	assert.FileExists(t, m.dist("linux_amd64", "tool"), "what an earlier run made is complete, and stays")
	again := m.fails(ship.Build)
	assert.NotContains(t, steps(again, "build"), report.Cached, "a failure is never replayed")
	m.git("checkout", "-q", "main.go")
	allAre(t, m.ships(ship.Build), "build", report.Cached)
}

func TestALibraryIsVerified(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "library", nil)
	run := m.ships(ship.Ship)
	var stages []string
	for _, s := range run.Stages {
		stages = append(stages, s.Name)
	}
	assert.Equal(t, []string{"prepare", "verify"}, stages)
	assert.Equal(t, []string{".slipway", "reports/", "reports/coverage.html", "reports/coverage.out", "reports/junit.xml", "reports/run.json", "reports/vuln.json"}, listing(t, m.dist()))
}

func TestAToolIsStarted(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "tool", map[string]string{"ugly.go": "package main\nconst   ugly = 1\n"})
	run := m.ships(ship.Ship)
	for _, stage := range run.Stages {
		if stage.Name == "smoke" {
			assert.Contains(t, stage.Steps[0].Summary, "health: not checked")
		}
		if stage.Name != "verify" {
			continue
		}
		for _, step := range stage.Steps {
			if step.Name == "gofmt" {
				assert.Equal(t, report.Warned, step.Status, "style is shown and counted, and fails only strict projects")
				assert.Equal(t, "ugly.go", step.Findings[0].Place())
			}
		}
	}
	assert.NotEmpty(t, steps(run, "smoke"))
}

// An interrupted run ends soon, with its own exit code, and leaves no work and no session behind.
func TestInterrupted(t *testing.T) {
	interrupted := errors.New("interrupted by the test")
	cases := map[string]func(report.Event) bool{
		"while the engine is asked": func(e report.Event) bool {
			step, ok := e.(report.StepStarted)
			return ok && step.Stage == "prepare" && step.Step.Name == "engine"
		},
		"while tests run": func(e report.Event) bool {
			step, ok := e.(report.StepFinished)
			return ok && step.Stage == "build"
		},
		"while the image is assembled": func(e report.Event) bool {
			step, ok := e.(report.StepStarted)
			return ok && step.Stage == "image"
		},
		"while the image is tried": func(e report.Event) bool {
			command, ok := e.(report.CommandStarted)
			return ok && command.Stage == "smoke"
		},
	}
	for name, when := range cases {
		t.Run(name, func(t *testing.T) {
			needsEngine(t)
			over := map[string]string{}
			if name == "while tests run" {
				over["greet/slow_test.go"] = "package greet\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nfunc TestSlow(*testing.T) { time.Sleep(5 * time.Minute) }\n"
			}
			m := newModule(t, "service", over)
			options := m.options()
			options.Skip = append(options.Skip, "vet", "gofmt", "mod tidy", "mod verify")
			mark := "SLIPWAY_TEST_MARK=" + m.dir
			options.Environ = append(os.Environ(), mark)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			run, err := m.run(ctx, ship.Ship, options, report.ObserverFunc(func(e report.Event) {
				if when(e) {
					cancel(interrupted)
				}
			}))
			require.ErrorIs(t, ctx.Err(), context.Canceled, "the run came to the point where it is interrupted")
			assert.ErrorIs(t, err, interrupted)
			assert.Equal(t, ship.ExitInterrupted, run.ExitCode, outline(run))
			assert.Empty(t, run.Failures, "nothing failed")
			for _, name := range listing(t, m.dist()) {
				assert.NotContains(t, name, ".staging")
			}
			var stored report.Run
			require.NoError(t, json.Unmarshal([]byte(m.read("reports", "run.json")), &stored))
			assert.Equal(t, ship.ExitInterrupted, stored.ExitCode)
			if runtime.GOOS == "linux" {
				assert.Zero(t, sessions(t, mark), "no process of the run is left")
			}
		})
	}
}

// A test that fails and then passes fails the run, unless the project asks for another try: then it is shown as what it is.
func TestFlakyTests(t *testing.T) {
	needsEngine(t)
	salt := fmt.Sprintf("// %d: no engine has run this before, so that none repeats a failure to see whether it was the network\n", time.Now().UnixNano())
	m := newModule(t, "service", map[string]string{"greet/flaky_test.go": salt + `package greet

import (
	"os"
	"testing"
)

func TestBusy(t *testing.T) {
	t.Run("port", func(t *testing.T) {
		if os.Getenv("SLIPWAY_ATTEMPT") == "" { // only another try of slipway's has it
			t.Fatal("address already in use")
		}
	})
}
`})
	failureOf(t, m.fails(ship.Verify), "verify", "1 test failed")
	m.replace("slipway.yaml", "version: 1\n", "version: 1\nverify: {retry: 2}\n")
	tried := m.ships(ship.Verify)
	assert.Equal(t, report.Warned, steps(tried, "verify")["test"])
	assert.Contains(t, outline(tried), "1 flaky: TestBusy/port failed 1 of 2")
	assert.Contains(t, m.read("reports", "junit.xml"), `<flakyFailure message="address already in use"`)
	m.replace("greet/flaky_test.go", "SLIPWAY_ATTEMPT", "NEVER_SET")
	failureOf(t, m.fails(ship.Verify), "verify", "1 test failed")
}

// What is written while the sources are read ends the run: what was tested would not be what was built.
func TestTheProjectChangesWhileItIsRead(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "tool", nil)
	var once sync.Once
	observer := report.ObserverFunc(func(e report.Event) {
		if stage, ok := e.(report.StageStarted); ok && stage.Stage == "build" {
			once.Do(func() { m.write("more.go", "package main\n") })
		}
	})
	run, err := m.run(t.Context(), ship.Ship, m.options(), observer)
	require.NoError(t, err)
	require.Equal(t, ship.ExitFailed, run.ExitCode, outline(run))
	assert.Equal(t, []string{"more.go"}, failureOf(t, run, "build", "the project changed while it was read").Tail)
	assert.Empty(t, run.Artifacts)
	m.ships(ship.Ship)
}

func TestTheOutputDirectoryIsLocked(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "tool", nil)
	var once bool
	var second error
	var code int
	observer := report.ObserverFunc(func(e report.Event) {
		if _, ok := e.(report.StageStarted); ok && !once {
			once = true
			run, err := ship.Run(t.Context(), ship.Build, m.options(), nil)
			second, code = err, run.ExitCode
		}
	})
	run, err := m.run(t.Context(), ship.Build, m.options(), observer)
	require.NoError(t, err)
	assert.Equal(t, ship.ExitOK, run.ExitCode)
	require.ErrorContains(t, second, "is in use by another run of slipway")
	assert.Equal(t, ship.ExitUsage, code)
	assert.True(t, bytes.HasPrefix([]byte(m.read("linux_amd64", "tool")), []byte(elf.ELFMAG)))
}
