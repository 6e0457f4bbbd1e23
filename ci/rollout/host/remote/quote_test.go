package remote_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
)

// Whatever a text holds, a shell gives it back, and runs nothing of it.
func FuzzQuote(f *testing.F) {
	for _, text := range []string{"", "a b", "it's", "$(touch canary)", "`touch canary`", "; touch canary", "a\nb", "*", "~", "-n", `\`, "''", "\xff", "${HOME}", "!x", "#", "é"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\x00") {
			t.Skip("no command line holds NUL")
		}
		dir := t.TempDir()
		cmd := exec.Command("/bin/sh", "-c", "printf %s "+remote.Quote(text))
		cmd.Dir = dir
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, text, string(out))
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
}
