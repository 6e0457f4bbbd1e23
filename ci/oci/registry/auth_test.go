package registry

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/oci/credentials"
)

const secret = "s3cr3t+of/this test&"

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

type keychain func(ctx context.Context, host string) (credentials.Credential, error)

func (k keychain) Credential(ctx context.Context, host string) (credentials.Credential, error) {
	return k(ctx, host)
}

func always(c credentials.Credential) Keychain {
	return keychain(func(context.Context, string) (credentials.Credential, error) { return c, nil })
}

func password() credentials.Credential {
	return credentials.Credential{Username: "user", Password: secret, Source: "docker-credential-x"}
}

// withoutSecrets asserts that no form of a secret is in a text.
func withoutSecrets(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, s := range append(secrets, secret) {
		quoted, err := json.Marshal(s)
		require.NoError(t, err)
		for _, form := range []string{
			s, url.QueryEscape(s), url.PathEscape(s), strings.Trim(string(quoted), `"`), hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s)),
			base64.RawURLEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte("user:" + s)),
		} {
			assert.NotContains(t, text, form)
		}
	}
}

// pushTo pushes a small image with an old tag in place, and returns what was
// said on the way too.
func pushTo(t *testing.T, w *world, options Options) (said string, err error) {
	t.Helper()
	var events strings.Builder
	options.OnRetry = func(r Retry) { fmt.Fprintln(&events, r.What, r.Cause, r.Wait) }
	_, err = w.client(options).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 100, 2), Tags: []Tag{{"a", false}}})
	return fmt.Sprintf("%v %+v %s", err, err, events.String()), err
}

// echo is a registry that refuses, and says back all that it was shown.
func echo(code int, challenge string) func(http.ResponseWriter, *http.Request) bool {
	return func(out http.ResponseWriter, r *http.Request) bool {
		out.Header().Set("WWW-Authenticate", challenge)
		shown := r.Header.Get("Authorization")
		_, encoded, _ := strings.Cut(shown, " ")
		plain, _ := base64.StdEncoding.DecodeString(encoded)
		return complain(out, code, "UNAUTHORIZED", fmt.Sprintf("%s %s %s %x", shown, plain, url.QueryEscape(string(plain)), plain))
	}
}

// R1: who is refused is told by whom, and with what; without trying again.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		code      int
		challenge string
		keys      Keychain
		wants     []string
	}{
		"no credential":      {401, `Basic realm="x"`, nil, []string{"example.com answers 401 Unauthorized for team/app with no credential", "docker login example.com", credentials.HostVariable}},
		"wrong password":     {401, `Basic realm="x"`, always(password()), []string{"401", "with the credential from docker-credential-x", "it is wrong or has expired"}},
		"not allowed":        {403, `Basic realm="x"`, always(password()), []string{"403 Forbidden", "team/app"}},
		"no challenge":       {401, "", always(password()), []string{"401", "docker-credential-x"}},
		"strange challenge":  {401, `Negotiate, , ="`, always(password()), []string{"401"}},
		"a token of its own": {401, `Bearer realm="https://example.com/token"`, always(credentials.Credential{RegistryToken: secret, Source: "the variable X"}), []string{"the credential from the variable X"}},
		"a keychain that fails": {401, `Basic realm="x"`, keychain(func(context.Context, string) (credentials.Credential, error) {
			return credentials.Credential{}, errors.New("docker-credential-x did not answer within 10s")
		}), []string{"log in to example.com: docker-credential-x did not answer within 10s"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, err := w.client(Options{}).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 9, 100, 1), Tags: []Tag{{"a", false}}})
				require.NoError(t, err)
				before := w.digest("a")
				w.forget()
				w.fault = echo(c.code, c.challenge)
				said, err := pushTo(t, w, Options{Credentials: c.keys})
				require.Error(t, err)
				for _, want := range c.wants {
					assert.ErrorContains(t, err, want)
				}
				withoutSecrets(t, said)
				assert.LessOrEqual(t, len(w.seen()), 6, "no storm: each of three blobs at most twice")
				assert.Equal(t, before, w.digest("a"))
			})
		})
	}
}

// tokens is a registry with a token service at the same place.
type tokens struct {
	w       *world
	service func(out http.ResponseWriter, r *http.Request) bool // answers /token
	valid   string
	asked   []url.Values
	forms   []url.Values
}

func (s *tokens) fault(out http.ResponseWriter, r *http.Request) bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if r.URL.Path == "/token" {
		s.asked = append(s.asked, r.URL.Query())
		if r.Method == http.MethodPost {
			if r.ParseForm() == nil {
				s.forms = append(s.forms, r.PostForm)
			}
		}
		return s.service(out, r)
	}
	if r.Header.Get("Authorization") == "Bearer "+s.valid {
		return false
	}
	out.Header().Set("WWW-Authenticate", `Bearer realm="https://example.com/token?a=b",service="the \"service\"",scope="repository:team/app:pull"`)
	return complain(out, http.StatusUnauthorized, "UNAUTHORIZED", r.Header.Get("Authorization"))
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := &tokens{w: w, valid: "token-one"}
		s.service = func(out http.ResponseWriter, r *http.Request) bool {
			user, pass, ok := r.BasicAuth()
			assert.Equal(t, []any{"user", secret, true}, []any{user, pass, ok})
			fmt.Fprintf(out, `{"token": %q}`, s.valid)
			return true
		}
		w.fault = s.fault
		client := w.client(Options{Credentials: always(password())})
		request := Request{Repository: repository, Root: imageOf(t, 1, 100, 8), Tags: []Tag{{"a", false}}}
		_, err := client.Push(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, []url.Values{{"a": {"b"}, "service": {`the "service"`}, "scope": {"repository:team/app:push,pull"}}}, s.asked, "once, for all")
		w.complete(t, "a")

		s.valid = "token-two" // the first has expired
		_, err = client.Push(t.Context(), request)
		require.NoError(t, err)
		assert.Len(t, s.asked, 2)
	})
}

