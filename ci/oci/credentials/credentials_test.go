package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const secret = "s3cr3t-of-this-test"

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// home is a home directory with a docker configuration.
func home(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".docker"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".docker", "config.json"), []byte(config), 0o600))
	return dir
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func find(t *testing.T, f Finder, host string) Credential {
	t.Helper()
	found, err := f.Credential(t.Context(), host)
	require.NoError(t, err)
	return found
}

func TestNothingIsAnonymous(t *testing.T) {
	found := find(t, Finder{}, "example.org")
	assert.True(t, found.Empty())
	assert.Equal(t, "no credential", found.String())
}

func TestFiles(t *testing.T) {
	config := fmt.Sprintf(`{"auths": {
		"example.org": {"auth": %q},
		"https://old.example.org/v1/": {"username": "u", "password": %q},
		"https://index.docker.io/v1/": {"auth": %q},
		"token.example.org": {"identitytoken": %q},
		"empty.example.org": {}
	}}`, basic("user", secret+":with:colons"), secret, basic("hub", secret), secret)
	f := Finder{Home: home(t, config)}
	found := find(t, f, "example.org")
	assert.Equal(t, "user", found.Username)
	assert.Equal(t, secret+":with:colons", found.Password)
	assert.Equal(t, filepath.Join(f.Home, ".docker", "config.json"), found.Source)
	assert.Equal(t, secret, find(t, f, "old.example.org").Password)
	assert.Equal(t, "hub", find(t, f, "index.docker.io").Username)
	assert.Equal(t, secret, find(t, f, "token.example.org").IdentityToken)
	assert.True(t, find(t, f, "empty.example.org").Empty())
	assert.True(t, find(t, f, "example.org:5000").Empty(), "another port is another registry")

	elsewhere := filepath.Join(f.Home, ".docker")
	assert.Equal(t, "user", find(t, Finder{Getenv: env("DOCKER_CONFIG", elsewhere)}, "example.org").Username)
	assert.Equal(t, "user", find(t, Finder{Getenv: env("REGISTRY_AUTH_FILE", filepath.Join(elsewhere, "config.json"))}, "example.org").Username)
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	for config, want := range map[string]string{
		`{"auths": "` + secret: "is no JSON of the form that docker login writes",
		`{"auths": {"example.org": {"auth": "` + secret + `"}}}`:                      "no user:password in base 64",
		`{"credHelpers": {"example.org": "../../bin/sh"}}`:                            "no name of a helper",
		`{"credHelpers": {"example.org": "surely-not-installed-` + t.Name() + `-x"}}`: "is not on PATH",
	} {
		_, err := Finder{Home: home(t, config)}.Credential(t.Context(), "example.org")
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), secret)
	}
}

func TestEnvironment(t *testing.T) {
	pairs := []string{HostVariable, "example.org", UsernameVariable, "user", PasswordVariable, secret}
	f := Finder{Getenv: env(pairs...), Home: home(t, `{"auths": {"example.org": {"auth": "`+basic("file", "x")+`"}, "other.example.org": {"auth": "`+basic("file", "x")+`"}}}`)}
	assert.Equal(t, Credential{Username: "user", Password: secret, Source: "the variable " + PasswordVariable}, find(t, f, "example.org"))
	assert.Equal(t, "file", find(t, f, "other.example.org").Username, "a password is for its host only")

	token := find(t, Finder{Getenv: env(HostVariable, "example.org", TokenVariable, secret)}, "example.org")
	assert.Equal(t, secret, token.RegistryToken)

	_, err := Finder{Getenv: env(PasswordVariable, secret)}.Credential(t.Context(), "example.org")
	assert.ErrorContains(t, err, "set "+HostVariable)
	_, err = Finder{Getenv: env(PasswordVariable, secret, HostVariable, "example.org")}.Credential(t.Context(), "example.org")
	assert.ErrorContains(t, err, "set "+UsernameVariable)
}

func TestGitHubTokenIsForItsRegistryOnly(t *testing.T) {
	token := func(server string) Finder {
		return Finder{Getenv: env("GITHUB_TOKEN", secret, "GITHUB_ACTOR", "octo", "GITHUB_SERVER_URL", server)}
	}
	for host, server := range map[string]string{"ghcr.io": "", "containers.git.example.org": "https://git.example.org"} {
		assert.Equal(t, Credential{Username: "octo", Password: secret, Source: "the variable GITHUB_TOKEN"}, find(t, token(server), host))
	}
	for _, host := range []string{"example.org", "ghcr.io.example.org", "ghcr.io:5000", "xghcr.io", "containers.github.com", ""} {
		assert.True(t, find(t, token("https://github.com"), host).Empty(), host)
	}
	assert.True(t, find(t, token("https://git.example.org"), "ghcr.io").Empty(), "another GitHub's token")
	assert.True(t, find(t, token("::"), "ghcr.io").Empty())
}

