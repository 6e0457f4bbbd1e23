package ship_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/attest/keyless/keylesstest"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// withEnv has a run see variables.
func withEnv(values map[string]string) func(*ship.Options) {
	return func(o *ship.Options) {
		getenv := o.Getenv
		o.Getenv = func(name string) string {
			if value, ok := values[name]; ok {
				return value
			}
			return getenv(name)
		}
	}
}

// A job of GitHub Actions signs without a key, by slipway.yaml alone. verify-release believes this issuer and this identity, letter
// by letter, and nobody else.
func TestPublishKeyless(t *testing.T) {
	needsEngine(t)
	s := newStore(t)
	world := keylesstest.New(t)
	m, logins := newPublished(t, s)
	m.write("sigstore/root.json", string(world.RootJSON()))
	m.replace("slipway.yaml", "publish:\n", "publish:\n  sign: {keyless: {fulcio: \""+world.URL()+"\", rekor: \""+world.URL()+"\", timestamps: \""+world.Timestamps()+"\", root: sigstore/root.json}}\n")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	job := withEnv(keylesstest.GitHubJob(t))

	var usage *ship.UsageError
	outside := m.options()
	withEnv(map[string]string{"GITHUB_ACTIONS": "", "GITLAB_CI": "", "SIGSTORE_ID_TOKEN": ""})(&outside)
	_, err := m.run(t.Context(), ship.Publish, outside, nil)
	require.ErrorAs(t, err, &usage, "nobody says who signs: that is told before anything is built")
	assert.Contains(t, err.Error(), "GitHub Actions or GitLab CI")
	assert.Contains(t, err.Error(), "SIGSTORE_ID_TOKEN")

	published := m.ships(ship.Publish, logins, job).Published[0]
	assert.Equal(t, keylesstest.Identity+" (issuer "+keylesstest.Issuer+")", published.Signed)
	assert.Equal(t, 1, world.Certified(), "one certificate for all statements")
	s.count()
	again := m.ships(ship.Publish, logins, withEnv(map[string]string{"SIGSTORE_ID_TOKEN": keylesstest.Token}))
	assert.Zero(t, s.count(), "what the same one has signed is not signed again")
	assert.Equal(t, report.Cached, steps(again, "publish")["hello"])
	assertHidden(t, m.dist(), keylesstest.Token)
	assertHidden(t, m.dist(), "job-secret")

	believes := func(issuer, identity string) (report.Run, error) {
		return m.verifies(published.Reference(), "", func(o *ship.VerifyOptions) {
			logins(&o.Options)
			o.Trust = ship.Trust{Issuer: issuer, Identity: identity}
		})
	}
	proven, err := believes(keylesstest.Issuer, keylesstest.Identity)
	require.NoError(t, err)
	require.Equal(t, ship.ExitOK, proven.ExitCode, outline(proven))
	for _, step := range []string{"signature", "provenance", "bill of materials", "test results"} {
		assert.Equal(t, report.OK, steps(proven, "verify-release")[step], step)
	}
	for issuer, identity := range map[string]string{
		keylesstest.Issuer:            strings.Replace(keylesstest.Identity, "refs/tags/v1.2.3", "refs/heads/main", 1),
		keylesstest.Issuer + "/":      keylesstest.Identity,
		"https://accounts.google.com": keylesstest.Identity,
	} {
		refused, err := believes(issuer, identity)
		require.NoError(t, err)
		require.Equal(t, ship.ExitFailed, refused.ExitCode, identity)
		assert.Equal(t, "the signature does not hold", refused.Failures[0].Title)
		assert.Contains(t, refused.Failures[0].Cause, keylesstest.Identity, "it says who did sign")
	}
	_, err = believes("", "")
	require.ErrorAs(t, err, &usage)
	assert.Contains(t, err.Error(), "--issuer and --identity")

	_, public := newKey(t)
	byKey, err := m.verifies(published.Reference(), public, func(o *ship.VerifyOptions) { logins(&o.Options) })
	require.NoError(t, err)
	assert.Equal(t, ship.ExitFailed, byKey.ExitCode, "nor does a key")

	world.Issuer = "https://token.example.com" // somebody else's token: the same statements are signed again, by them
	other := m.ships(ship.Publish, logins, job).Published[0]
	assert.Equal(t, keylesstest.Identity+" (issuer https://token.example.com)", other.Signed)
	assert.NotZero(t, s.count())
	still, err := believes(keylesstest.Issuer, keylesstest.Identity)
	require.NoError(t, err)
	assert.Equal(t, ship.ExitOK, still.ExitCode, "the first one's are there still")
}

// A Sigstore that is down leaves the tags where they were.
func TestPublishKeylessFails(t *testing.T) {
	needsEngine(t)
	s := newStore(t)
	world := keylesstest.New(t)
	m, logins := newPublished(t, s)
	m.write("sigstore/root.json", string(world.RootJSON()))
	m.replace("slipway.yaml", "publish:\n", "publish:\n  sign: {keyless: {token: env://WHO, fulcio: \""+world.URL()+"\", rekor: \""+world.URL()+"\", root: sigstore/root.json}}\n")
	m.commit()
	m.git("tag", "-f", "v1.2.3")
	token := withEnv(map[string]string{"WHO": keylesstest.Token})
	world.Answer = func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusForbidden)
	}
	failed := m.fails(ship.Publish, logins, token)
	require.NotEmpty(t, failed.Failures)
	assert.Contains(t, strings.Join(failed.Failures[0].Tail, "\n"), "403")
	assert.NotContains(t, m.read("reports", "run.json"), keylesstest.Token)
	_, status := s.get(t, "1.2.3")
	assert.Equal(t, http.StatusNotFound, status)

	world.Answer = nil
	whole := m.ships(ship.Publish, logins, token)
	digest, _ := s.get(t, "1.2.3")
	assert.Equal(t, imageDigest(whole), digest)

	_, err := m.run(t.Context(), ship.Publish, func() ship.Options {
		o := m.options()
		logins(&o)
		withEnv(map[string]string{"WHO": "not-a-token"})(&o)
		return o
	}(), nil)
	require.ErrorContains(t, err, "no OIDC token")
	assert.NotContains(t, err.Error(), "not-a-token")
}