func TestIdentityTokens(t *testing.T) {
	for name, known := range map[string]bool{"the service knows them": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := &tokens{w: w, valid: "token-one"}
				s.service = func(out http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodPost && !known {
						return complain(out, http.StatusNotFound, "", "")
					}
					fmt.Fprintf(out, `{"access_token": %q, "refresh_token": "other"}`, s.valid)
					return true
				}
				w.fault = s.fault
				_, err := pushTo(t, w, Options{Credentials: always(credentials.Credential{IdentityToken: secret, Source: "x"})})
				require.NoError(t, err)
				assert.Equal(t, secret, s.forms[0].Get("refresh_token"))
				assert.Equal(t, "refresh_token", s.forms[0].Get("grant_type"))
				assert.Equal(t, "repository:team/app:push,pull", s.forms[0].Get("scope"))
			})
		})
	}
}

// R1, R2, R3: what can be wrong with the token service.
func TestTokenServiceFaults(t *testing.T) {
	ok := func(out http.ResponseWriter) bool { fmt.Fprint(out, `{"token": "token-one"}`); return true }
	for name, c := range map[string]struct {
		fault func(out http.ResponseWriter, n int) bool
		want  string
	}{
		"refuses": {func(out http.ResponseWriter, _ int) bool { return complain(out, 401, "", secret) }, "401 Unauthorized for team/app with the credential from docker-credential-x (its token service)"},
		"busy": {func(out http.ResponseWriter, n int) bool {
			if n > 2 {
				return ok(out)
			}
			return status(http.StatusTooManyRequests, "Retry-After", "3")(out, nil)
		}, ""},
		"breaks": {func(out http.ResponseWriter, n int) bool {
			if n > 2 {
				return ok(out)
			}
			out.Header().Set("Content-Length", "100")
			fmt.Fprint(out, `{"tok`)
			panic(http.ErrAbortHandler)
		}, ""},
		"no token":         {func(out http.ResponseWriter, _ int) bool { fmt.Fprintf(out, `{"secret": %q}`, secret); return true }, "answers without a token"},
		"a page":           {func(out http.ResponseWriter, _ int) bool { fmt.Fprint(out, "<html>", secret); return true }, "answers without a token"},
		"a token too weak": {func(out http.ResponseWriter, _ int) bool { fmt.Fprint(out, `{"token": "token-weak"}`); return true }, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				n := 0
				s := &tokens{w: w, valid: "token-one", service: func(out http.ResponseWriter, _ *http.Request) bool { n++; return c.fault(out, n) }}
				w.fault = s.fault
				said, err := pushTo(t, w, Options{Credentials: always(password()), Jobs: 1})
				withoutSecrets(t, said, "token-weak")
				assert.Less(t, n, 10)
				if c.want == "" {
					require.NoError(t, err)
					return
				}
				assert.ErrorContains(t, err, c.want)
			})
		})
	}
}

func TestTokenServiceOverPlainHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fault = echo(401, `Bearer realm="http://example.com/token"`)
		said, err := pushTo(t, w, Options{Credentials: always(password())})
		isType[*HostError](t, err)
		withoutSecrets(t, said)
	})
}

func TestParseChallenges(t *testing.T) {
	for line, want := range map[string][]challenge{
		`Basic realm="a b"`: {{"basic", map[string]string{"realm": "a b"}}},
		`Bearer realm="https://a/b",service=c,scope="repository:a:pull,push"`: {{"bearer", map[string]string{"realm": "https://a/b", "service": "c", "scope": "repository:a:pull,push"}}},
		`Negotiate, Basic realm="x", Bearer realm="y"`:                        {{"negotiate", map[string]string{}}, {"basic", map[string]string{"realm": "x"}}, {"bearer", map[string]string{"realm": "y"}}},
		`Bearer realm="a \" \\ b`:                                             {{"bearer", map[string]string{"realm": `a " \ b`}}},
		`, ,="=`:                                                              nil,
		``:                                                                    nil,
	} {
		assert.Equal(t, want, parseChallenges(line), line)
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/b",service=c`)
	f.Add(`, ="\`)
	f.Fuzz(func(t *testing.T, line string) {
		for _, found := range parseChallenges(line) {
			assert.NotEmpty(t, found.scheme)
		}
	})
}

func TestScopes(t *testing.T) {
	ours := []string{"repository:a/b:push,pull"}
	for asked, want := range map[string][]string{
		"":                         ours,
		"repository:a/b:pull":      ours,
		"repository:a/b:pull,push": ours,
		"repository:a/b:delete":    {ours[0], "repository:a/b:delete"},
		"registry:catalog:*":       {ours[0], "registry:catalog:*"},
		"odd":                      {ours[0], "odd"},
	} {
		assert.Equal(t, want, wantedScopes(ours, challenge{"bearer", map[string]string{"scope": asked}}), asked)
	}
}

func TestRedaction(t *testing.T) {
	var r redactor
	r.add(secret)
	r.add("abc")
	text := r.clean(strings.Join(append(forms(secret), "abc", "\x00\n\x1b[31m", "\xff"), " "))
	withoutSecrets(t, text)
	assert.Contains(t, text, "abc", "what is so short is in every text")
	assert.NotContains(t, text, "\x1b")
	assert.LessOrEqual(t, len([]rune(r.clean(strings.Repeat("x", 10000)))), maxMessage+1)
}
