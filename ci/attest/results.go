package attest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

// scanner is the address of govulncheck.
const scanner = "pkg:golang/golang.org/x/vuln/cmd/govulncheck"

// testResults is the predicate test-result v0.1 of in-toto, and how many.
type testResults struct {
	Result        string     `json:"result"` // PASSED or FAILED
	Configuration []resource `json:"configuration"`
	Passed        []string   `json:"passedTests"`
	Warned        []string   `json:"warnedTests"`
	Failed        []string   `json:"failedTests"`
	Counts        counts     `json:"counts"`
}

type counts struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
}

// Tests is the statement of how the tests of a source went. What passed is
// named by package, as tests can have names that differ from run to run, and
// what failed test by test. A package that holds no tests is a warning. How long
// it took, and whether Go's cache answered, is not said.
func Tests(tests report.Tests, source Source, subjects ...Subject) (Statement, error) {
	r := testResults{Result: "PASSED", Configuration: configuration(source), Counts: counts{tests.Passed, tests.Failed, tests.Skipped}}
	for _, suite := range tests.Suites {
		switch {
		case suite.Status == report.Failed || suite.Status == report.Canceled:
			r.Failed = append(r.Failed, failed(suite)...)
		case suite.NoTests:
			r.Warned = append(r.Warned, suite.Package)
		default:
			r.Passed = append(r.Passed, suite.Package)
		}
	}
	if !tests.OK() {
		r.Result = "FAILED"
	}
	r.Passed, r.Warned, r.Failed = sorted(r.Passed), sorted(r.Warned), sorted(r.Failed)
	return New(PredicateTests, r, subjects...)
}

// failed names the tests of a package that failed, or else the package.
func failed(suite report.Suite) []string {
	var names []string
	for _, c := range suite.Cases {
		if c.Status == report.Failed {
			names = append(names, suite.Package+"."+c.Name)
		}
	}
	if len(names) == 0 {
		return []string{suite.Package}
	}
	return names
}

// configuration is what was tested: a list that may be empty, but is there.
func configuration(source Source) []resource {
	if m, ok := source.material(); ok {
		return []resource{m}
	}
	return []resource{}
}

// coverage is a predicate of our own: test-result has no place for it, and a
// policy may ask for one without the other.
type coverage struct {
	Tool     string            `json:"tool"`
	Unit     string            `json:"unit"`
	Total    float64           `json:"total"` // percent
	Packages []packageCoverage `json:"packages"`
	Source   []resource        `json:"source"`
}

type packageCoverage struct {
	Package string  `json:"package"`
	Percent float64 `json:"percent"`
}

// Coverage is the statement of how much of the source its tests run. total is
// in percent of all statements; the packages' shares are those of the tests.
func Coverage(total float64, tests report.Tests, source Source, subjects ...Subject) (Statement, error) {
	c := coverage{Tool: "go test -cover", Unit: "statements", Total: total, Packages: []packageCoverage{}, Source: configuration(source)}
	for _, suite := range tests.Suites {
		if suite.Coverage != nil {
			c.Packages = append(c.Packages, packageCoverage{suite.Package, *suite.Coverage})
		}
	}
	slices.SortFunc(c.Packages, func(a, b packageCoverage) int { return strings.Compare(a.Package, b.Package) })
	return New(PredicateCoverage, c, subjects...)
}

// Scan is what is known about vulnerabilities.
type Scan struct {
	Checked   bool   // somebody looked
	Tool      string // version of govulncheck
	Database  string // address of the database
	Published string // version of the database
	Findings  []report.Finding
	Builder   Builder
	Started   time.Time
	Finished  time.Time
}

// vulns is cosign's predicate for vulnerabilities, the one that its --type vuln
// knows.
type vulns struct {
	Invocation struct {
		URI     string `json:"uri"`
		EventID string `json:"event_id"`
		Builder string `json:"builder.id"`
	} `json:"invocation"`
	Scanner struct {
		URI      string `json:"uri"`
		Version  string `json:"version"`
		Database struct {
			URI     string `json:"uri"`
			Version string `json:"version"`
		} `json:"db"`
		Result []vulnFound `json:"result"`
	} `json:"scanner"`
	Metadata struct {
		Started  string `json:"scanStartedOn"`
		Finished string `json:"scanFinishedOn"`
	} `json:"metadata"`
}

type vulnFound struct {
	Message string `json:"message"`
	Place   string `json:"place,omitempty"`
	Package string `json:"package,omitempty"`
}

// Vulnerabilities is the statement of what govulncheck found. Not to have looked
// is no result: it is an error, so that nobody takes it for "none".
func Vulnerabilities(scan Scan, subjects ...Subject) (Statement, error) {
	if !scan.Checked {
		return Statement{}, errors.New("state vulnerabilities: nobody looked for them: run the check, or publish without this statement")
	}
	var v vulns
	v.Invocation.Builder, v.Invocation.EventID = scan.Builder.ID, scan.Builder.Invocation
	v.Scanner.URI, v.Scanner.Version = scanner, scan.Tool
	v.Scanner.Database.URI, v.Scanner.Database.Version = scan.Database, scan.Published
	v.Scanner.Result = []vulnFound{}
	for _, f := range scan.Findings {
		v.Scanner.Result = append(v.Scanner.Result, vulnFound{f.Message, f.Place(), f.Package})
	}
	slices.SortFunc(v.Scanner.Result, func(a, b vulnFound) int {
		return strings.Compare(a.Message+" "+a.Place, b.Message+" "+b.Place)
	})
	// cosign reads these as times: there is no empty one
	v.Metadata.Started, v.Metadata.Finished = scan.Started.UTC().Format(time.RFC3339), scan.Finished.UTC().Format(time.RFC3339)
	return New(PredicateVulns, v, subjects...)
}
