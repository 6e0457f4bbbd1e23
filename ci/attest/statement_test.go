package attest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

// statements are one of each kind.
func statements(t testing.TB) map[string]Statement {
	t.Helper()
	all := map[string]Statement{}
	keep := func(name string) func(Statement, error) {
		return func(s Statement, err error) {
			require.NoError(t, err)
			all[name] = s
		}
	}
	keep("signature")(Signature(greeter))
	keep("provenance")(Provenance(build(), greeter, Subject{Digest: digestB}))
	keep("tests")(Tests(tests(), source, greeter))
	keep("coverage")(Coverage(71.25, tests(), source, greeter))
	keep("vulns")(Vulnerabilities(scan(), greeter))
	keep("sbom")(SBOM([]byte(`{"bomFormat": "CycloneDX", "a": "<&>"}`), greeter))
	return all
}

func TestStatements(t *testing.T) {
	for name, s := range statements(t) {
		t.Run(name, func(t *testing.T) {
			data, err := s.Bytes()
			require.NoError(t, err)
			golden(t, name, data)
			assert.NotContains(t, string(data), "secret")
			read, err := ReadStatement(data)
			require.NoError(t, err)
			again, err := read.Bytes()
			require.NoError(t, err)
			assert.Equal(t, string(data), string(again))
			assert.True(t, Same(s, read))
		})
	}
}

func TestProvenanceOfALaptopAndOfGitHub(t *testing.T) {
	b := build()
	b.Builder = Where(github)
	data, err := provenanceOf(t, b).Bytes()
	require.NoError(t, err)
	golden(t, "provenance-github", data)
}

func TestProvenanceWithoutAnything(t *testing.T) {
	_, err := Provenance(Build{}, greeter)
	assert.ErrorContains(t, err, "does not say who built")
	s, err := Provenance(Build{Builder: Where(func(string) string { return "" })}, greeter)
	require.NoError(t, err)
	assert.Contains(t, string(s.Predicate), `"resolvedDependencies":[]`)
	assert.NotContains(t, string(s.Predicate), "metadata")
	_, err = Provenance(Build{Builder: Builder{ID: laptop}, Toolchain: Material{Name: "go", Digest: "sha256:1"}}, greeter)
	assert.ErrorContains(t, err, `"sha256:1" is no digest`)
}

func TestTestsThatPassed(t *testing.T) {
	s, err := Tests(report.Tests{}, Source{}, greeter)
	require.NoError(t, err)
	assert.JSONEq(t, `{"result":"PASSED","configuration":[],"passedTests":[],"warnedTests":[],"failedTests":[],"counts":{"passed":0,"failed":0,"skipped":0}}`, string(s.Predicate))
}

// Nobody looked is not the same as nothing was found.
func TestVulnerabilitiesThatNobodyLookedFor(t *testing.T) {
	_, err := Vulnerabilities(Scan{}, greeter)
	assert.ErrorContains(t, err, "nobody looked for them")
	s, err := Vulnerabilities(Scan{Checked: true}, greeter)
	require.NoError(t, err)
	assert.Contains(t, string(s.Predicate), `"result":[]`)
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		predicate string
		subjects  []Subject
		want      string
	}{
		"no subject":   {PredicateTests, nil, "about nothing"},
		"no type":      {"", []Subject{greeter}, "no type of predicate"},
		"no digest":    {PredicateTests, []Subject{{Name: "greeter"}}, "is no digest"},
		"short digest": {PredicateTests, []Subject{{Digest: "sha256:ab"}}, "is no digest"},
		"upper case":   {PredicateTests, []Subject{{Digest: "sha256:" + strings.Repeat("A", 64)}}, "is no digest"},
		"sha512":       {PredicateTests, []Subject{{Digest: "sha512:" + strings.Repeat("a", 128)}}, "is no digest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.predicate, nil, c.subjects...)
			assert.ErrorContains(t, err, c.want)
		})
	}
	_, err := New(PredicateTests, func() {}, greeter)
	assert.Error(t, err, "what JSON does not know")
}

