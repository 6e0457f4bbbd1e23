package ship

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/pipelines"
)

func TestVulnDBInADirectory(t *testing.T) {
	dir := t.TempDir()
	ask := func() pipelines.VulnDB {
		return vulnDB(t.Context(), func(string) string { return "file://" + dir + "/" })
	}
	assert.Contains(t, ask().Why, "no such file", "without its version, nobody knows when to look again")
	put(t, filepath.Join(dir, "index", "db.json"), `{}`)
	assert.Contains(t, ask().Why, "does not say how new it is")
	put(t, filepath.Join(dir, "index", "db.json"), `{"modified":"2026-01-02T03:04:05Z"}`)
	assert.Equal(t, pipelines.VulnDB{URL: "file://" + dir, Modified: "2026-01-02T03:04:05Z", Dir: dir}, ask())
	assert.Empty(t, publicAddress(ask()), "where it lies on this machine is not published")
}

func TestVulnDBRefuses(t *testing.T) {
	for address, why := range map[string]string{
		"http://%zz":                      "GOVULNDB is not an address",
		"ftp://vuln.example.org":          "is not an address such as",
		"file:vulndb":                     "is not an address such as",
		"/srv/vulndb":                     "is not an address such as",
		"https://me:pw@vuln.example.org/": "a user or a password",
	} {
		db := vulnDB(t.Context(), func(string) string { return address })
		assert.Contains(t, db.Why, why, address)
		assert.Empty(t, db.Modified, address)
		assert.Empty(t, db.URL, "it is not repeated")
	}
}