func TestHelperOrder(t *testing.T) {
	asked := func(_ context.Context, name, host string) ([]byte, error) {
		if name == "own" {
			return []byte(`{"ServerURL": "", "Username": "<token>", "Secret": "` + secret + `"}`), nil
		}
		return []byte(`{"Username": "` + name + " " + host + `", "Secret": "` + secret + `"}`), nil
	}
	f := Finder{Helper: asked, Home: home(t, `{"credsStore": "all", "credHelpers": {"own.example.org": "own"}, "auths": {"example.org": {"auth": "`+basic("file", "x")+`"}, "stored.example.org": {}}}`)}
	assert.Equal(t, Credential{IdentityToken: secret, Source: "docker-credential-own"}, find(t, f, "own.example.org"))
	assert.Equal(t, "file", find(t, f, "example.org").Username)
	assert.Equal(t, "all stored.example.org", find(t, f, "stored.example.org").Username)
	assert.Equal(t, "all https://index.docker.io/v1/", find(t, f, "index.docker.io").Username)
}

func TestHelperThatFails(t *testing.T) {
	failed := func(output string) Finder {
		return Finder{Home: home(t, `{"credsStore": "x"}`), Helper: func(context.Context, string, string) ([]byte, error) {
			return []byte(output), errors.New("exit status 1 " + secret)
		}}
	}
	assert.True(t, find(t, failed("credentials not found in native keychain\n"), "example.org").Empty())
	_, err := failed(secret).Credential(t.Context(), "example.org")
	require.ErrorContains(t, err, "try echo example.org | docker-credential-x get")
	assert.NotContains(t, err.Error(), secret)
	for _, garbage := range []string{"", "null", secret, `{"Secret": ""}`, `["` + secret + `"]`, "\x00\xff", `{"Username": {}, "Secret": "` + secret + `"}`} {
		f := Finder{Home: home(t, `{"credsStore": "x"}`), Helper: func(context.Context, string, string) ([]byte, error) { return []byte(garbage), nil }}
		_, err := f.Credential(t.Context(), "example.org")
		require.ErrorContains(t, err, "docker-credential-x", "%q", garbage)
		assert.NotContains(t, err.Error(), secret)
	}
}

func TestHelperThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := Finder{Home: home(t, `{"credsStore": "x"}`), Helper: func(ctx context.Context, _, _ string) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		began := time.Now()
		_, err := f.Credential(t.Context(), "example.org")
		assert.ErrorContains(t, err, "docker-credential-x")
		assert.ErrorContains(t, err, "did not answer within 10s")
		assert.Equal(t, 10*time.Second, time.Since(began))

		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = f.Credential(canceled, "example.org")
		assert.ErrorIs(t, err, context.Canceled, "the caller's end is no fault of the helper")
	})
}

// helper installs a program docker-credential-x on PATH.
func helper(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("helpers of this test are shell scripts")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docker-credential-x"), []byte("#!/bin/sh\n"+script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestRealHelper(t *testing.T) {
	helper(t, `read host; printf '{"Username": "%s %s", "Secret": "`+secret+`"}' "$1" "$host"`)
	found := find(t, Finder{Home: home(t, `{"credsStore": "x"}`)}, "example.org")
	assert.Equal(t, "get example.org", found.Username)
}

// What the helper itself started ends too: it holds the output open.
func TestRealHelperThatHangs(t *testing.T) {
	started := filepath.Join(t.TempDir(), "pid")
	helper(t, "sleep 300 & echo $! >"+started+".new; mv "+started+".new "+started+"; wait")
	f := Finder{Home: home(t, `{"credsStore": "x"}`), HelperTime: 500 * time.Millisecond}
	var data []byte
	for ; data == nil; f.HelperTime *= 2 { // a busy machine may not even start it in time
		_, err := f.Credential(t.Context(), "example.org")
		require.ErrorContains(t, err, "did not answer within "+f.HelperTime.String())
		data, err = os.ReadFile(started)
		require.True(t, err == nil || f.HelperTime < 20*time.Second, "%v", err)
	}
	var pid int
	_, err := fmt.Sscan(string(data), &pid)
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return gone(pid) }, 10*time.Second, 10*time.Millisecond)
}

// gone says whether a process has ended. One that nobody has waited for yet has.
func gone(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		process, _ := os.FindProcess(pid)
		return errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
	}
	return strings.Contains(string(status), ") Z ")
}

func TestRealHelperThatPrintsForEver(t *testing.T) {
	helper(t, "exec yes "+secret)
	f := Finder{Home: home(t, `{"credsStore": "x"}`), HelperTime: 200 * time.Millisecond}
	_, err := f.Credential(t.Context(), "example.org")
	require.ErrorContains(t, err, "did not answer within")
	assert.NotContains(t, err.Error(), secret)
	var exit *exec.ExitError
	assert.NotErrorAs(t, err, &exit)
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := Credential{Username: "user", Password: secret, IdentityToken: secret, RegistryToken: secret, Source: "a file"}
	encoded, err := json.Marshal(map[string]any{"c": c})
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q", c, &c, c, c, c), string(encoded), c.LogValue().String()} {
		assert.NotContains(t, text, secret)
		assert.Contains(t, text, "a file")
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"auths": {"example.org": {"auth": "YTpi"}}}`))
	f.Add([]byte(`{"credHelpers": {"example.org": "x"}}`))
	f.Fuzz(func(t *testing.T, config []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600))
		finder := Finder{Getenv: env("DOCKER_CONFIG", dir), Helper: func(context.Context, string, string) ([]byte, error) { return config, nil }}
		found, err := finder.Credential(t.Context(), "example.org")
		assert.True(t, err == nil || found.Empty())
	})
}
