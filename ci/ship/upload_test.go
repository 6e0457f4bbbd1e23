package ship

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/secret"
)

func TestSourceSummary(t *testing.T) {
	found := project.Survey{Files: 1, Bytes: 2_500_000, Left: []string{".git", "dist", "web/node_modules", "x/.git", "y/.git"}}
	assert.Equal(t, "1 file, 2.5 MB without .git, dist, web/node_modules and 2 more; ", sourceSummary(found))
	assert.Empty(t, sourceSummary(project.Survey{}), "nothing is said of what was not counted")
}

func TestLarge(t *testing.T) {
	found := project.Survey{Files: 30_000, Bytes: 900e6, Dirs: []project.Usage{{Dir: "assets", Files: 29_000, Bytes: 800e6}, {Dir: ".", Files: 1000, Bytes: 100e6}}}
	assert.True(t, large(found))
	assert.False(t, large(project.Survey{Files: 200, Bytes: 1e6}))
	assert.Equal(t, "assets (800.0 MB in 29000 files), . (100.0 MB in 1000 files)", largest(found))
}

func TestAFailedChangeSaysWhatFailed(t *testing.T) {
	card := changeFailure(&pipelines.CommandError{Command: []string{"go", "generate", "./..."}, ExitCode: 1, Output: "gen.go:3: no such template"})
	assert.Equal(t, []string{"gen.go:3: no such template"}, card.Tail)
	assert.Equal(t, "go generate ./...", card.Reproduce)
	assert.Equal(t, 1, card.ExitCode)
	assert.NotEmpty(t, card.Next)
}

// A key that lies in the project is shown to nobody but the signer.
func TestKeysAreNotSent(t *testing.T) {
	ref := func(text string) secret.Reference {
		r, err := secret.Parse(text)
		require.NoError(t, err)
		return r
	}
	p := project.Project{Root: "/src", Outputs: []string{"old"}, Publish: project.Publish{
		Key: ref("file://keys/cosign.key"), Password: ref("file:///etc/password"), GitHub: &project.GitHub{Token: ref("env://GITHUB_TOKEN")},
	}, Environments: []project.Environment{{Secrets: map[string]secret.Reference{"DB": ref("file://db.txt")}, Notify: []project.Notify{{Address: ref("file://hook.txt")}}}}}
	assert.Equal(t, []string{"old", "sub/keys/cosign.key", "sub/db.txt", "sub/hook.txt"}, unsent(p, "/src/sub"))
	assert.Equal(t, []string{"old"}, p.Outputs)
}
