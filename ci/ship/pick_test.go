package ship

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

func TestPick(t *testing.T) {
	binary := func(name, target string) report.Artifact {
		return report.Artifact{Name: name, Kind: report.KindBinary, Target: target, Path: target + "/" + name}
	}
	run := report.Run{Artifacts: []report.Artifact{
		binary("one", "linux/amd64"), binary("one", "linux/arm64"), binary("two", "linux/amd64"),
		{Name: "one", Kind: report.KindImage, Path: "image/one"},
	}}
	for name, c := range map[string]struct{ kind, app, target, path, mistake string }{
		"the only image":       {kind: "image", path: "image/one"},
		"by name":              {kind: "binary", app: "two", target: "linux/amd64", path: "linux/amd64/two"},
		"the only one of them": {kind: "binary", target: "linux/arm64", path: "linux/arm64/one"},
		"no name, two apps":    {kind: "binary", target: "linux/amd64", mistake: "which app? There is one, two"},
		"no such app":          {kind: "binary", app: "three", target: "linux/amd64", mistake: `there is no app "three"; there is one, two`},
		"no such target":       {kind: "binary", target: "windows/arm64", mistake: "this project has no binary for windows/arm64"},
		"nothing of the kind":  {kind: "archive", mistake: "this project has no archive"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Pick(run, c.kind, c.app, c.target)
			if c.mistake != "" {
				var usage *UsageError
				require.ErrorAs(t, err, &usage)
				assert.Equal(t, c.mistake, usage.Message)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.path, found.Path)
		})
	}
}
