package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// maxHelperOutput bounds what a helper may say.
const maxHelperOutput = 1 << 20

// tokenUser is the user's name by which a helper says that the secret is an
// identity token.
const tokenUser = "<token>"

// fromHelper asks a credential helper. What it says is never passed on: it is
// made to say secrets.
func (f Finder) fromHelper(ctx context.Context, path, name, host string) (Credential, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`).MatchString(name) {
		return Credential{}, fmt.Errorf("ask credential helper: %s names %q, which is no name of a helper: log in again", path, name)
	}
	limited, cancel := context.WithTimeout(ctx, f.HelperTime)
	defer cancel()
	output, err := f.Helper(limited, name, helperKey(host))
	program := "docker-credential-" + name
	switch {
	case ctx.Err() != nil:
		return Credential{}, context.Cause(ctx)
	case limited.Err() != nil:
		return Credential{}, fmt.Errorf("ask credential helper: %s, which %s names, did not answer within %s: try echo %s | %s get", program, path, f.HelperTime, helperKey(host), program)
	case errors.Is(err, exec.ErrNotFound):
		return Credential{}, fmt.Errorf("ask credential helper: %s, which %s names, is not on PATH: install it, or take it out of that file", program, path)
	case err != nil && saysNotFound(output):
		return Credential{}, nil
	case err != nil:
		return Credential{}, fmt.Errorf("ask credential helper: %s, which %s names, failed (%s): try echo %s | %s get", program, path, exitOf(err), helperKey(host), program)
	}
	return parseHelper(output, program, path, host)
}

// helperKey is what helpers know a host by.
func helperKey(host string) string {
	if host == "index.docker.io" {
		return "https://index.docker.io/v1/"
	}
	return host
}

// saysNotFound recognises the words of the helpers' protocol for "nothing is
// stored for this host".
func saysNotFound(output []byte) bool {
	return strings.Contains(string(output), "credentials not found")
}

func exitOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ProcessState.String()
	}
	return "it could not be run"
}

func parseHelper(output []byte, program, path, host string) (Credential, error) {
	var answer struct{ Username, Secret string }
	if json.Unmarshal(output, &answer) != nil || answer.Secret == "" {
		return Credential{}, fmt.Errorf("ask credential helper: %s, which %s names, answered with no user and secret in JSON: try echo %s | %s get", program, path, helperKey(host), program)
	}
	found := Credential{Username: answer.Username, Password: answer.Secret, Source: program}
	if answer.Username == tokenUser {
		found = Credential{IdentityToken: answer.Secret, Source: program}
	}
	return found, nil
}

// runHelper runs the helper on PATH. A helper that does not end is killed with
// all that it started.
func runHelper(ctx context.Context, name, host string) ([]byte, error) {
	output := &bounded{left: maxHelperOutput}
	cmd := exec.CommandContext(ctx, "docker-credential-"+name, "get")
	cmd.Stdin = strings.NewReader(host)
	cmd.Stdout = output
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	err := cmd.Run()
	return output.Bytes(), err
}

// bounded keeps the first bytes and drops the rest.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	kept := p[:min(len(p), b.left)]
	b.left -= len(kept)
	b.Buffer.Write(kept)
	return len(p), nil
}
