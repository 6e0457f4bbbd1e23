package forge

// Kind is a CI system.
type Kind string

// The CI systems that have places of their own for a run. Forgejo and Gitea call themselves GitHub, and understand the same.
const (
	OnGitHub   Kind = "GitHub Actions"
	OnGitLab   Kind = "GitLab CI"
	OnJenkins  Kind = "Jenkins"
	OnTerminal Kind = ""
)

// Detect says where this process runs.
func Detect(getenv func(string) string) Kind {
	switch {
	case getenv("GITHUB_ACTIONS") == "true":
		return OnGitHub
	case getenv("GITLAB_CI") == "true":
		return OnGitLab
	case getenv("JENKINS_URL") != "" && getenv("BUILD_NUMBER") != "":
		return OnJenkins
	}
	return OnTerminal
}