func TestReadStatementRefuses(t *testing.T) {
	subject := `[{"digest": {"sha256": "` + strings.Repeat("a", 64) + `"}}]`
	for text, want := range map[string]string{
		``:   "no JSON",
		`[]`: "no JSON",
		`{}`: `type is ""`,
		`{"_type": "https://in-toto.io/Statement/v0.1", "subject": ` + subject + `, "predicateType": "x"}`:             "only https://in-toto.io/Statement/v1",
		`{"_type": "https://in-toto.io/Statement/v1", "subject": ` + subject + `}`:                                     "no type of predicate",
		`{"_type": "https://in-toto.io/Statement/v1", "predicateType": "x"}`:                                           "about nothing",
		`{"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {}}], "predicateType": "x"}`:              "about nothing",
		`{"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": "x"}}], "predicateType": "x"}`: "is no digest",
	} {
		_, err := ReadStatement([]byte(text))
		isType[*FormatError](t, err)
		assert.ErrorContains(t, err, want, text)
	}
}

// The order in which facts come does not matter, nor does the form of JSON.
func TestStatementsDependOnFactsAlone(t *testing.T) {
	holds := func(names []string) bool {
		b, c := build(), build()
		b.Targets, c.Targets = names, slices.Clone(names)
		slices.Reverse(c.Targets)
		c.Bases = append(c.Bases, c.Bases...)
		one, errOne := Provenance(b, greeter, Subject{Digest: digestB})
		two, errTwo := Provenance(c, Subject{Digest: digestB}, greeter)
		return errOne == nil && errTwo == nil && string(one.Predicate) == string(two.Predicate) && assert.Equal(t, one.Subjects, two.Subjects)
	}
	require.NoError(t, quick.Check(holds, nil))
}

func TestSame(t *testing.T) {
	for name, s := range statements(t) {
		for other, o := range statements(t) {
			assert.Equal(t, name == other, Same(s, o), "%s and %s", name, other)
		}
	}
	one := provenanceOf(t, build())
	for name, c := range map[string]struct {
		change func(*Build)
		same   bool
	}{
		"another time":      {func(b *Build) { b.Finished = b.Finished.AddDate(1, 0, 0) }, true},
		"another run":       {func(b *Build) { b.Builder.Invocation = "https://ci.example.org/2" }, true},
		"no time at all":    {func(b *Build) { b.Started, b.Finished = time.Time{}, time.Time{} }, true},
		"another commit":    {func(b *Build) { b.Source.Commit = strings.Repeat("9", 40) }, false},
		"another builder":   {func(b *Build) { b.Builder.ID = "https://ci.example.org" }, false},
		"another toolchain": {func(b *Build) { b.Toolchain.Digest = digestA }, false},
		"modified":          {func(b *Build) { b.Source.Modified = true }, false},
	} {
		b := build()
		c.change(&b)
		assert.Equal(t, c.same, Same(one, provenanceOf(t, b)), name)
	}
	elsewhere := one
	elsewhere.Subjects = []Subject{{Digest: digestB}}
	assert.False(t, Same(one, elsewhere), "another subject")
	renamed := one
	renamed.Subjects = []Subject{{Name: "mirror.example.org/greeter", Digest: digestA}}
	assert.True(t, Same(one, renamed), "names are for people")
}

func TestSameLooksPastTheForm(t *testing.T) {
	of := func(predicate string) Statement {
		return Statement{Subjects: []Subject{greeter}, Type: "x", Predicate: json.RawMessage(predicate)}
	}
	assert.True(t, Same(of(`{"a": 1, "b": [1.0, "ü"]}`), of(`{"b":[1.0,"\u00fc"],"a":1}`)))
	assert.False(t, Same(of(`{"a": 1}`), of(`{"a": 2}`)))
	assert.False(t, Same(of(`{"a": 9007199254740993}`), of(`{"a": 9007199254740992}`)), "numbers are not rounded")
	assert.False(t, Same(of(`{`), of(`{`)), "what cannot be read says nothing")
	scanned, err := Vulnerabilities(scan(), greeter)
	require.NoError(t, err)
	later := scan()
	later.Started, later.Finished, later.Builder.Invocation = committed.AddDate(0, 1, 0), committed.AddDate(0, 1, 0), "https://ci.example.org/2"
	again, err := Vulnerabilities(later, greeter)
	require.NoError(t, err)
	assert.True(t, Same(scanned, again))
	later.Published = "2026-04-01T00:00:00Z"
	again, err = Vulnerabilities(later, greeter)
	require.NoError(t, err)
	assert.False(t, Same(scanned, again), "a newer database says something new")
}

func FuzzReadStatement(f *testing.F) {
	for _, s := range statements(f) {
		data, err := s.Bytes()
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadStatement(data)
		if err != nil {
			isType[*FormatError](t, err)
			return
		}
		written, err := s.Bytes()
		require.NoError(t, err)
		again, err := ReadStatement(written)
		require.NoError(t, err)
		assert.True(t, Same(s, again))
	})
}
