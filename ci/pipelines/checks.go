package pipelines

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// check is one thing that verify looks at in one module.
type check struct {
	name  string   // "vet"
	argv  []string // run in the module's directory
	style bool     // shown and counted; fails only where the project is strict
	tool  *tool    // put on PATH first
	light bool     // needs only go.mod and go.sum
	title string   // of the card
	next  string   // what to do about it
	read  func(output string, m project.Module) []report.Finding
	// failsOnFindings: the command exits 0 whatever it finds (gofmt -l).
	failsOnFindings bool
}

// checks lists what verify looks at in a module beside its tests, in the order in which it is shown.
func checks(m project.Module) []check {
	list := []check{
		{
			name: "gofmt", argv: []string{"gofmt", "-l", "."}, style: true, failsOnFindings: true,
			title: "files are not gofmt-ed", next: "run gofmt -w on the files above", read: readGofmt,
		},
		{
			name: "vet", argv: []string{"go", "vet", "./..."},
			title: "go vet found problems", next: "mend the lines above", read: compilerFindings("vet"),
		},
	}
	if !m.Vendor {
		list = append(list,
			check{
				name: "mod tidy", argv: []string{"go", "mod", "tidy", "-diff"}, style: true,
				title: "go.mod or go.sum is not tidy", next: "run go mod tidy in " + m.Dir, read: readTidy,
			},
			check{
				name: "mod verify", argv: []string{"go", "mod", "verify"}, light: true,
				title: "a module in the cache is not what go.sum says", next: "run go clean -modcache, and find out who changed the module if it stays", read: nil,
			})
	}
	return append(list, check{
		name: "staticcheck", argv: []string{"staticcheck", "./..."}, style: true, tool: &staticcheck,
		title: "staticcheck found problems", next: "mend the lines above, or add //lint:ignore with a reason", read: compilerFindings("staticcheck"),
	})
}

// Checks names everything that verify looks at, as --skip takes it.
func Checks() []string {
	var names []string
	for _, c := range checks(project.Module{}) {
		names = append(names, c.name)
	}
	return append(names, vulnerabilitiesCheck, testCheck)
}

const (
	vulnerabilitiesCheck = "vulnerabilities"
	testCheck            = "test"
)

// readGofmt reads the files that gofmt -l names, without those that are not the module's own.
func readGofmt(output string, m project.Module) []report.Finding {
	var found []report.Finding
	for _, name := range strings.Split(strings.TrimSpace(output), "\n") {
		if name == "" || strings.Contains("/"+name, "/testdata/") || strings.HasPrefix(name, "vendor/") {
			continue
		}
		if !strings.HasSuffix(name, ".go") { // it cannot be read: file.go:1:2: why
			found = append(found, compilerFindings("gofmt")(name, m)...)
			continue
		}
		found = append(found, report.Finding{File: path.Join(m.Dir, name), Message: "not gofmt-ed", Tool: "gofmt"})
	}
	return found
}

// readTidy names the files of the diff that go mod tidy -diff prints.
func readTidy(output string, m project.Module) []report.Finding {
	var found []report.Finding
	for _, line := range strings.Split(output, "\n") {
		if name, ok := strings.CutPrefix(line, "+++ tidy/"); ok {
			found = append(found, report.Finding{File: path.Join(m.Dir, strings.TrimSpace(name)), Message: "not tidy", Tool: "mod tidy"})
		}
	}
	return found
}

// compilerFindings reads "file.go:1:2: message" lines.
func compilerFindings(tool string) func(string, project.Module) []report.Finding {
	return func(output string, m project.Module) []report.Finding {
		found := report.ParseCompile(output, m.Dir)
		for i := range found {
			found[i].Tool = tool
		}
		return found
	}
}

// inOtherModule leaves out what lies in another module that verify covers: it is looked at there.
func inOtherModule(found []report.Finding, m project.Module, all []project.Module) []report.Finding {
	var kept []report.Finding
	for _, f := range found {
		if nearest(f.File, all) == m.Dir {
			kept = append(kept, f)
		}
	}
	return kept
}

// nearest is the directory of the innermost module that holds a file.
func nearest(file string, all []project.Module) string {
	best := "."
	for _, m := range all {
		if strings.HasPrefix(file, m.Dir+"/") && (best == "." || len(m.Dir) > len(best)) {
			best = m.Dir
		}
	}
	return best
}

// raceTimeout doubles go test's limit for a package: with the race detector, tests that are well within it take several times
// as long, and a limit that was meant for hangs must not fail them.
const raceTimeout = "-timeout=20m"

// testArgs is the command line of the tests. fresh: go test must not answer from a cache of its own.
func testArgs(v project.Verify, what tested, race, fresh bool) []string {
	args := []string{"go", "test", "-json"}
	if what.covered {
		args = append(args, "-covermode=atomic", "-coverprofile="+resultDir+"/coverage.out")
	}
	if race {
		args = append(args, "-race", raceTimeout)
	}
	if v.Short {
		args = append(args, "-short")
	}
	if fresh {
		args = append(args, "-count=1")
	}
	return append(args, what.packages...)
}

// retryArgs runs tests again, by package, and no others.
func retryArgs(v project.Verify, failed map[string][]string, race bool) []string {
	var packages, names []string
	for name, tests := range failed {
		packages = append(packages, name)
		for _, test := range tests {
			names = append(names, regexp.QuoteMeta(test))
		}
	}
	slices.Sort(packages)
	slices.Sort(names)
	args := append(testArgs(v, tested{}, race, true), "-run", "^("+strings.Join(slices.Compact(names), "|")+")$")
	return append(args, packages...)
}
