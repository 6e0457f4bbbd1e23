package report_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

var update = flag.Bool("update", false, "write the golden files")

// fixDirs maps the fixtures as if their module were the directory fix.
var fixDirs = report.Dirs{"example.com/fix": "fix"}

func parseFile(t *testing.T, name string) report.Tests {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "gotest", name+".json"))
	require.NoError(t, err)
	tests, err := report.ParseGoTest(bytes.NewReader(data), fixDirs)
	require.NoError(t, err)
	return tests
}

func TestParseGoTestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/gotest/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) { golden(t, "testdata/gotest/"+name+".golden", describe(parseFile(t, name))) })
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "run with -update to make it")
	assert.Equal(t, string(want), got)
}

// describe writes tests as lines that are easy to review.
func describe(tests report.Tests) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ok %v, cached %v\nsummary: %s\ntitle:   %s\n", tests.OK(), tests.Cached(), tests.Summary(), tests.Title())
	for _, s := range tests.Suites {
		fmt.Fprintf(&b, "\n%s in %q: %s", s.Package, s.Dir, s.Status)
		if s.Coverage != nil {
			fmt.Fprintf(&b, ", coverage %.1f", *s.Coverage)
		}
		fmt.Fprintf(&b, ", no tests %v, no build %v\n", s.NoTests, s.NoBuild)
		describeFindings(&b, "  ", s.Findings)
		for _, c := range s.Cases {
			fmt.Fprintf(&b, "  %s: %s", c.Name, c.Status)
			if c.Parent {
				b.WriteString(" (parent)")
			}
			fmt.Fprintf(&b, ", %d lines of output\n", strings.Count(c.Output, "\n"))
			describeFindings(&b, "    ", c.Findings)
		}
	}
	b.WriteString("\ntail:\n")
	for _, line := range tests.Tail() {
		fmt.Fprintf(&b, "  | %s\n", line)
	}
	return b.String()
}

func describeFindings(b *strings.Builder, indent string, findings []report.Finding) {
	for _, f := range findings {
		fmt.Fprintf(b, "%s- [%s] %s %s: %q\n", indent, f.Tool, f.Place(), f.Test, f.Message)
	}
}

func TestParseGoTestWithoutDirs(t *testing.T) {
	data, err := os.ReadFile("testdata/gotest/race.json")
	require.NoError(t, err)
	tests, err := report.ParseGoTest(bytes.NewReader(data), nil)
	require.NoError(t, err)
	require.Len(t, tests.Races(), 1)
	assert.Equal(t, "/src/race/race.go:5", tests.Races()[0].Place(), "the path as the detector saw it")
}

func TestParseGoTestReportsWhatItCannotRead(t *testing.T) {
	_, err := report.ParseGoTest(strings.NewReader("go: cannot find main module\n"), nil)
	assert.ErrorContains(t, err, "no test events in it, but: go: cannot find main module")

	_, err = report.ParseGoTest(iotest.ErrReader(errors.New("gone")), nil)
	assert.EqualError(t, err, "read go test output: gone")

	tests, err := report.ParseGoTest(strings.NewReader(""), nil)
	require.NoError(t, err)
	assert.True(t, tests.OK())
	assert.False(t, tests.Cached(), "nothing is not cached")
}

func TestParseGoTestOfAStreamThatEnds(t *testing.T) {
	tests, err := report.ParseGoTest(strings.NewReader(`{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"half a li`), nil)
	require.NoError(t, err)
	assert.False(t, tests.OK())
	assert.Equal(t, report.Canceled, tests.Suites[0].Status)
	assert.Contains(t, tests.Suites[0].Findings[0].Message, "ends before the package is done")
}

func TestParseGoTestKeepsBothEndsOfLongOutput(t *testing.T) {
	var in strings.Builder
	line := func(text string) {
		fmt.Fprintf(&in, `{"Action":"output","Package":"p","Test":"TestA","Output":%q}`+"\n", text)
	}
	line("panic: first words\n")
	for range 20000 {
		line("goroutine dump goes on\n")
	}
	line("last words\n")
	in.WriteString(`{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n")
	tests, err := report.ParseGoTest(strings.NewReader(in.String()), nil)
	require.NoError(t, err)
	output := tests.Suites[0].Cases[0].Output
	assert.Less(t, len(output), 300<<10)
	assert.Contains(t, output, "first words")
	assert.Contains(t, output, "last words")
	assert.Equal(t, "panic: first words", tests.Findings()[0].Message)
}

func TestStrayLinesStayWithTheFailure(t *testing.T) {
	tests, err := report.ParseGoTest(strings.NewReader("warning: from the linker\n"+`{"Action":"fail","Package":"p"}`+"\n"), nil)
	require.NoError(t, err)
	assert.Contains(t, tests.Suites[0].Output, "from the linker")
}

func TestJoinTests(t *testing.T) {
	all := report.JoinTests(parseFile(t, "good"), parseFile(t, "bad"))
	assert.Len(t, all.Suites, 3)
	assert.Equal(t, "6 failed, 8 passed, 1 skipped", all.Summary())
	assert.NotNil(t, report.JoinTests().Suites)
}

func TestARaceSeenByTwoTestsIsOneRace(t *testing.T) {
	race := report.Finding{File: "a.go", Line: 3, Message: "data race: read", Tool: "race"}
	first, second := race, race
	first.Test, second.Test = "TestA", "TestB"
	tests := report.Tests{Suites: []report.Suite{{Cases: []report.Case{
		{Name: "TestA", Findings: []report.Finding{first}}, {Name: "TestB", Findings: []report.Finding{second}},
	}}}}
	assert.Len(t, tests.Races(), 1)
}

func TestMaskTests(t *testing.T) {
	rec := report.NewRecorder(report.Run{}, nil, clock())
	rec.Mask = func(s string) string { return strings.ReplaceAll(s, "wrong", "***") }
	before := parseFile(t, "bad")
	masked := rec.MaskTests(before)
	assert.NotContains(t, describe(masked), "wrong")
	assert.Contains(t, describe(before), "wrong", "the original is as it was")
}

func TestDirs(t *testing.T) {
	dirs := report.Dirs{"example.com/a": ".", "example.com/a/nested": "other/place"}
	for importPath, want := range map[string]string{
		"example.com/a":            ".",
		"example.com/a/b/c":        "b/c",
		"example.com/a/nested/x":   "other/place/x",
		"example.com/a/nested":     "other/place",
		"example.com/a/nestedness": "nestedness",
	} {
		dir, ok := dirs.Dir(importPath)
		assert.True(t, ok, importPath)
		assert.Equal(t, want, dir, importPath)
	}
	_, ok := dirs.Dir("example.com/ab")
	assert.False(t, ok)
	_, ok = dirs.Dir("")
	assert.False(t, ok)
}

func FuzzParseGoTest(f *testing.F) {
	files, err := filepath.Glob("testdata/gotest/*.json")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		if len(data) < 3000 { // long seeds take long to minimize
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tests, err := report.ParseGoTest(bytes.NewReader(data), fixDirs)
		if err != nil {
			return
		}
		for _, finding := range tests.Findings() {
			assert.NotEmpty(t, finding.Message)
		}
		if !tests.OK() {
			assert.NotEmpty(t, tests.Title())
			assert.NotEmpty(t, tests.Findings())
		}
		assert.LessOrEqual(t, len(tests.Tail()), report.TailLines)
	})
}
