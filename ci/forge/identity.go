package forge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	actions "github.com/sethvargo/go-githubactions"
)

// gitlabTokens are the variables in which a job of GitLab may have its token: the first is the one that Sigstore's tools read.
var gitlabTokens = []string{"SIGSTORE_ID_TOKEN", "SLIPWAY_ID_TOKEN"}

// IdentityToken returns a function that asks the CI system for a token that proves to an audience which workflow of which
// repository this is: "sigstore" for keyless signing, or a registry. Its errors say how to allow it.
func IdentityToken(getenv func(string) string, client *http.Client) func(ctx context.Context, audience string) (string, error) {
	return func(ctx context.Context, audience string) (string, error) {
		where := Detect(getenv)
		switch {
		case where == OnGitHub, getenv("ACTIONS_ID_TOKEN_REQUEST_URL") != "": // others give tokens in the same way
			return githubToken(ctx, getenv, client, audience)
		case where == OnGitLab:
			return gitlabToken(getenv, audience)
		}
		return "", errors.New("there is nobody who could say who this is: a token of identity comes from GitHub Actions or GitLab CI")
	}
}

func githubToken(ctx context.Context, getenv func(string) string, client *http.Client, audience string) (string, error) {
	library := actions.New(actions.WithWriter(io.Discard), actions.WithGetenv(getenv), actions.WithHTTPClient(client))
	token, err := library.GetIDToken(ctx, audience)
	var missing *actions.EnvMissingError
	var refused *actions.RequestFailedError
	switch {
	case errors.As(err, &missing):
		return "", errors.New("GitHub gives this job no token: give it permissions: {id-token: write}")
	case errors.As(err, &refused):
		return "", fmt.Errorf("ask GitHub who this job is: it answered %d", refused.StatusCode) // the body may repeat what was sent
	case err != nil:
		return "", fmt.Errorf("ask GitHub who this job is: %w", err)
	case token == "":
		return "", errors.New("ask GitHub who this job is: its answer has no token")
	}
	return token, nil
}

// gitlabToken finds the token that was made when the job began, for the audience that .gitlab-ci.yml names.
func gitlabToken(getenv func(string) string, audience string) (string, error) {
	for _, name := range gitlabTokens {
		if token := getenv(name); token != "" && slices.Contains(audiences(token), audience) {
			return token, nil
		}
	}
	return "", fmt.Errorf("GitLab gives this job no token for %q: write into the job id_tokens: {%s: {aud: %s}}", audience, gitlabTokens[0], audience)
}

// audiences are those of a token, which may be one or a list. Whether the token is genuine is for them to judge.
func audiences(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var many struct{ Aud []string }
	var one struct{ Aud string }
	if json.Unmarshal(payload, &many) == nil {
		return many.Aud
	}
	if json.Unmarshal(payload, &one) == nil {
		return []string{one.Aud}
	}
	return nil
}
