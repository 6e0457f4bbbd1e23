package ship

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/hook"
)

// A root that cannot be compared with the clone must not make a push look as if nothing had changed.
func TestNamesOfWhatIsPushed(t *testing.T) {
	p := pending{Push: hook.Push{Changed: []string{"api/main.go", "README.md"}}, top: "/cache/push/1/src"}
	assert.Equal(t, []string{"main.go", "../README.md"}, p.names("/cache/push/1/src/api"))
	assert.Equal(t, p.Changed, p.names("/cache/push/1/src"))
	assert.Equal(t, p.Changed, p.names("/scratch/push/1/src/api"), "the same place by another name")
}
