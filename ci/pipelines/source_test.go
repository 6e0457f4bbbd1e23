package pipelines

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestExcluded(t *testing.T) {
	assert.Contains(t, Excluded("/work/app", "/work/app/dist"), "dist")
	assert.Contains(t, Excluded("/work/app", "/work/app/out/to[1]"), `out/to\[1\]`, "a name is no pattern")
	for _, dist := range []string{"/elsewhere", "/work/app", "/work/app2/dist"} {
		assert.Equal(t, neverSource, Excluded("/work/app", dist), "a directory called dist is the project's own unless it is the output: %s", dist)
	}
	first := Excluded("/work/app", "/work/app/a")
	_ = Excluded("/work/app", "/work/app/b")
	assert.Contains(t, first, "a", "each call has a list of its own")
}
