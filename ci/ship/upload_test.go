package ship

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/pipelines"
)

func TestSentSummary(t *testing.T) {
	assert.Equal(t, "sent 12.3 MB", sentSummary(12_345_678, true))
	assert.Equal(t, "sent 0.0 MB", sentSummary(0, true))
	assert.Empty(t, sentSummary(5, false), "what is not known is not said")
}

func TestAFailedChangeSaysWhatFailed(t *testing.T) {
	card := changeFailure(&pipelines.CommandError{Command: []string{"go", "generate", "./..."}, ExitCode: 1, Output: "gen.go:3: no such template"})
	assert.Equal(t, []string{"gen.go:3: no such template"}, card.Tail)
	assert.Equal(t, "go generate ./...", card.Reproduce)
	assert.Equal(t, 1, card.ExitCode)
	assert.NotEmpty(t, card.Next)
}
