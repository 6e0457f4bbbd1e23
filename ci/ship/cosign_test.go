package ship_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/internal/cosigntest"
)

// What publish wrote, with a key that cosign made, cosign accepts: the signature, and each statement by its type. With another
// key it accepts none.
func TestCosignAcceptsWhatPublishWrote(t *testing.T) {
	needsEngine(t)
	program, dir := cosigntest.Program(t), t.TempDir()
	for _, name := range []string{"cosign", "other"} {
		output, err := cosigntest.Run(t, program, dir, "generate-key-pair", "--output-key-prefix", name)
		require.NoError(t, err, output)
	}
	key, err := os.ReadFile(filepath.Join(dir, "cosign.key"))
	require.NoError(t, err)
	s := newStore(t)
	m, signed := newSigned(t, s, string(key))
	m.replace("slipway.yaml", "sign: {key: env://SIGNING_KEY}", "sign: {key: env://SIGNING_KEY, password: env://SIGNING_PASSWORD}")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	published := m.ships(ship.Publish, signed, func(o *ship.Options) {
		getenv := o.Getenv
		o.Getenv = func(name string) string {
			if name == "SIGNING_PASSWORD" {
				return cosigntest.Password
			}
			return getenv(name)
		}
	}).Published[0]

	require.NoError(t, os.Mkdir(filepath.Join(dir, ".docker"), 0o700))
	login := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, s.host(), base64.StdEncoding.EncodeToString([]byte("ada:"+password)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".docker", "config.json"), []byte(login), 0o600))
	verify := func(verb, public string, more ...string) (string, error) {
		arguments := append([]string{verb, "--key", public, "--insecure-ignore-tlog=true", "--allow-http-registry"}, more...)
		return cosigntest.Run(t, program, dir, append(arguments, published.Repository+":1.2.3")...)
	}
	output, err := verify("verify", "cosign.pub")
	require.NoError(t, err, output)
	assert.Contains(t, output, published.Digest)
	for _, kind := range []string{"slsaprovenance1", "cyclonedx", attest.PredicateTests, attest.PredicateCoverage} {
		output, err := verify("verify-attestation", "cosign.pub", "--type", kind)
		assert.NoError(t, err, "%s: %s", kind, output)
	}
	output, err = verify("verify", "other.pub")
	assert.Error(t, err, output)
}
