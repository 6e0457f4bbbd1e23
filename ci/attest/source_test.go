package attest

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRepositoryURL(t *testing.T) {
	for remote, want := range map[string]string{
		"https://git.example.org/team/greeter.git":                  "https://git.example.org/team/greeter.git",
		"https://user:token@git.example.org/team/greeter?token=x#y": "https://git.example.org/team/greeter",
		"https://x-access-token@git.example.org/team/greeter":       "https://git.example.org/team/greeter",
		"git@git.example.org:team/greeter.git":                      "ssh://git.example.org/team/greeter.git",
		"git.example.org:team/greeter.git":                          "ssh://git.example.org/team/greeter.git",
		"ssh://git@git.example.org:2222/team/greeter":               "ssh://git.example.org:2222/team/greeter",
		"git+https://git.example.org/team/greeter":                  "https://git.example.org/team/greeter",
		"git://git.example.org/greeter":                             "git://git.example.org/greeter",
		" https://git.example.org/greeter\n":                        "https://git.example.org/greeter",
		"/home/somebody/greeter":                                    "",
		"../greeter":                                                "",
		"file:///home/somebody/greeter":                             "",
		`C:\Users\somebody\greeter`:                                 "",
		"":                                                          "",
		"https://%zz":                                               "",
		"ext::sh -c 'x'":                                            "",
	} {
		assert.Equal(t, want, RepositoryURL(remote), remote)
	}
}

func FuzzRepositoryURL(f *testing.F) {
	f.Add("https://user:token@git.example.org/team/greeter?token=x#y")
	f.Add("git@git.example.org:team/greeter.git")
	f.Fuzz(func(t *testing.T, remote string) {
		address := RepositoryURL(remote)
		if address == "" {
			return
		}
		parsed, err := url.Parse(address)
		require.NoError(t, err, "%q of %q", address, remote)
		assert.Nil(t, parsed.User, address)
		assert.Empty(t, parsed.RawQuery+parsed.Fragment, address)
		assert.NotEmpty(t, parsed.Host, address)
		assert.Equal(t, address, RepositoryURL(address))
	})
}

// github is the environment of a workflow.
func github(name string) string {
	return map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "team/greeter", "GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "2",
		"GITHUB_WORKFLOW_REF": "team/greeter/.github/workflows/release.yml@refs/tags/v1.2.3", "RUNNER_ENVIRONMENT": "github-hosted", "GITHUB_TOKEN": "secret",
	}[name]
}

func TestWhere(t *testing.T) {
	assert.Equal(t, Builder{
		ID:         "https://github.com/team/greeter/.github/workflows/release.yml@refs/tags/v1.2.3",
		Invocation: "https://github.com/team/greeter/actions/runs/42/attempts/2",
		Runner:     "github-hosted",
	}, Where(github))
	assert.False(t, Where(github).Laptop())
	for _, missing := range []string{"GITHUB_ACTIONS", "GITHUB_SERVER_URL", "GITHUB_WORKFLOW_REF"} {
		where := Where(func(name string) string {
			if name == missing {
				return ""
			}
			return github(name)
		})
		assert.True(t, where.Laptop(), missing)
		assert.Equal(t, Builder{ID: laptop}, where)
	}
}
