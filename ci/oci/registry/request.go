package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxDocument bounds manifests and lists, maxComplaint what a registry says
// when it does not do what we want.
const (
	maxDocument  = 16 << 20
	maxComplaint = 64 << 10
)

// askFirst is the size from which a body waits until the registry wants it
// (Expect: 100-continue).
const askFirst = 1 << 20

// call is one request.
type call struct {
	method string
	path   string   // below the repository, such as "manifests/latest"
	url    *url.URL // in place of path, where a registry named it
	query  url.Values
	header map[string]string
	body   *body
	scopes []string // in place of the session's
	limit  int64    // of the answer, in place of maxDocument
	hint   bool     // ask before sending a body of any size
}

// body is what a request sends. It is opened anew for each time that it is sent.
type body struct {
	size int64
	open func() (io.ReadCloser, error)
	sent func(n int) // hears of the bytes
}

// answer is a response that has come as a whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL
}

// send makes a request, logs in where that is asked for, and gives the answer
// when its status is a wanted one. It tries once; try decides about more.
func (s *session) send(ctx context.Context, c call, wanted ...int) (answer, error) {
	if c.scopes == nil {
		c.scopes = s.scopes
	}
	shown, err := s.authorization(ctx, c.scopes)
	if err != nil {
		return answer{}, err
	}
	a, err := s.once(ctx, c, shown)
	if err == nil && a.status == http.StatusUnauthorized {
		if shown, err = s.answerTo(ctx, a, shown, c.scopes); err != nil {
			return answer{}, err
		}
		a, err = s.once(ctx, c, shown)
	}
	switch {
	case err != nil:
		return answer{}, err
	case slices.Contains(wanted, a.status):
		return a, nil
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return answer{}, s.refusedNow(ctx, a)
	}
	return answer{}, s.unwanted(a)
}

// refusedNow is refused, where it is not our turn to log in. The keychain is
// asked, so that the error can say what there is.
func (s *session) refusedNow(ctx context.Context, a answer) error {
	if err := s.endpoint.enter(ctx); err != nil {
		return err
	}
	defer s.endpoint.leave()
	if err := s.ask(ctx); err != nil {
		return err
	}
	return s.refused(a)
}

// unwanted is an answer with a status that nobody wanted. A registry that asks
// to wait is not asked by anyone until then.
func (s *session) unwanted(a answer) error {
	now := s.client.options.Now()
	after, ok := retryAfter(a.header, now)
	err := &StatusError{Registry: s.endpoint.host, Status: a.status, Message: s.message(a.body), after: after, hasAfter: ok}
	if ok && (a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable) {
		s.endpoint.keepQuiet(now.Add(min(after, s.client.options.MaxRetryAfter)), err)
	}
	if a.status == http.StatusExpectationFailed {
		s.endpoint.expectsNothing()
		return strangeError{err}
	}
	return err
}

// message is what a registry says in an error.
func (s *session) message(body []byte) string {
	var said struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(body, &said) != nil || len(said.Errors) == 0 {
		text := string(body)
		if strings.Contains(text, "<html") || strings.Contains(text, "<!DOCTYPE") {
			return ""
		}
		return s.endpoint.redactor.clean(text)
	}
	var parts []string
	for _, e := range said.Errors {
		parts = append(parts, strings.Trim(e.Code+": "+e.Message, ": "))
	}
	return s.endpoint.redactor.clean(strings.Join(parts, "; "))
}

// hasCode says whether a registry's complaint is one of the kinds.
func hasCode(err error, status int, codes ...string) bool {
	var answered *StatusError
	if !errors.As(err, &answered) || answered.Status != status {
		return false
	}
	return slices.ContainsFunc(codes, func(code string) bool { return strings.Contains(answered.Message, code) })
}

// once makes a request and reads the answer.
func (s *session) once(ctx context.Context, c call, shown string) (answer, error) {
	ctx, w := watched(ctx, s.patience(ctx, c))
	defer w.stop()
	req, out, err := s.request(ctx, c, shown, w)
	if err != nil {
		return answer{}, err
	}
	resp, err := s.client.http.Do(req)
	if err == nil {
		defer resp.Body.Close()
	}
	if failed := out.failure(); failed != nil {
		return answer{}, &contentError{fmt.Errorf("read what is pushed: %w", failed)}
	}
	if err != nil {
		return answer{}, s.transportError(ctx, w, err)
	}
	w.move(leastProgress)
	a := answer{status: resp.StatusCode, header: resp.Header, url: resp.Request.URL}
	a.body, err = read(moving{resp.Body, w}, c, resp.StatusCode)
	if err != nil {
		return answer{}, s.transportError(ctx, w, err)
	}
	return a, nil
}

// read reads a body whole. A complaint is cut where it is long, or breaks off.
func read(from io.Reader, c call, status int) ([]byte, error) {
	if status >= http.StatusBadRequest {
		said, _ := io.ReadAll(io.LimitReader(from, maxComplaint))
		return said, nil
	}
	limit := c.limit
	if limit == 0 {
		limit = maxDocument
	}
	data, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, &contentError{fmt.Errorf("the answer is larger than %d bytes", limit)}
	}
	return data, err
}

func (s *session) request(ctx context.Context, c call, shown string, w *watch) (*http.Request, *outgoing, error) {
	at := c.url
	if at == nil {
		at = &url.URL{Scheme: s.endpoint.scheme, Host: s.endpoint.host, Path: "/v2/" + s.repository.RepositoryStr() + "/" + c.path, RawQuery: c.query.Encode()}
	}
	req, err := http.NewRequestWithContext(ctx, c.method, at.String(), nil)
	if err != nil {
		return nil, nil, errors.New("the registry names an address that is none")
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "slipway")
	if shown != "" && at.Host == s.endpoint.host && at.Scheme == s.endpoint.scheme {
		req.Header.Set("Authorization", shown)
	}
	out := &outgoing{body: c.body, watch: w}
	if c.body == nil || c.body.size == 0 {
		return req, out, nil
	}
	req.ContentLength, req.GetBody = c.body.size, out.open
	if (c.hint || c.body.size >= askFirst) && s.endpoint.expects() {
		req.Header.Set("Expect", "100-continue")
	}
	req.Body, err = out.open()
	if err != nil {
		return nil, nil, &contentError{fmt.Errorf("read what is pushed: %w", err)}
	}
	return req, out, nil
}

// transportError sorts what a connection says when it fails.
func (s *session) transportError(ctx context.Context, w *watch, err error) error {
	var content *contentError
	switch {
	case errors.As(err, &content):
		return content
	case errors.Is(context.Cause(ctx), errStalled):
		return &StallError{s.endpoint.host, w.idle}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	host, plain := withoutAddress(s.endpoint.host, err)
	if refused, ok := refusal(host, plain); ok {
		return refused
	}
	return &networkError{host, s.endpoint.redactor.clean(plain.Error()), plain}
}

// resolve is the address that a registry names in an answer. One that does not
// know of the TLS before it names itself without: it is talked to as before.
func (s *session) resolve(a answer) (*url.URL, error) {
	location := a.header.Get("Location")
	at, err := url.Parse(location)
	if location == "" || err != nil {
		return nil, errors.New("the registry names no address to send the blob to")
	}
	at = a.url.ResolveReference(at)
	if at.Host == s.endpoint.host {
		at.Scheme = s.endpoint.scheme
	}
	return at, nil
}

func (e *endpoint) expectsNothing() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expectsFails = true
}

func (e *endpoint) expects() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.expectsFails
}

func seconds(bytes, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}
