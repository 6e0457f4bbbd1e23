package ship_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/ci/target"
)

// The shapes of repositories that nobody has prepared for Slipway. Only cgo-named has a slipway.yaml.
func TestShapes(t *testing.T) {
	for name, c := range map[string]struct {
		verb     ship.Verb
		below    string // directory that is shipped
		before   func(t *testing.T, m module)
		programs map[string]string // what each prints
		passed   []string          // checks that must be well
		warned   []string
	}{
		"vendor":    {verb: ship.Ship, programs: map[string]string{"vendored": "from vendor\n"}, passed: []string{"test", "vet"}},
		"workspace": {verb: ship.Ship, programs: map[string]string{"service": "from the workspace\n"}, passed: []string{"words test", "service vet"}},
		"nested":    {verb: ship.Ship, below: "cmd/libtool", programs: map[string]string{"libtool": "lib\n"}},
		"old":       {verb: ship.Ship, programs: map[string]string{"old": "grün\n"}, passed: []string{"vet"}, warned: []string{"test"}},
		"system":    {verb: ship.Verify, before: plantLinks, passed: []string{"test"}},
		"linux-only": {
			verb: ship.Build, programs: map[string]string{"watcher": "true <nil> ours\n"},
		},
		"cgo":       {verb: ship.Ship, passed: []string{"test", "vet"}}, // nothing is built: a C compiler is for one machine
		"cgo-named": {verb: ship.Ship, programs: map[string]string{"cprog": "42\n"}, passed: []string{"test"}},
	} {
		t.Run(name, func(t *testing.T) {
			needsEngine(t)
			m := newModule(t, "shapes/"+name, nil)
			if c.before != nil {
				c.before(t, m)
			}
			run := m.ships(c.verb, elsewhere, onlyHere(c.programs), func(o *ship.Options) { o.Source = filepath.Join(o.Source, c.below) })
			for program, prints := range c.programs {
				out, err := exec.CommandContext(t.Context(), filepath.Join(m.dir+"-dist", "linux_"+runtime.GOARCH, program)).Output()
				require.NoError(t, err, program)
				assert.Equal(t, prints, string(out))
			}
			checks := steps(run, "verify")
			for _, check := range c.passed {
				assert.Contains(t, []report.Status{report.OK, report.Cached}, checks[check], "%s: %v", check, checks)
			}
			for _, check := range c.warned {
				assert.Equal(t, report.Warned, checks[check], "%s: %v", check, checks)
			}
		})
	}
}

// Red is red for the reason that a reader can act on: the tests are named, and the program that writes code is not shipped.
func TestAShapeThatIsRed(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "shapes/several", nil)
	run := m.fails(ship.Ship, elsewhere, onlyHere(map[string]string{"one": ""}))
	failure := failureOf(t, run, "verify", "2 tests failed")
	var names []string
	for _, f := range failure.Findings {
		names = append(names, f.Test)
	}
	assert.Subset(t, names, []string{"TestOne", "TestPanics"})
	builds := steps(run, "build")
	assert.Len(t, builds, 3, "inputs and two programs: %v", builds)
	for title := range builds {
		assert.NotContains(t, title, "gen")
	}
}

// What the go command says of modules is shown with what it means, and what to do.
func TestModulesThatDoNotAgree(t *testing.T) {
	for name, c := range map[string]struct {
		shape                       string
		over                        map[string]string
		file, old, now, says, means string
	}{
		"vendor drift":   {"shapes/vendor", nil, "go.mod", "greeting v1.0.0", "greeting v1.1.0", "inconsistent vendoring", "go mod vendor"},
		"another sum":    {"service", vulnerable, "go.sum", "v0.3.5 h1:i6", "v0.3.5 h1:j6", "checksum mismatch", "go.sum recorded"},
		"no sum":         {"service", vulnerable, "go.sum", "golang.org/x/text v0.3.5 h1:i6eZZ+zk0SOf0xgBpEpPD18qWcJda6q1sxt3S0kzyUQ=\n", "", "missing go.sum entry", "go mod tidy"},
		"no requirement": {"service", vulnerable, "go.mod", "require golang.org/x/text v0.3.5\n", "", "no required module", "go get"},
	} {
		t.Run(name, func(t *testing.T) {
			needsEngine(t)
			m := newModule(t, c.shape, c.over)
			m.replace(c.file, c.old, c.now)
			m.commit()
			run := m.fails(ship.Ship, elsewhere)
			for _, f := range run.Failures {
				assert.Contains(t, strings.Join(f.Tail, "\n")+fmt.Sprint(f.Findings), c.says, f.Step)
				assert.Contains(t, f.Cause+strings.Join(f.Tail, "\n")+fmt.Sprint(f.Findings), c.means, f.Step)
			}
		})
	}
}

// A program of which no target can be built is said, not passed over.
func TestNothingCanBeBuilt(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "shapes/cgo-vendored", nil)
	shipped := m.ships(ship.Ship)
	assert.Contains(t, strings.Join(shipped.Warnings, "\n"), "no program was built")
	assert.Empty(t, shipped.Artifacts)

	built, err := m.run(t.Context(), ship.Build, m.options(), nil)
	require.Error(t, err)
	assert.Equal(t, ship.ExitUsage, built.ExitCode)
	assert.Contains(t, err.Error(), "name the app in slipway.yaml")
}

// A failing step before the build ends the run with a card, and nothing is built.
func TestAFailingChange(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "tool", nil)
	run := m.fails(ship.Build, func(o *ship.Options) { o.Change = generateNothing })
	failure := failureOf(t, run, "prepare", "the sources could not be prepared")
	assert.Equal(t, []string{"go", "run", "./missing"}, failure.Command)
	assert.NotEmpty(t, failure.Tail)
	assert.Empty(t, steps(run, "build"))
}

// elsewhere puts the output outside of the project: a directory called dist in it is the project's own.
func elsewhere(o *ship.Options) { o.Dist = o.Source + "-dist" }

// onlyHere builds for this machine alone, where there is a program to build.
func onlyHere(programs map[string]string) func(*ship.Options) {
	return func(o *ship.Options) {
		if len(programs) > 0 {
			o.Targets = []target.Target{{OS: "linux", Arch: runtime.GOARCH}}
		}
	}
}

func generateNothing(s pipelines.Stages, source *dagger.Directory) *dagger.Directory {
	return s.Workshop(source).WithExec([]string{"go", "run", "./missing"}).Directory(".")
}

// plantLinks adds what no archive of text can hold: symbolic links, one of which leaves the project.
func plantLinks(t *testing.T, m module) {
	t.Helper()
	secret := filepath.Join(filepath.Dir(m.dir), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("not for containers\n"), 0o644))
	require.NoError(t, os.Symlink("target", filepath.Join(m.dir, "testdata", "link")))
	require.NoError(t, os.Symlink(secret, filepath.Join(m.dir, "testdata", "outside")))
	m.commit()
}
