// Package cosigntest builds cosign and runs it, for tests alone: what Slipway signs, others must be able to verify.
package cosigntest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// version is the cosign that the tests were written against.
const version = "v3.0.4"

// Password is that of the keys that cosign makes here.
const Password = "pass"

// Program builds cosign, once for a machine. It takes minutes, on slow ones more than go test's own ten: -timeout 30m. What is
// built so far is kept.
func Program(t *testing.T) (program string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds cosign")
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "slipway-test", "cosign-"+version)
	program = filepath.Join(dir, "cosign")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	build := exec.Command("go", "install", "github.com/sigstore/cosign/v3/cmd/cosign@"+version)
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}

// Run runs cosign in a directory that knows nothing of this machine's user, but has what is in it: .docker/config.json, keys.
func Run(t *testing.T, program, dir string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Dir = dir
	command.Env = []string{"HOME=" + dir, "COSIGN_PASSWORD=" + Password, "PATH=" + os.Getenv("PATH")}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	return out.String(), err
}
