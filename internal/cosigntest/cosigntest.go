// Package cosigntest builds cosign and runs it, for tests alone: what Slipway signs, others must be able to verify.
package cosigntest

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/slipway-ci/slipway/internal/tooltest"
)

// version is the cosign that the tests were written against.
const version = "v3.0.4"

// Password is that of the keys that cosign makes here.
const Password = "pass"

// Program builds cosign, once for a machine. It takes minutes.
func Program(t *testing.T) string {
	t.Helper()
	return tooltest.Install(t, "github.com/sigstore/cosign/v3/cmd/cosign", version)
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
