package ship_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/release/forge/forgetest"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

const forgeToken = forgetest.Token

// A tagged version becomes a release with its archives, packages, bills of materials and checksums. One that ends half-way is
// completed by the next run, and a third one sends nothing.
func TestRelease(t *testing.T) {
	needsEngine(t)
	hub, stop := forgetest.New()
	t.Cleanup(stop)
	m := newModule(t, "service", nil)
	data, err := os.ReadFile(filepath.Join(m.dir, "slipway.yaml"))
	require.NoError(t, err)
	m.write("slipway.yaml", string(data)+"    packages: {formats: [deb, rpm], description: Says hello, maintainer: Ada <ada@example.org>, license: MIT}\n"+
		"publish:\n  github: {repository: example/greeter, api: \""+hub.API+"\"}\n")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	m.write("greet/greet.go", strings.ReplaceAll(greeting, "1980", "1981"))
	m.git("add", ".")
	m.git("commit", "-q", "-m", "feat(greet): tell the time")
	m.git("tag", "v1.3.0")
	hub.Commits = []string{m.git("rev-parse", "HEAD")}
	token := func(o *ship.Options) {
		getenv := o.Getenv
		o.Getenv = func(name string) string {
			if name == "GITHUB_TOKEN" {
				return forgeToken
			}
			return getenv(name)
		}
	}

	sent := 0
	hub.Fault = func(_ int, r *http.Request) *forgetest.Fault {
		if strings.Contains(r.URL.Path, "/assets") && r.Method == http.MethodPost {
			sent++
		}
		if sent > 3 {
			return &forgetest.Fault{Status: http.StatusForbidden, Body: forgeToken + " may not"}
		}
		return nil
	}
	half := m.fails(ship.Publish, token)
	assert.Equal(t, "the release on GitHub is not complete", half.Failures[0].Title)
	assert.Nil(t, hub.Release("v1.3.0"), "nobody sees it")
	assert.Equal(t, 3, strings.Count(m.read("reports", "ledger.jsonl"), `"kind":"asset"`), "what has arrived is written down")
	hub.Fault = nil

	whole := m.ships(ship.Publish, token)
	release := hub.Release("v1.3.0")
	require.NotNil(t, release)
	require.Len(t, whole.Releases, 1)
	var want []string
	for _, name := range []string{
		"hello_1.3.0_linux_amd64.tar.gz", "hello_1.3.0_linux_arm64.tar.gz", "hello_1.3.0_linux_amd64.deb", "hello_1.3.0_linux_amd64.rpm",
		"hello_1.3.0_linux_arm64.deb", "hello_1.3.0_linux_arm64.rpm", "hello_linux_amd64.cdx.json", "hello_linux_arm64.cdx.json", "hello_image.cdx.json", "checksums.txt",
	} {
		want = append(want, name)
		assert.Equal(t, 1, hub.Received(name), name)
	}
	assert.ElementsMatch(t, want, whole.Releases[0].Files)
	assert.Contains(t, m.read("CHANGELOG.md"), "tell the time")
	assert.Contains(t, m.read("reports", "ledger.jsonl"), "example/greeter/v1.3.0/checksums.txt")
	assertHidden(t, m.dist(), forgeToken)

	again := m.ships(ship.Publish, token)
	assert.Equal(t, report.Cached, steps(again, "release")["example/greeter"])
	assert.Empty(t, again.Releases[0].Sent)

	m.write("README.md", "# more\n")
	m.commit()
	between := m.ships(ship.Publish, token)
	assert.Equal(t, report.Skipped, steps(between, "release")["example/greeter"], "no tagged version")
}
