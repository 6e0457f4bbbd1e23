package ship

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/oci/credentials"
	"github.com/slipway-ci/slipway/ci/project"
)

// A registry that takes the identity of a CI job gets it, for its audience, where nobody has logged in; nobody else does.
func TestRegistriesTakeIdentities(t *testing.T) {
	asked := 0
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		assert.Equal(t, "Bearer of-the-job", r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(`{"value":"token for ` + r.URL.Query().Get("audience") + `"}`))
	}))
	defer github.Close()
	variables := map[string]string{"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": github.URL + "/?job=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job"}
	publish := project.Publish{Registries: map[string]project.Registry{
		"one.example.org": {Identity: &project.RegistryIdentity{Username: "robot", Audience: "team"}}, "two.example.org": {},
	}}
	l := newLogins(Options{Getenv: func(name string) string { return variables[name] }}, publish)
	for range 2 { // it is asked for anew: what it said before may not hold any more
		found, err := l.Credential(t.Context(), "one.example.org")
		require.NoError(t, err)
		assert.Equal(t, credentials.Credential{Username: "robot", Password: "token for team", Source: "the identity of this job"}, found)
	}
	assert.Equal(t, 2, asked)
	assert.Equal(t, "the identity of this job", l.describe("one.example.org"))
	for _, host := range []string{"two.example.org", "three.example.org"} {
		found, err := l.Credential(t.Context(), host)
		require.NoError(t, err)
		assert.True(t, found.Empty(), host)
	}

	l.found["one.example.org"] = credentials.Credential{Username: "ada", Password: "secret", Source: "a file"}
	found, err := l.Credential(t.Context(), "one.example.org")
	require.NoError(t, err)
	assert.Equal(t, "ada", found.Username, "a login wins")
	assert.Equal(t, 2, asked)

	nobody := newLogins(Options{Getenv: func(string) string { return "" }}, publish)
	_, err = nobody.Credential(t.Context(), "one.example.org")
	assert.ErrorContains(t, err, "takes the identity of a CI job, and there is no login either")
}
