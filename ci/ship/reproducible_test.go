package ship_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/ship"
)

// The same commit in two directories, once from an empty cache and once from a full one: all that is published has the same
// bytes, from the programs to packages, changelog and bills of materials.
func TestPublishIsReproducible(t *testing.T) {
	needsEngine(t)
	var all []map[string]string
	s := newStore(t)
	for _, noCache := range []bool{false, true} {
		m, logins := newPublished(t, s)
		data, err := os.ReadFile(filepath.Join(m.dir, "slipway.yaml"))
		require.NoError(t, err)
		m.write("slipway.yaml", strings.Replace(string(data), "publish:\n", "    packages: {maintainer: Ada <ada@example.org>}\npublish:\n", 1))
		m.commit()
		m.git("tag", "-f", "v1.2.3")
		m.ships(ship.Publish, logins, func(o *ship.Options) { o.NoCache = noCache })
		sums := hashes(t, m.dist())
		for name := range sums {
			if strings.HasPrefix(name, "reports/") {
				delete(sums, name)
			}
		}
		all = append(all, sums)
	}
	assert.Equal(t, all[0], all[1])
	for _, name := range []string{"hello_1.2.3_linux_amd64.deb", "hello_1.2.3_linux_arm64.apk", "sbom/hello_image.cdx.json", "sbom/hello_linux_arm64.cdx.json", "CHANGELOG.md"} {
		assert.Contains(t, all[0], name)
	}
}
