package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFile bounds a configuration, which is read whole.
const maxFile = 4 << 20

// dockerFile is what we know of docker's config.json. podman's auth.json has
// the same keys.
type dockerFile struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredHelpers map[string]string     `json:"credHelpers"`
	CredsStore  string                `json:"credsStore"`
}

type dockerAuth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (f Finder) fromFile(ctx context.Context, path, host string) (Credential, error) {
	config, err := readFile(path)
	if err != nil {
		return Credential{}, err
	}
	if helper := lookUp(config.CredHelpers, host); helper != "" {
		return f.fromHelper(ctx, path, helper, host)
	}
	found, err := lookUp(config.Auths, host).credential(path)
	if err != nil || !found.Empty() {
		return found, err
	}
	if config.CredsStore == "" {
		return Credential{}, nil
	}
	return f.fromHelper(ctx, path, config.CredsStore, host)
}

// readFile reads a configuration. One that is not there is empty. What its
// decoder says is not passed on: it may quote what it read.
func readFile(path string) (dockerFile, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return dockerFile{}, nil
	}
	if err != nil {
		return dockerFile{}, fmt.Errorf("read registry credentials: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return dockerFile{}, fmt.Errorf("read registry credentials: %w", err)
	}
	var config dockerFile
	if json.Unmarshal(data, &config) != nil {
		return dockerFile{}, fmt.Errorf("read registry credentials: %s is no JSON of the form that docker login writes: repair it, or remove it and log in again", path)
	}
	return config, nil
}

// credential decodes an entry. auth is user:password in base 64; the fields of
// their own win.
func (a dockerAuth) credential(path string) (Credential, error) {
	found := Credential{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken, Source: path}
	if a.Auth == "" || found.Password != "" {
		return found, nil
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimRight(a.Auth, "\x00\n"))
	username, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return Credential{}, fmt.Errorf("read registry credentials: %s has an auth that is no user:password in base 64: log in again", path)
	}
	found.Username, found.Password = username, strings.TrimRight(password, "\x00")
	return found, nil
}

// lookUp finds the entry of a host. Keys may be addresses, as they were long
// ago, and Docker Hub has a name of its own.
func lookUp[V any](entries map[string]V, host string) V {
	if entry, ok := entries[host]; ok {
		return entry
	}
	for _, key := range []string{"https://" + host, "https://" + host + "/", "http://" + host, host + "/", "https://" + host + "/v1/", "https://" + host + "/v2/"} {
		if entry, ok := entries[key]; ok {
			return entry
		}
	}
	if host == "index.docker.io" {
		return lookUp(entries, "docker.io")
	}
	var none V
	return none
}
