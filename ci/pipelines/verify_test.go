package pipelines

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

func TestChecks(t *testing.T) {
	var got strings.Builder
	for _, m := range []project.Module{{Dir: "."}, {Dir: "sub", Vendor: true}} {
		got.WriteString("# " + m.Dir + "\n")
		for _, c := range checks(m) {
			kind := "fails"
			if c.style {
				kind = "style"
			}
			got.WriteString(c.name + ": " + strings.Join(c.argv, " ") + " (" + kind + ")\n  " + c.title + "; " + c.next + "\n")
		}
	}
	golden(t, "checks", got.String())
}

func files(found []report.Finding) []string {
	var names []string
	for _, f := range found {
		names = append(names, f.Place())
	}
	return names
}

func TestReadGofmt(t *testing.T) {
	m := project.Module{Dir: "sub"}
	assert.Empty(t, readGofmt("", m))
	assert.Empty(t, readGofmt("\n", m))
	assert.Equal(t, []string{"sub/a.go", "sub/b/c.go"}, files(readGofmt("a.go\nb/c.go\ntestdata/bad.go\nb/testdata/x/bad.go\nvendor/x/y.go\n", m)))
	broken := readGofmt("a.go:3:1: expected declaration, found x\nb.go\n", m)
	assert.ElementsMatch(t, []string{"sub/a.go:3:1", "sub/b.go"}, files(broken), "what cannot be read has a place too")
	for _, f := range broken {
		assert.Equal(t, "gofmt", f.Tool)
	}
}

func TestReadTidy(t *testing.T) {
	diff := "diff current/go.mod tidy/go.mod\n--- current/go.mod\n+++ tidy/go.mod\n@@ -1 +1 @@\n-require x v1\n+require x v2\ndiff current/go.sum tidy/go.sum\n--- current/go.sum\n+++ tidy/go.sum\n"
	assert.Equal(t, []string{"sub/go.mod", "sub/go.sum"}, files(readTidy(diff, project.Module{Dir: "sub"})))
	assert.Empty(t, readTidy("go: downloading x\ngo: x: no such host\n", project.Module{Dir: "."}), "it could not look")
}

func TestCompilerFindings(t *testing.T) {
	found := compilerFindings("staticcheck")("a/b.go:3:4: unused (U1000)\n", project.Module{Dir: "sub"})
	require.Len(t, found, 1)
	assert.Equal(t, "sub/a/b.go:3:4", found[0].Place())
	assert.Equal(t, "staticcheck", found[0].Tool)
}

func TestNearest(t *testing.T) {
	all := []project.Module{{Dir: "."}, {Dir: "a"}, {Dir: "a/b"}}
	for file, want := range map[string]string{"main.go": ".", "a/x.go": "a", "ab/x.go": ".", "a/b/c/x.go": "a/b", "a/bc.go": "a"} {
		assert.Equal(t, want, nearest(file, all), file)
	}
	found := []report.Finding{{File: "main.go"}, {File: "a/x.go"}, {File: "a/b/x.go"}}
	assert.Equal(t, found[:1], inOtherModule(found, all[0], all))
	assert.Equal(t, found[1:2], inOtherModule(found, all[1], all))
	assert.Empty(t, inOtherModule(nil, all[0], all))
}

func TestTestArgs(t *testing.T) {
	for want, args := range map[string][]string{
		"go test -json -covermode=atomic -coverprofile=/slipway/result/coverage.out ./...":                                    testArgs(project.Verify{}, all, false, false),
		"go test -json -covermode=atomic -coverprofile=/slipway/result/coverage.out -race -timeout=20m ./...":                 testArgs(project.Verify{Race: true}, all, true, false),
		"go test -json -covermode=atomic -coverprofile=/slipway/result/coverage.out ./... ":                                   append(testArgs(project.Verify{Race: true}, all, false, false), ""), // nothing to run it in
		"go test -json -covermode=atomic -coverprofile=/slipway/result/coverage.out -race -timeout=20m -short -count=1 ./...": testArgs(project.Verify{Short: true}, all, true, true),
	} {
		assert.Equal(t, want, strings.Join(args, " "))
	}
	assert.Equal(t, []string{"go", "test", "-json", "./a", "./b"}, testArgs(project.Verify{Coverage: project.Coverage{Min: 70}}, tested{packages: []string{"./a", "./b"}}, false, false), "a part says nothing about coverage")
	assert.Equal(t, []string{"go", "test", "-race", "./..."}, plainTest(testArgs(project.Verify{}, all, true, false)), "as a person types it")
	assert.Equal(t, "cd sub && go vet ./...", reproduce(project.Module{Dir: "sub"}, []string{"go", "vet", "./..."}))
	assert.Equal(t, "go vet ./...", reproduce(project.Module{Dir: "."}, []string{"go", "vet", "./..."}))
}

