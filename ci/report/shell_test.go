package report_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

func TestShell(t *testing.T) {
	assert.Equal(t, "go build -tags=a,b ./cmd/x", report.Shell("go", "build", "-tags=a,b", "./cmd/x"))
	assert.Equal(t, `'A=it'\''s $(here)' ''`, report.Shell("A=it's $(here)", ""))
}

// Random words go through a shell unchanged, and none of them is carried out.
func TestShell_WordsArriveAsTheyAre(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("this system has no sh")
	}
	t.Chdir(t.TempDir())
	random := rand.New(rand.NewPCG(3, 4))
	words := []string{"$(touch canary)", "`touch canary`", "; touch canary", "'; touch canary; '", "a\nb", "\r", "*", "~", "-n", `\`, `\'`, "\"", "!x", "|&<>", "\xff\x01", ""}
	for range 100 {
		word := make([]byte, random.IntN(30))
		for i := range word {
			word[i] = byte(1 + random.IntN(255))
		}
		words = append(words, string(word))
	}
	cmd := exec.Command(sh, "-c", `printf '%s\0' `+report.Shell(words...))
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, strings.Join(words, "\x00")+"\x00", string(out))
	assert.NoFileExists(t, "canary")
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	assert.Empty(t, entries)
}
