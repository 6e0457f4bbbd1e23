package forge

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Stranger says why this run must not act on the world outside: it builds what somebody wrote who may not. "" is a run that may.
// Where the CI system says that this is a pull request and not whose, it is a stranger's.
func Stranger(getenv func(string) string) string {
	switch Detect(getenv) {
	case OnGitHub:
		return githubStranger(getenv)
	case OnGitLab:
		from, to := getenv("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"), getenv("CI_MERGE_REQUEST_PROJECT_ID")
		if from != to {
			return fromFork("merge request", getenv("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"))
		}
	case OnJenkins:
		if fork := getenv("CHANGE_FORK"); fork != "" {
			return fromFork("pull request", fork)
		}
	}
	return ""
}

func fromFork(what, fork string) string {
	if fork == "" {
		fork = "another repository"
	}
	return fmt.Sprintf("this is a %s from %q, a fork: what it builds was written by somebody who may not publish or deploy", what, fork)
}

// event is what GitHub says about why a workflow runs.
type event struct {
	PullRequest *struct {
		Head struct {
			Repo *repository `json:"repo"`
		} `json:"head"`
	} `json:"pull_request"`
	WorkflowRun *struct {
		Event string      `json:"event"`
		Head  *repository `json:"head_repository"`
	} `json:"workflow_run"`
	Issue *struct {
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
}

type repository struct {
	Name string `json:"full_name"`
}

func githubStranger(getenv func(string) string) string {
	name := getenv("GITHUB_EVENT_NAME")
	ofPull := strings.HasPrefix(name, "pull_request")
	if !ofPull && name != "workflow_run" && name != "issue_comment" {
		return ""
	}
	var e event
	data, err := os.ReadFile(getenv("GITHUB_EVENT_PATH"))
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		return "this run was started by " + name + ", and GITHUB_EVENT_PATH does not say whose code it builds: it may be a stranger's"
	}
	head, outside := e.head(ofPull)
	if !outside || (head != "" && strings.EqualFold(head, getenv("GITHUB_REPOSITORY"))) {
		return ""
	}
	return fromFork("pull request", head)
}

// head is the repository that the code comes from, "" for one that is not named: it was deleted. false says that no pull request
// is involved.
func (e event) head(ofPull bool) (name string, outside bool) {
	switch {
	case e.PullRequest != nil:
		return e.PullRequest.Head.Repo.name(), true
	case e.WorkflowRun != nil:
		return e.WorkflowRun.Head.name(), strings.HasPrefix(e.WorkflowRun.Event, "pull_request")
	case e.Issue != nil && e.Issue.PullRequest != nil:
		return "", true // a comment does not say whose the code is
	}
	return "", ofPull
}

func (r *repository) name() string {
	if r == nil {
		return ""
	}
	return r.Name
}
