package ship_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/ship"
)

// The same commit in two directories, once from an empty cache and once from a full one, and with files that say they are of
// another year: all that is published has the same bytes, from the programs to packages, changelog and bills of materials. The clock
// itself is the machine's: time namespaces have no other wall clock, and Go asks the kernel without a library that could be put in
// between. So the runs are some time apart, which shows in whatever tells seconds, and no day after the commit's may be in any of it.
func TestPublishIsReproducible(t *testing.T) {
	needsEngine(t)
	var all []map[string]string
	s := newStore(t)
	began := time.Now()
	for _, noCache := range []bool{false, true} {
		m, logins := newPublished(t, s)
		data, err := os.ReadFile(filepath.Join(m.dir, "slipway.yaml"))
		require.NoError(t, err)
		m.write("slipway.yaml", strings.Replace(string(data), "publish:\n", "    packages: {maintainer: Ada <ada@example.org>}\npublish:\n", 1))
		m.commit()
		m.git("tag", "-f", "v1.2.3")
		if noCache {
			m.age(t, time.Date(2031, 7, 8, 9, 10, 11, 12, time.UTC))
		}
		m.ships(ship.Publish, logins, func(o *ship.Options) { o.NoCache = noCache })
		search := newDates(began, time.Now())
		assert.Greater(t, search.lookBelow(t, m.dist(), "reports/"), 20)
		assert.Empty(t, search.found)
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

// age says of all files of the project that they were changed at a time.
func (m module) age(t *testing.T, at time.Time) {
	t.Helper()
	err := filepath.WalkDir(m.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git":
			return fs.SkipDir
		}
		return os.Chtimes(path, at, at)
	})
	require.NoError(t, err)
}
