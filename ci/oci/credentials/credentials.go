// Package credentials finds what a registry wants to see before it lets
// someone push. It looks, in this order, at
//
//  1. the environment: SLIPWAY_REGISTRY_HOST with SLIPWAY_REGISTRY_USERNAME
//     and SLIPWAY_REGISTRY_PASSWORD, or with SLIPWAY_REGISTRY_TOKEN. They are
//     for that host and no other.
//  2. what docker login and podman login wrote: $DOCKER_CONFIG/config.json or
//     ~/.docker/config.json, $REGISTRY_AUTH_FILE, and
//     $XDG_RUNTIME_DIR/containers/auth.json. In each, the host's own helper
//     (credHelpers), then auths, then the helper for all (credsStore). A
//     helper is the program docker-credential-NAME, which gets ten seconds.
//  3. GITHUB_TOKEN with GITHUB_ACTOR, for GitHub's own registry only: that is
//     ghcr.io, or containers.HOST where GITHUB_SERVER_URL names another HOST.
//
// The first that has something decides; where none has, the credential is
// empty and the registry is asked without one. A Credential knows where it
// came from and prints that, never its secrets.
package credentials

import (
	"encoding/json"
	"log/slog"
)

// Credential is what a registry, or its token service, is shown.
type Credential struct {
	Username string
	Password string
	// IdentityToken is exchanged for tokens at the registry's token service.
	IdentityToken string
	// RegistryToken is shown to the registry as it is.
	RegistryToken string
	// Source says for people where it came from.
	Source string
}

// Empty says whether there is nothing to show.
func (c Credential) Empty() bool {
	return c.Password == "" && c.IdentityToken == "" && c.RegistryToken == ""
}

// Secrets are the values that nobody may read.
func (c Credential) Secrets() []string {
	var secrets []string
	for _, secret := range []string{c.Password, c.IdentityToken, c.RegistryToken} {
		if secret != "" {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// String is the source.
func (c Credential) String() string {
	if c.Empty() {
		return "no credential"
	}
	return "the credential from " + c.Source
}

// GoString is the source too, so that %#v tells no more than %v.
func (c Credential) GoString() string { return c.String() }

// LogValue is the source too.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is the source too.
func (c Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

var (
	_ json.Marshaler = Credential{}
	_ slog.LogValuer = Credential{}
)
