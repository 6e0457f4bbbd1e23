package keyless

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// audience is whom the token is for: any Fulcio.
const audience = "sigstore"

// maxToken is more than any token has.
const maxToken = 1 << 20

// GitHubToken asks GitHub Actions who this job is. getenv is os.Getenv.
func GitHubToken(getenv func(string) string, client *http.Client) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		address, bearer := getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
		if address == "" || bearer == "" {
			return "", errors.New("GitHub gives this job no token: give it permissions: {id-token: write}, and run it in GitHub Actions")
		}
		token, err := requestToken(ctx, client, address, bearer)
		if err != nil {
			return "", fmt.Errorf("ask GitHub who this job is: %w", err)
		}
		return token, nil
	}
}

func requestToken(ctx context.Context, client *http.Client, address, bearer string) (string, error) {
	asked, err := url.Parse(address)
	if err != nil {
		return "", errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")
	}
	query := asked.Query()
	query.Set("audience", audience)
	asked.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, asked.String(), nil)
	if err != nil {
		return "", errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answered %s", response.Status)
	}
	var answer struct{ Value string }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxToken)).Decode(&answer); err != nil || answer.Value == "" {
		return "", errors.New("its answer has no token")
	}
	return answer.Value, nil
}