const profile = `mode: atomic
example.com/m/a.go:1.1,2.2 3 1
example.com/m/a.go:3.1,4.2 1 0
example.com/m/sub/b.go:1.1,2.2 4 0
`

func TestCoverage(t *testing.T) {
	assert.InDelta(t, 37.5, coverage(profile), 0.01)
	assert.InDelta(t, 87.5, coverage(profile+"example.com/m/sub/b.go:1.1,2.2 4 9\n"), 0.01, "covered by the tests of another package")
	assert.InDelta(t, 100, coverage("mode: set\na.go:1.1,2.2 1 18446744073709551615\n"), 0.01)
	for _, none := range []string{"", "mode: atomic\n", "mode: atomic\na.go:1.1,2.2 0 0\n", "three words only\n"} {
		assert.Negative(t, coverage(none), none)
	}
}

func FuzzCoverage(f *testing.F) {
	f.Add(profile)
	f.Add("a 1 1\na 2 0\n")
	f.Add("a -1 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c := coverage(text); c >= 0 {
			assert.LessOrEqual(t, c, 100.0)
		}
	})
}

func TestJoinProfiles(t *testing.T) {
	assert.Empty(t, joinProfiles(nil))
	assert.Equal(t, profile, joinProfiles([]string{profile}))
	joined := joinProfiles([]string{"mode: atomic\na.go:1.1,2.2 1 1\n", "mode: atomic\n", "mode: atomic\nb.go:1.1,2.2 1 0\n"})
	assert.Equal(t, "mode: atomic\na.go:1.1,2.2 1 1\nb.go:1.1,2.2 1 0\n", joined)
	assert.InDelta(t, 50, coverage(joined), 0.01)
}

func TestByPath(t *testing.T) {
	dirs := report.Dirs{"example.com/m": ".", "example.com/m/sub": "nested"}
	assert.Equal(t, "mode: atomic\n/src/a.go:1.1,2.2 3 1\n/src/a.go:3.1,4.2 1 0\n/src/nested/b.go:1.1,2.2 4 0\n", byPath(profile, dirs))
	other := "mode: set\nelsewhere.org/x/y.go:1.1,2.2 1 1\n"
	assert.Equal(t, other, byPath(other, dirs), "what is not ours stays as it is")
}

// sample is the output of govulncheck -json, shortened: one message of each kind, a finding that is only required, one that is
// only imported, and two that are called.
const sample = `{"config":{"protocol_version":"v1.0.0","scanner_name":"govulncheck","db":"https://vuln.go.dev"}}
{"progress":{"message":"Scanning your code..."}}
{"osv":{"id":"GO-2021-0113","summary":"x"}}
{"finding":{"osv":"GO-2020-0001","fixed_version":"v1.1.0","trace":[{"module":"a.example","version":"v1.0.0"}]}}
{"finding":{"osv":"GO-2020-0002","trace":[{"module":"a.example","version":"v1.0.0","package":"a.example/p"}]}}
{"finding":{"osv":"GO-2021-0113","fixed_version":"v0.3.7","trace":[{"module":"golang.org/x/text","version":"v0.3.5","package":"golang.org/x/text/language","function":"Parse"},{"module":"m","package":"m","function":"main","position":{"filename":"main.go","offset":1,"line":11,"column":24}}]}}
{"finding":{"osv":"GO-2020-0015","trace":[{"module":"stdlib","version":"v1.20.0","package":"os","function":"Open"}]}}
`

func TestReachable(t *testing.T) {
	now := time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)
	day := func(d int) time.Time { return time.Date(2026, 2, d, 0, 0, 0, 0, time.UTC) }
	osvs := func(ignore ...project.Ignore) []string {
		found, err := reachable(sample, "sub", ignore, now)
		require.NoError(t, err)
		var ids []string
		for _, f := range found {
			id, _, _ := strings.Cut(f.Message, " ")
			ids = append(ids, id)
		}
		return ids
	}
	both := []string{"GO-2020-0015", "GO-2021-0113"}
	assert.Equal(t, both, osvs(), "only what is called, in order")
	assert.Equal(t, both[:1], osvs(project.Ignore{ID: "GO-2021-0113"}))
	assert.Equal(t, both[:1], osvs(project.Ignore{ID: "GO-2021-0113", Until: day(4)}))
	assert.Equal(t, both[:1], osvs(project.Ignore{ID: "GO-2021-0113", Until: day(3)}), "until is the last day")
	assert.Equal(t, both, osvs(project.Ignore{ID: "GO-2021-0113", Until: day(2)}), "it has run out")

	found, err := reachable(sample, "sub", nil, now)
	require.NoError(t, err)
	assert.Equal(t, report.Finding{
		File: "sub/main.go", Line: 11, Column: 24, Tool: "govulncheck", Package: "golang.org/x/text/language",
		Message: "GO-2021-0113 in golang.org/x/text@v0.3.5 (Parse), fixed in v0.3.7",
	}, found[1])
	assert.Equal(t, "GO-2020-0015 in stdlib@v1.20.0 (Open)", found[0].Message)

	none, err := reachable("", ".", nil, now)
	require.NoError(t, err)
	assert.Empty(t, none)
	_, err = reachable(`{"finding":`, ".", nil, now)
	require.ErrorContains(t, err, "read the output of govulncheck")
}

