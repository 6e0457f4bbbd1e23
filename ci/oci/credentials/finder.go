package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"
)

// The variables that name a credential for one host.
const (
	HostVariable     = "SLIPWAY_REGISTRY_HOST"
	UsernameVariable = "SLIPWAY_REGISTRY_USERNAME"
	PasswordVariable = "SLIPWAY_REGISTRY_PASSWORD"
	TokenVariable    = "SLIPWAY_REGISTRY_TOKEN"
)

// helperTime is how long a credential helper may take.
const helperTime = 10 * time.Second

// Finder looks for credentials. The process's own environment is not read:
// Getenv and Home say what there is.
type Finder struct {
	// Getenv reads a variable. Left out: no variable is set.
	Getenv func(string) string
	// Home is the user's home directory. Left out: there is none.
	Home string
	// HelperTime is how long a helper may take. Left out: 10 seconds.
	HelperTime time.Duration
	// Helper runs docker-credential-NAME get with the host as its input and
	// returns its output. Left out: the program on PATH is run.
	Helper func(ctx context.Context, name, host string) ([]byte, error)
}

// Credential is the one for a host, as references have it: "example.org" or
// "example.org:5000". It is empty where nothing is known of the host. An error
// means that something is there and cannot be used.
func (f Finder) Credential(ctx context.Context, host string) (Credential, error) {
	f = f.settled()
	found, err := f.environment(host)
	if err != nil || !found.Empty() {
		return found, err
	}
	for _, file := range f.files() {
		found, err := f.fromFile(ctx, file, host)
		if err != nil || !found.Empty() {
			return found, err
		}
	}
	return f.github(host), nil
}

func (f Finder) settled() Finder {
	if f.Getenv == nil {
		f.Getenv = func(string) string { return "" }
	}
	if f.HelperTime <= 0 {
		f.HelperTime = helperTime
	}
	if f.Helper == nil {
		f.Helper = runHelper
	}
	return f
}

// environment is the credential in variables of our own. They are useless
// without a host: a password must not go to whatever registry is named.
func (f Finder) environment(host string) (Credential, error) {
	wanted, password, token := f.Getenv(HostVariable), f.Getenv(PasswordVariable), f.Getenv(TokenVariable)
	if password == "" && token == "" {
		return Credential{}, nil
	}
	if wanted == "" {
		return Credential{}, errors.New(PasswordVariable + " or " + TokenVariable + " is set without the registry that it is for: set " + HostVariable + " too")
	}
	if wanted != host {
		return Credential{}, nil
	}
	if token != "" {
		return Credential{RegistryToken: token, Source: "the variable " + TokenVariable}, nil
	}
	username := f.Getenv(UsernameVariable)
	if username == "" {
		return Credential{}, fmt.Errorf("%s is set without a user: set %s too", PasswordVariable, UsernameVariable)
	}
	return Credential{Username: username, Password: password, Source: "the variable " + PasswordVariable}, nil
}

// files are the places where logins are kept, in order.
func (f Finder) files() []string {
	var files []string
	add := func(dir string, elements ...string) {
		if dir != "" {
			files = append(files, filepath.Join(append([]string{dir}, elements...)...))
		}
	}
	if dir := f.Getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(f.Home, ".docker", "config.json")
	}
	add(f.Getenv("REGISTRY_AUTH_FILE"))
	add(f.Getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	return files
}

// github is the token of a workflow, for the registry of that GitHub.
func (f Finder) github(host string) Credential {
	token := f.Getenv("GITHUB_TOKEN")
	if token == "" || host != githubRegistry(f.Getenv("GITHUB_SERVER_URL")) {
		return Credential{}
	}
	actor := f.Getenv("GITHUB_ACTOR")
	if actor == "" {
		actor = "x-access-token" // any name will do
	}
	return Credential{Username: actor, Password: token, Source: "the variable GITHUB_TOKEN"}
}

// githubRegistry is the registry that belongs to a GitHub server.
func githubRegistry(server string) string {
	if server == "" || server == "https://github.com" {
		return "ghcr.io"
	}
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return "containers." + u.Hostname()
}
