package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The table in the README must not fall behind the one in the code.
func TestReadmeHasEverySetting(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, s := range settings() {
		fallback := ""
		if s.fallback != "" {
			fallback = "`" + s.fallback + "` "
		}
		row := fmt.Sprintf("| `--%s` | `%s` | %s| ", s.flag, strings.Join(s.envs, "`, `"), fallback)
		assert.Contains(t, string(readme), row)
	}
}
