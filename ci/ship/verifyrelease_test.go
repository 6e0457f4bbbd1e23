package ship_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// newKey is a private key and its public half, as PEM.
func newKey(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	publicDER, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER}))
}

// newSigned is the service with a place for its image and a key, for one platform.
func newSigned(t *testing.T, s *store, key string) (module, func(*ship.Options)) {
	t.Helper()
	m, logins := newPublished(t, s)
	m.replace("slipway.yaml", "targets: [linux/amd64, linux/arm64]", "targets: [linux/"+runtime.GOARCH+"]")
	m.replace("slipway.yaml", "publish:\n", "publish:\n  sign: {key: env://SIGNING_KEY}\n")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	return m, func(o *ship.Options) {
		logins(o)
		getenv := o.Getenv
		o.Getenv = func(name string) string {
			if name == "SIGNING_KEY" {
				return key
			}
			return getenv(name)
		}
	}
}

// verifies runs verify-release.
func (m module) verifies(reference, public string, change ...func(*ship.VerifyOptions)) (report.Run, error) {
	m.t.Helper()
	o := ship.VerifyOptions{Options: m.options(), Reference: reference, Trust: ship.Trust{Key: []byte(public)}}
	for _, c := range change {
		c(&o)
	}
	run, err := ship.VerifyRelease(m.t.Context(), o, nil)
	m.t.Log(outline(run))
	return run, err
}

// What publish signs, verify-release proves; without the signature, with another key, or with a byte changed, it does not.
func TestVerifyRelease(t *testing.T) {
	needsEngine(t)
	s := newStore(t)
	key, public := newKey(t)
	m, logins := newSigned(t, s, key)
	withLogins := func(o *ship.VerifyOptions) { logins(&o.Options) }

	published := m.ships(ship.Publish, logins).Published[0]
	assert.Contains(t, published.Signed, "key ")
	assert.FileExists(t, m.dist("sbom", "hello_image.cdx.json"))
	assert.FileExists(t, m.dist("sbom", "hello_linux_"+runtime.GOARCH+".cdx.json"))
	assertNoPassword(t, m.dist())
	for _, line := range strings.Split(key, "\n")[1:3] {
		for _, file := range []string{"run.json", "junit.xml"} {
			assert.NotContains(t, m.read("reports", file), line)
		}
	}
	s.count()
	again := m.ships(ship.Publish, logins)
	assert.Zero(t, s.count(), "nothing is sent, signatures neither")
	assert.Equal(t, report.Cached, steps(again, "publish")["hello"])

	for _, reference := range []string{published.Repository + ":1.2.3", published.Reference()} {
		good, err := m.verifies(reference, public, withLogins)
		require.NoError(t, err)
		assert.Equal(t, ship.ExitOK, good.ExitCode)
		for _, step := range []string{"digest", "signature", "provenance", "bill of materials", "test results", "coverage"} {
			assert.Equal(t, report.OK, steps(good, "verify-release")[step], step)
		}
	}
	own, err := m.verifies(published.Reference(), "", withLogins)
	require.NoError(t, err)
	assert.Equal(t, ship.ExitOK, own.ExitCode, "the key of slipway.yaml")

	s.fails(func(w http.ResponseWriter, r *http.Request) bool { // somebody has changed what lies there
		if !strings.Contains(r.URL.Path, "/blobs/") || r.Method != http.MethodGet {
			return false
		}
		_, _ = io.WriteString(w, "something else")
		return true
	})
	changed, err := m.verifies(published.Reference(), public, withLogins)
	require.NoError(t, err)
	require.Equal(t, ship.ExitFailed, changed.ExitCode)
	assert.Equal(t, "the release cannot be read as what it claims to be", changed.Failures[0].Title)
	s.fails(nil)

	_, other := newKey(t)
	wrong, err := m.verifies(published.Reference(), other, withLogins)
	require.NoError(t, err)
	require.Equal(t, ship.ExitFailed, wrong.ExitCode)
	assert.Equal(t, "the signature does not hold", wrong.Failures[0].Title)
	assert.Contains(t, wrong.Failures[0].Cause, "signed with")
	assert.NotContains(t, steps(wrong, "verify-release"), "provenance", "nothing more is said of it")

	m.replace("slipway.yaml", "  sign: {key: env://SIGNING_KEY}\n", "")
	m.replace("greet/greet.go", `"hello, "`, `"welcome, "`)
	m.replace("greet/greet_test.go", `"hello, you"`, `"welcome, you"`)
	m.commit()
	m.git("tag", "v1.2.4")
	bare := m.ships(ship.Publish, logins).Published[0]
	assert.Empty(t, bare.Signed)
	unsigned, err := m.verifies(bare.Reference(), public, withLogins)
	require.NoError(t, err)
	require.Equal(t, ship.ExitFailed, unsigned.ExitCode)
	assert.Contains(t, unsigned.Failures[0].Cause, "has no signature")

	_, err = m.verifies(published.Reference(), "", withLogins)
	var usage *ship.UsageError
	require.ErrorAs(t, err, &usage, "there is no key to take")
	assert.Contains(t, err.Error(), "--key")
}

// The commit of a provenance builds the same image again, elsewhere and without a cache. A time that somebody has planted is
// found, and shown.
func TestRebuild(t *testing.T) {
	needsEngine(t)
	s := newStore(t)
	key, public := newKey(t)
	m, logins := newSigned(t, s, key)
	rebuilt := func(o *ship.VerifyOptions) { logins(&o.Options); o.Rebuild = true }

	m.write("greet/greet.go", greeting)
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	honest := m.ships(ship.Publish, logins).Published[0]
	same, err := m.verifies(honest.Reference(), public, rebuilt)
	require.NoError(t, err)
	assert.Equal(t, ship.ExitOK, same.ExitCode)
	assert.Equal(t, report.OK, steps(same, "verify-release")["rebuild"])

	m.write("README.md", "# another version\n")
	m.commit()
	m.git("tag", "v1.2.4")
	planted := m.ships(ship.Publish, logins, func(o *ship.Options) {
		o.Change = func(_ pipelines.Stages, source *dagger.Directory) *dagger.Directory {
			return source.WithNewFile("greet/greet.go", strings.ReplaceAll(greeting, "1980-01-01T00:00:00Z", "2031-12-24T18:00:00Z"))
		}
	}).Published[0]
	found, err := m.verifies(planted.Reference(), public, rebuilt)
	require.NoError(t, err)
	require.Equal(t, ship.ExitFailed, found.ExitCode)
	assert.Equal(t, "what was published is not what its commit builds", found.Failures[0].Title)
	differences := strings.Join(found.Failures[0].Tail, "\n")
	assert.Contains(t, differences, "/app: content differs")
	assert.Contains(t, differences, "2031-12-24T18:00:00Z")
	assert.Contains(t, differences, "1980-01-01T00:00:00Z")
	left, err := filepath.Glob(filepath.Join(cacheDir(t), "rebuild-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

const greeting = `package greet

// Text greets somebody.
//
//go:noinline
func Text(name string) string {
	switch name {
	case "":
		return "hello"
	case "when":
		return "built at 1980-01-01T00:00:00Z"
	}
	return "hello, " + name
}
`

func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := ship.CacheDir(os.Getenv)
	require.NoError(t, err)
	return dir
}
