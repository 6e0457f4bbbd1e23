package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/oci/credentials"
)

// login is what is known of a registry's way to log in.
type login struct {
	asked      bool // the keychain was
	credential credentials.Credential
	challenge  challenge
	tokens     map[string]string // by scopes
}

// enter waits for its turn to log in, so that many requests that are refused
// at once log in once. The turn is a channel: waiting ends with the context.
func (e *endpoint) enter(ctx context.Context) error {
	select {
	case e.login <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *endpoint) leave() { <-e.login }

// authorization is the header to begin with: what worked last, "" when nothing
// is known yet.
func (s *session) authorization(ctx context.Context, scopes []string) (string, error) {
	if err := s.endpoint.enter(ctx); err != nil {
		return "", err
	}
	defer s.endpoint.leave()
	known := &s.endpoint.known
	switch known.challenge.scheme {
	case "bearer":
		return s.token(ctx, scopes)
	case "basic":
		return basicHeader(known.credential), nil
	}
	return "", nil
}

// answerTo makes the header that a challenge asks for. refused is what was
// shown already: the same is not shown twice.
func (s *session) answerTo(ctx context.Context, asked answer, refused string, scopes []string) (string, error) {
	if err := s.endpoint.enter(ctx); err != nil {
		return "", err
	}
	defer s.endpoint.leave()
	if err := s.ask(ctx); err != nil {
		return "", err
	}
	known := &s.endpoint.known
	way, ok := bestChallenge(asked.header)
	if !ok {
		return "", s.refused(asked)
	}
	known.challenge = way
	if way.scheme == "basic" {
		if header := basicHeader(known.credential); header != "" && header != refused {
			return header, nil
		}
		return "", s.refused(asked)
	}
	scopes = wantedScopes(scopes, way)
	if key := strings.Join(scopes, " "); known.tokens[key] == refused {
		delete(known.tokens, key)
	}
	header, err := s.token(ctx, scopes)
	if err == nil && header == refused {
		return "", s.refused(asked)
	}
	return header, err
}

// wantedScopes puts ours first: some token services look at the first only.
func wantedScopes(ours []string, way challenge) []string {
	asked := way.parameters["scope"]
	if asked == "" || slices.Contains(ours, asked) || covers(ours, asked) {
		return ours
	}
	return append(slices.Clone(ours), asked)
}

// covers says whether a scope is asked for by a wider one: "push,pull" is wider
// than "pull".
func covers(ours []string, asked string) bool {
	at := strings.LastIndex(asked, ":")
	for _, scope := range ours {
		ourAt := strings.LastIndex(scope, ":")
		if at < 0 || ourAt < 0 || scope[:ourAt] != asked[:at] {
			continue
		}
		may := strings.Split(scope[ourAt+1:], ",")
		if !slices.ContainsFunc(strings.Split(asked[at+1:], ","), func(action string) bool { return !slices.Contains(may, action) }) {
			return true
		}
	}
	return false
}

// ask asks the keychain, once.
func (s *session) ask(ctx context.Context) error {
	known := &s.endpoint.known
	if known.asked || s.client.options.Credentials == nil {
		return nil
	}
	found, err := s.client.options.Credentials.Credential(ctx, s.endpoint.host)
	if err != nil {
		return fmt.Errorf("log in to %s: %w", s.endpoint.host, err)
	}
	known.asked, known.credential = true, found
	for _, secret := range found.Secrets() {
		s.endpoint.redactor.add(secret)
	}
	s.endpoint.redactor.add(strings.TrimPrefix(basicHeader(found), "Basic "))
	return nil
}

func basicHeader(c credentials.Credential) string {
	switch {
	case c.RegistryToken != "":
		return "Bearer " + c.RegistryToken
	case c.Username == "" || c.Password == "":
		return ""
	}
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(c.Username, c.Password)
	return req.Header.Get("Authorization")
}

// token is the header for scopes, from the token service when there is none yet.
func (s *session) token(ctx context.Context, scopes []string) (string, error) {
	known, key := &s.endpoint.known, strings.Join(scopes, " ")
	if header, ok := known.tokens[key]; ok {
		return header, nil
	}
	if known.credential.RegistryToken != "" {
		return "Bearer " + known.credential.RegistryToken, nil
	}
	token, err := s.exchange(ctx, scopes)
	if err != nil {
		return "", err
	}
	s.endpoint.redactor.add(token)
	known.tokens[key] = "Bearer " + token
	return known.tokens[key], nil
}

// refused is the registry's no.
func (s *session) refused(a answer) error {
	return &AuthError{
		Registry: s.endpoint.host, Repository: s.repository.RepositoryStr(), Status: a.status,
		Message: s.message(a.body), Credential: s.endpoint.known.credential,
	}
}
