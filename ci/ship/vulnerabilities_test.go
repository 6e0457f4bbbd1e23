package ship_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// vulnerable makes the service parse language tags with a version of x/text in which that can panic.
var vulnerable = map[string]string{
	"go.mod": "module example.com/hello\n\ngo 1.25\n\nrequire golang.org/x/text v0.3.5\n",
	"go.sum": `golang.org/x/text v0.3.5 h1:i6eZZ+zk0SOf0xgBpEpPD18qWcJda6q1sxt3S0kzyUQ=
golang.org/x/text v0.3.5/go.mod h1:5Zoc/QRtKVWzQhOtBMvqHzDpF6irO9z98xDceosuGiQ=
golang.org/x/tools v0.0.0-20180917221912-90fa682c2a6e/go.mod h1:n7NCudcB/nEzxVGmLbDWY5pfWTLqBcC2KZ6jyYvM4mQ=
`,
	"greet/language.go": "package greet\n\nimport \"golang.org/x/text/language\"\n\n// Language is a language's name in a form that all agree upon.\n" +
		"func Language(name string) string {\n\ttag, err := language.Parse(name)\n\tif err != nil {\n\t\treturn \"und\"\n\t}\n\treturn tag.String()\n}\n",
}

// writeVulnDB writes a database that knows one thing, in the layout of https://go.dev/security/vuln/database, as a mirror has it.
func writeVulnDB(t *testing.T, dir, modified string) {
	t.Helper()
	const id, fixed = "GO-2021-0113", "0.3.7"
	files := map[string]any{
		"index/db":      map[string]any{"modified": modified},
		"index/modules": []any{map[string]any{"path": "golang.org/x/text", "vulns": []any{map[string]any{"id": id, "modified": modified, "fixed": fixed}}}},
		"index/vulns":   []any{map[string]any{"id": id, "modified": modified}},
		"ID/" + id: map[string]any{
			"schema_version": "1.3.1", "id": id, "modified": modified, "published": "2021-10-06T17:51:21Z",
			"details": "Some language tags make Parse panic.",
			"affected": []any{map[string]any{
				"package":            map[string]any{"name": "golang.org/x/text", "ecosystem": "Go"},
				"ranges":             []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}, map[string]any{"fixed": fixed}}}},
				"ecosystem_specific": map[string]any{"imports": []any{map[string]any{"path": "golang.org/x/text/language", "symbols": []any{"Parse"}}}},
			}},
		},
	}
	for name, content := range files {
		data, err := json.Marshal(content)
		require.NoError(t, err)
		path := filepath.Join(dir, filepath.FromSlash(name)+".json")
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, data, 0o644))
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err = z.Write(data)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.NoError(t, os.WriteFile(path+".gz", packed.Bytes(), 0o644))
	}
}

// asks has a run ask a vulnerability database.
func asks(address string) func(*ship.Options) {
	return func(o *ship.Options) {
		getenv := o.Getenv
		o.Getenv = func(name string) string {
			if name == "GOVULNDB" {
				return address
			}
			return getenv(name)
		}
	}
}

func vulns(t *testing.T, m module) (v pipelines.Vulns) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(m.read("reports", "vuln.json")), &v))
	return v
}

