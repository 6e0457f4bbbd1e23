package pipelines

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestExcluded(t *testing.T) {
	assert.Contains(t, Excluded("/src/app", "/src/app/dist"), "dist")
	assert.Contains(t, Excluded("/src/app", "/src/app/out/to[1]"), `out/to\[1\]`, "a name is no pattern")
	for _, dist := range []string{"/elsewhere", "/src/app", "/src/app2/dist"} {
		assert.Equal(t, neverSource, Excluded("/src/app", dist), "a directory called dist is the project's own unless it is the output: %s", dist)
	}
	assert.Contains(t, Excluded("/src/app", "/elsewhere", "dist", "sub/out[1]"), `sub/out\[1\]`, "what earlier runs have left")
	first := Excluded("/src/app", "/src/app/a")
	_ = Excluded("/src/app", "/src/app/b")
	assert.Contains(t, first, "a", "each call has a list of its own")
}

func TestSentSummary(t *testing.T) {
	assert.Equal(t, "12.3 MB sent to the engine", Sent{12_345_678, true}.String())
	assert.Equal(t, "0.0 MB sent to the engine", Sent{0, true}.String())
	assert.NotContains(t, Sent{5, false}.String(), "MB", "what is not known is not said")
}
