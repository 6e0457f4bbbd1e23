package pipelines

import (
	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/report"
)

// Paths inside the containers. All that is mounted or cached is named here and nowhere else.
const (
	goRoot     = "/usr/local/go"
	home       = "/home/slipway"
	goPath     = home + "/go" // modules and what the checksum database said of them
	buildCache = home + "/.cache/go-build"
	lintCache  = home + "/.cache/staticcheck"
	sourceDir  = report.SourceRoot
	outDir     = "/out"
	inboxPath  = "/slipway/inbox"
	resultDir  = "/slipway/result"
	requestDir = "/slipway/request"
	caBundle   = "/etc/ssl/certs/ca-certificates.crt"
)

// owner is the user that every command runs as. One user for all, so that they can share the cache volumes.
const owner = "1000:1000"

// volumes are the caches that live in the engine from run to run. The go command locks them itself, so they are shared.
var volumes = map[string]string{
	goPath:     "slipway-go-path-v1",
	buildCache: "slipway-go-build-v1",
	lintCache:  "slipway-staticcheck-v1",
}

// withCaches mounts the cache volumes.
func (s Stages) withCaches(c *dagger.Container) *dagger.Container {
	for _, path := range []string{goPath, buildCache, lintCache} {
		c = c.WithMountedCache(path, s.Client.CacheVolume(volumes[path]), dagger.ContainerWithMountedCacheOpts{
			Owner: owner, Sharing: dagger.CacheSharingModeShared,
		})
	}
	return c
}