// What the real govulncheck finds, with a database in a directory: it is shown, it stops a publish, and a person can accept it
// until a day. What was found or accepted is said of the image that is published.
func TestVulnerabilities(t *testing.T) {
	needsEngine(t)
	s := newStore(t)
	key, public := newKey(t)
	m, logins := newSigned(t, s, key)
	for name, text := range vulnerable {
		m.write(name, text)
	}
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	dir := t.TempDir()
	writeVulnDB(t, dir, "2026-01-02T03:04:05Z")
	database := asks("file://" + dir)

	shown := m.ships(ship.Verify, database)
	assert.Equal(t, report.Warned, steps(shown, "verify")["vulnerabilities"])
	known := vulns(t, m)
	assert.True(t, known.Checked)
	assert.Equal(t, "2026-01-02T03:04:05Z", known.Database)
	require.Len(t, known.Findings, 1)
	assert.Equal(t, "GO-2021-0113 in golang.org/x/text@v0.3.5 (Parse), fixed in v0.3.7", known.Findings[0].Message)
	assert.Equal(t, "greet/language.go", known.Findings[0].File)
	assert.Equal(t, 7, known.Findings[0].Line)

	stopped := m.fails(ship.Publish, logins, database)
	require.Len(t, stopped.Failures, 1)
	assert.Equal(t, "1 reachable vulnerability", stopped.Failures[0].Title)
	assert.Contains(t, stopped.Failures[0].Next, "verify.vuln.ignore")
	assert.Empty(t, stopped.Published)
	assert.Zero(t, s.count(), "nothing is sent")

	accept := func(until string) {
		config, err := os.ReadFile(filepath.Join(m.dir, "slipway.yaml"))
		require.NoError(t, err)
		before, _, _ := strings.Cut(string(config), "verify:")
		m.write("slipway.yaml", before+"verify:\n  vuln: {ignore: [{id: GO-2021-0113, reason: our tags are checked before, until: "+until+"}]}\n")
		m.commit()
		m.git("tag", "-f", "v1.2.3")
	}
	accept("2026-01-31") // which is over
	over := m.fails(ship.Publish, logins, database)
	require.Len(t, over.Failures, 1)
	assert.Equal(t, "1 reachable vulnerability", over.Failures[0].Title)
	accept("2999-12-31")
	published := m.ships(ship.Publish, logins, database).Published[0]
	assert.Empty(t, vulns(t, m).Findings)
	var kinds []string
	for _, a := range published.Attached {
		kinds = append(kinds, a.Type)
	}
	assert.Contains(t, kinds, attest.PredicateVulns)
	proven, err := m.verifies(published.Reference(), public, func(o *ship.VerifyOptions) { logins(&o.Options) })
	require.NoError(t, err)
	assert.Equal(t, report.OK, steps(proven, "verify-release")["vulnerability results"])

	s.count()
	m.ships(ship.Publish, logins, database)
	assert.Zero(t, s.count(), "the same results of the same database are not attached again")
	writeVulnDB(t, dir, "2026-02-03T04:05:06Z")
	newer := m.ships(ship.Publish, logins, database)
	assert.Equal(t, report.OK, steps(newer, "verify")["vulnerabilities"], "it looks again when the database is another one")
	assert.NotZero(t, s.count(), "and says so of the image")
}

// A database behind a web server of this machine, and what is said when it is not there: never that all is well.
func TestVulnerabilitiesFromAServer(t *testing.T) {
	needsEngine(t)
	dir := t.TempDir()
	writeVulnDB(t, dir, "2026-01-02T03:04:05Z")
	var half atomic.Bool
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if half.Load() && r.URL.Path != "/index/db.json" {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	s := newStore(t)
	m, logins := newPublished(t, s)
	for name, text := range vulnerable {
		m.write(name, text)
	}
	m.replace("slipway.yaml", "publish:\n", "verify: {strict: true}\npublish:\n")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	database := asks(server.URL)

	found := m.fails(ship.Verify, database)
	require.Len(t, found.Failures, 1)
	assert.Equal(t, "1 reachable vulnerability", found.Failures[0].Title, "strict")

	half.Store(true) // it says how new it is, and breaks off
	writeVulnDB(t, dir, "2026-01-03T03:04:05Z")
	unsure := m.ships(ship.Verify, database)
	assert.Equal(t, report.NotChecked, steps(unsure, "verify")["vulnerabilities"])
	assert.False(t, vulns(t, m).Checked)
	assert.Contains(t, vulns(t, m).Why, "govulncheck could not run")

	server.Close()
	down := m.fails(ship.Publish, logins, database)
	require.Len(t, down.Failures, 1)
	assert.Equal(t, "nobody knows whether there are reachable vulnerabilities", down.Failures[0].Title)
	assert.Equal(t, "the vulnerability database cannot be reached", down.Failures[0].Cause)
	assert.Zero(t, s.count())

	m.replace("slipway.yaml", "verify: {strict: true}\n", "")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	lenient := m.ships(ship.Publish, logins, database)
	assert.Equal(t, report.NotChecked, steps(lenient, "verify")["vulnerabilities"])
	assert.False(t, vulns(t, m).Checked)
	for _, a := range lenient.Published[0].Attached {
		assert.NotEqual(t, attest.PredicateVulns, a.Type, "there is nothing to say")
	}
}
