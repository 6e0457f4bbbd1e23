package ship

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway"
	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/target"
)

func TestClosed(t *testing.T) {
	assert.True(t, closed(slipway.DockerfileRuntime), "the one that everybody gets")
	for _, text := range []string{"FROM scratch\nCOPY app /app", "ARG BASE=scratch\nFROM $BASE\n# RUN no\n\nUSER 1"} {
		assert.True(t, closed(text), text)
	}
	for _, text := range []string{
		"FROM debian", "FROM ${BASE}\nRUN date", "from scratch\nadd x /", "FROM scratch AS a\nFROM debian", "FROM scratch\nCOPY --from=other a b",
		"ARG BASE=debian\nFROM ${BASE}", "# syntax=docker/dockerfile:1\nFROM scratch", "FROM", "FROM --platform=linux/amd64 scratch",
	} {
		assert.False(t, closed(text), text)
	}
}

func TestImageInputs(t *testing.T) {
	app := project.App{Name: "a"}
	built := pipelines.Built{Binaries: []pipelines.Binary{
		{App: app, Target: target.Target{OS: "linux", Arch: "amd64"}, Product: pipelines.Product{SHA256: "1"}},
		{App: app, Target: target.Target{OS: "darwin", Arch: "amd64"}, Product: pipelines.Product{SHA256: "2"}},
	}}
	from := pipelines.ImageSource{Dockerfile: "FROM scratch", Base: "/cache/base-1.tar"}
	options := oci.Options{Created: time.Unix(1, 0), Labels: map[string]string{"x": "y"}}
	inputs := func() string {
		t.Helper()
		name, err := imageInputs(app, built, from, options)
		require.NoError(t, err)
		return name
	}
	first := inputs()
	require.NotEmpty(t, first)
	from.Base = "/elsewhere/base-1.tar"
	built.Binaries[1].SHA256 = "other"
	assert.Equal(t, first, inputs(), "neither the cache's place nor other systems' binaries are in the image")
	for what, change := range map[string]func(){
		"the binary":     func() { built.Binaries[0].SHA256 = "3" },
		"the Dockerfile": func() { from.Dockerfile += "\nUSER 1" },
		"the base":       func() { from.Base = "base-2.tar" },
		"a label":        func() { options.Labels["x"] = "z" },
		"the time":       func() { options.Created = time.Unix(2, 0) },
	} {
		before := inputs()
		change()
		assert.NotEqual(t, before, inputs(), what)
	}
	app.Image.Base = "example.com/base"
	assert.Empty(t, inputs(), "a tag may be moved")
}
