package command

import (
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
)

// engineEnv is what a shell evaluates so that "dagger" is the CLI of the embedded engine and talks to it:
//
//	eval "$(slipway engine env)"
func engineEnv(e embedded.Endpoint) string {
	return "export _EXPERIMENTAL_DAGGER_RUNNER_HOST=" + quote(e.Address) + "\n" +
		"export _EXPERIMENTAL_DAGGER_CLI_BIN=" + quote(e.CLI) + "\n" +
		"export PATH=" + quote(filepath.Dir(e.CLI)) + `:"$PATH"` + "\n" +
		"export DO_NOT_TRACK=1 DAGGER_NO_NAG=1\n"
}

// quote makes one word of a text, for a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
