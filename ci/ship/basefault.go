package ship

import (
	"fmt"
	"strings"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// imageFailure is the card of an image that could not be assembled. Most often that is a base that cannot be had.
func imageFailure(app project.App, err error) report.Failure {
	f := report.Failure{Title: "the image cannot be assembled", Tail: strings.Split(err.Error(), "\n"), Next: "see Dockerfile.runtime and image.base of " + app.Name}
	base := app.Image.Base
	if base == "" {
		return f
	}
	cause := registryFault(registryOf(base), err.Error())
	if cause == "" {
		return f
	}
	f.Title, f.Cause = "the base image cannot be had: "+base, cause
	f.Next = fmt.Sprintf("name a mirror that this machine reaches, with the same digest, as image.base of %s in slipway.yaml\nor leave image.base out: the built-in base needs no registry", app.Name)
	return f
}

// registryOf is the host in an image's name, as Docker reads it.
func registryOf(image string) string {
	host, _, ok := strings.Cut(image, "/")
	if ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host
	}
	return "docker.io"
}

// registryFault says in plain words what a registry's refusal means; "" when the error is about something else.
func registryFault(host, text string) string {
	faults := []struct{ cause, signs string }{
		{"limits how often images may be pulled from it (429): wait, or log in to it", "429|toomanyrequests|too many requests"},
		{"wants a login, or refuses yours (401 or 403): docker login " + host, "401|403|unauthorized|authorization failed|access denied|insufficient_scope"},
		{"does not have it: the tag or digest is not there (any more)", "not found|manifest unknown|manifest invalid|404"},
		{"cannot be reached from here", "no such host|server misbehaving|connection refused|connection reset|i/o timeout|deadline exceeded|network is unreachable|no route to host|name resolution|EOF"},
		{"has a certificate that is not trusted here", "x509|tls: |certificate"},
		{"does not work at the moment (5xx)", "500 Internal|502 Bad|503 Service|504 Gateway"},
	}
	if !strings.Contains(text, "resolve") && !strings.Contains(text, host) && !strings.Contains(text, "pull") {
		return ""
	}
	for _, fault := range faults {
		for sign := range strings.SplitSeq(fault.signs, "|") {
			if strings.Contains(text, sign) {
				return host + " " + fault.cause
			}
		}
	}
	return ""
}
