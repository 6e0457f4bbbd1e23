package attest

import (
	"cmp"
	"strings"
)

// laptop is the builder that promises nothing: somebody's machine.
const laptop = "https://github.com/slipway-ci/slipway/builder/laptop/v1"

// Builder says where something was built. It is what the builder says of
// itself: anybody can set the variables that it is taken from. Only a keyless
// signature ties a workflow to what it signs.
type Builder struct {
	ID         string // a URI
	Invocation string // the run, where it has an address
	Runner     string // "github-hosted" or "self-hosted", where GitHub says so
}

// Where tells where this is from the environment: a workflow of GitHub Actions
// by its file and ref, anything else is a laptop. getenv is os.Getenv.
func Where(getenv func(string) string) Builder {
	server, workflow := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_WORKFLOW_REF")
	if getenv("GITHUB_ACTIONS") != "true" || server == "" || workflow == "" {
		return Builder{ID: laptop}
	}
	server = strings.TrimSuffix(server, "/")
	b := Builder{ID: server + "/" + workflow, Runner: getenv("RUNNER_ENVIRONMENT")}
	if repository, run := getenv("GITHUB_REPOSITORY"), getenv("GITHUB_RUN_ID"); repository != "" && run != "" {
		b.Invocation = server + "/" + repository + "/actions/runs/" + run + "/attempts/" + cmp.Or(getenv("GITHUB_RUN_ATTEMPT"), "1")
	}
	return b
}

// Laptop tells whether a builder is somebody's machine.
func (b Builder) Laptop() bool { return b.ID == laptop }