func FuzzReachable(f *testing.F) {
	f.Add(sample)
	f.Add(`{"finding":{"osv":"x","trace":[]}}`)
	f.Add(`null 1`)
	f.Fuzz(func(t *testing.T, text string) {
		found, err := reachable(text, ".", nil, time.Time{})
		if err == nil {
			for _, each := range found {
				assert.NotEmpty(t, each.Message)
			}
		}
	})
}

func TestVulns(t *testing.T) {
	var none, c vulnCollector
	none.missed("no network")
	assert.Equal(t, Vulns{Why: "no network", Findings: []report.Finding{}}, none.value(VulnDB{}), "not checked is never ok")
	c.add(nil)
	assert.Equal(t, Vulns{Checked: true, Database: "today", Tool: govulncheck.version, Findings: []report.Finding{}}, c.value(VulnDB{Modified: "today"}))
	c.add([]report.Finding{{Message: "x"}})
	assert.Len(t, c.value(VulnDB{}).Findings, 1)
	c.missed("no network in one module")
	half := c.value(VulnDB{Modified: "today"})
	assert.False(t, half.Checked, "nor are some modules all of them")
	assert.Len(t, half.Findings, 1)
}

func TestVulnDBInside(t *testing.T) {
	for db, want := range map[VulnDB]string{
		{URL: "https://vuln.go.dev"}:                        "https://vuln.go.dev",
		{URL: "file:///srv/db", Dir: "/srv/db"}:             "file:///slipway/vulndb",
		{URL: "http://127.0.0.1:8080/v1/go", Port: 8080}:    "http://slipway-vulndb:8080/v1/go",
		{URL: "https://localhost/vuln", Port: 443}:          "https://slipway-vulndb:443/vuln",
		{URL: "http://[::1]:99", Port: 99, Modified: "now"}: "http://slipway-vulndb:99",
	} {
		assert.Equal(t, want, db.inside())
	}
}

func TestVerdictSummary(t *testing.T) {
	assert.Empty(t, Verdict{}.summary())
	tests, err := report.ParseGoTest(strings.NewReader(`{"Action":"run","Package":"m","Test":"TestA"}
{"Action":"pass","Package":"m","Test":"TestA"}
{"Action":"pass","Package":"m"}
`), report.Dirs{"m": "."})
	require.NoError(t, err)
	assert.Equal(t, "1 passed, 83.1 % covered", Verdict{Tests: tests, Coverage: 83.14}.summary())
	assert.Equal(t, "1 passed", Verdict{Tests: tests, Coverage: -1}.summary())
	assert.Equal(t, "last", lastOf([]string{"first", "last"}))
	assert.Empty(t, lastOf(nil))
}

// Not to know is "not checked", never "ok". It stops a strict project that is about to be published, and nothing else.
func TestVulnerabilitiesThatNobodyCouldLookFor(t *testing.T) {
	for _, c := range []struct {
		strict, publishing bool
		want               report.Status
	}{{false, false, report.NotChecked}, {true, false, report.NotChecked}, {false, true, report.NotChecked}, {true, true, report.Failed}} {
		recorder := report.NewRecorder(report.Run{}, nil, time.Now)
		stage := recorder.Stage("verify")
		v := verifier{Stages: Stages{Config: Config{Project: project.Project{Verify: project.Verify{Strict: c.strict}}, Publishing: c.publishing}}, vulns: &vulnCollector{}}
		v.vulnerabilitiesUnknown(stage.Step("vulnerabilities"), "the database is down")
		stage.Done("")
		run := recorder.Finish(0)
		step := run.Stages[0].Steps[0]
		assert.Equal(t, c.want, step.Status, "%+v", c)
		if c.want == report.Failed {
			require.Len(t, run.Failures, 1)
			assert.Equal(t, "the database is down", run.Failures[0].Cause)
		}
	}
}
