package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxTokenAnswer bounds what a token service may say.
const maxTokenAnswer = 1 << 20

// tokenAnswer is what a token service says. Some know the one name of a token,
// some the other.
type tokenAnswer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// exchange asks the token service that a challenge names. What it answers is
// never passed on: it is made to say secrets.
func (s *session) exchange(ctx context.Context, scopes []string) (string, error) {
	if s.endpoint.known.credential.IdentityToken == "" {
		return s.askForToken(ctx, http.MethodGet, scopes)
	}
	token, err := s.askForToken(ctx, http.MethodPost, scopes)
	if NotFound(err) { // not all token services know how to refresh
		return s.askForToken(ctx, http.MethodGet, scopes)
	}
	return token, err
}

func (s *session) askForToken(ctx context.Context, method string, scopes []string) (string, error) {
	ctx, w := watched(ctx, s.patience(ctx, call{}))
	defer w.stop()
	req, err := s.tokenRequest(ctx, method, scopes)
	if err != nil {
		return "", err
	}
	resp, err := s.client.http.Do(req)
	if err != nil {
		return "", s.transportError(ctx, w, err)
	}
	defer resp.Body.Close()
	w.move(leastProgress)
	data, err := io.ReadAll(io.LimitReader(moving{resp.Body, w}, maxTokenAnswer))
	if err != nil {
		return "", s.transportError(ctx, w, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", s.tokenRefused(resp)
	}
	return s.readToken(data)
}

// tokenRequest asks as the registry's documents say: with the credential as a
// password, or with a token that stands for it.
func (s *session) tokenRequest(ctx context.Context, method string, scopes []string) (*http.Request, error) {
	known := s.endpoint.known
	service := known.challenge.parameters["service"]
	at, err := url.Parse(known.challenge.parameters["realm"])
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("%s names a token service that is no address", s.endpoint.host)
	}
	if method == http.MethodPost {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {known.credential.IdentityToken},
			"service": {service}, "scope": {strings.Join(scopes, " ")}, "client_id": {"slipway"},
		}
		req, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return req, err
	}
	query := at.Query()
	query["scope"] = scopes
	if service != "" {
		query.Set("service", service)
	}
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if header := basicHeader(known.credential); err == nil && header != "" {
		req.Header.Set("Authorization", header)
	}
	return req, err
}

func (s *session) tokenRefused(resp *http.Response) error {
	a := answer{status: resp.StatusCode, header: resp.Header, body: []byte("its token service")}
	if slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, resp.StatusCode) {
		return s.refused(a)
	}
	return s.unwanted(a)
}

func (s *session) readToken(data []byte) (string, error) {
	var got tokenAnswer
	if json.Unmarshal(data, &got) != nil || got.Token+got.AccessToken == "" {
		return "", strangeError{&StatusError{Registry: s.endpoint.host, Status: http.StatusOK, Message: "its token service answers without a token"}}
	}
	s.endpoint.redactor.add(got.RefreshToken)
	if got.AccessToken != "" {
		return got.AccessToken, nil
	}
	return got.Token, nil
}
