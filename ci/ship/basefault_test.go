package ship

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/project"
)

func TestRegistryOf(t *testing.T) {
	for image, want := range map[string]string{
		"debian": "docker.io", "library/debian:12": "docker.io", "registry.example.com/a/b@sha256:1": "registry.example.com",
		"localhost/a": "localhost", "127.0.0.1:5000/a": "127.0.0.1:5000",
	} {
		assert.Equal(t, want, registryOf(image), image)
	}
}

// E7: the card names the registry, what it did, and the mirror.
func TestABaseThatCannotBeHad(t *testing.T) {
	app := project.App{Name: "api", Image: project.Image{Base: "registry.example.com/base@sha256:12"}}
	const resolving = "failed to resolve source metadata for registry.example.com/base@sha256:12: failed to do request: "
	for text, want := range map[string]string{
		resolving + "dial tcp: lookup registry.example.com on 10.0.2.3:53: no such host":       "registry.example.com cannot be reached from here",
		resolving + "dial tcp 192.0.2.1:443: connect: connection refused":                      "registry.example.com cannot be reached from here",
		resolving + "unexpected status from HEAD request: 429 Too Many Requests":               "registry.example.com limits how often images may be pulled from it (429): wait, or log in to it",
		resolving + "pull access denied, insufficient_scope: authorization failed":             "registry.example.com wants a login, or refuses yours (401 or 403): docker login registry.example.com",
		"failed to resolve source metadata for registry.example.com/base@sha256:12: not found": "registry.example.com does not have it: the tag or digest is not there (any more)",
		resolving + "tls: failed to verify certificate: x509: unknown authority":               "registry.example.com has a certificate that is not trusted here",
	} {
		card := imageFailure(app, errors.New(text))
		assert.Equal(t, "the base image cannot be had: registry.example.com/base@sha256:12", card.Title)
		assert.Equal(t, want, card.Cause)
		assert.Contains(t, card.Next, "name a mirror")
		assert.Equal(t, []string{text}, card.Tail)
	}
	assert.Equal(t, "the image cannot be assembled", imageFailure(app, errors.New("dockerfile parse error on line 3: unknown instruction")).Title)
	app.Image.Base = ""
	assert.Empty(t, imageFailure(app, errors.New("not found")).Cause)
}
