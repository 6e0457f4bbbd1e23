package forge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v80/github"
)

var errStalled = errors.New("nothing moved for a while")

// limited is a context for one short request.
func (g *GitHub) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, g.idle, errStalled)
}

// watched is a context that ends when nothing was touched for a while.
func (g *GitHub) watched(ctx context.Context) (watched context.Context, touch, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(g.idle, func() { cancel(errStalled) })
	return ctx, func() { timer.Reset(g.idle) }, func() { timer.Stop(); cancel(nil) }
}

// touching tells that a reader is read.
type touching struct {
	io.Reader
	touch func()
}

func (t *touching) Read(p []byte) (int, error) {
	t.touch()
	return t.Reader.Read(p)
}

// stalled is the error of a request that stood still, else the one given.
func stalled(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// answer is GitHub's answer in an error, nil when there is none.
func answer(err error) *http.Response {
	var (
		plain *github.ErrorResponse
		rate  *github.RateLimitError
		abuse *github.AbuseRateLimitError
	)
	switch {
	case errors.As(err, &plain):
		return plain.Response
	case errors.As(err, &rate):
		return rate.Response
	case errors.As(err, &abuse):
		return abuse.Response
	}
	return nil
}

func status(err error) int {
	if r := answer(err); r != nil {
		return r.StatusCode
	}
	return 0
}

// convert says what an error means to whoever waits: whether it may be gone
// next time, and else what to do. The token is in none, whatever a server says.
func (g *GitHub) convert(err error) error {
	text := strings.ReplaceAll(err.Error(), g.token, "(token)")
	r := answer(err)
	switch {
	case r == nil && permanent(err):
		return errors.New(text)
	case r == nil:
		return &TemporaryError{Cause: errors.New(text)}
	case repeatable(r, err):
		return &TemporaryError{After: after(r, time.Now()), Cause: errors.New(text)}
	}
	if advice := advise(r.StatusCode, g.owner+"/"+g.name); advice != "" {
		return fmt.Errorf("%s: %s", advice, text)
	}
	return errors.New(text)
}

// permanent says that an error without an answer will be the same next time.
func permanent(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		name        *net.DNSError
		address     *url.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errStalled):
		return false
	case errors.As(err, &certificate), errors.As(err, &authority), errors.Is(err, context.Canceled):
		return true
	case errors.As(err, &name) && name.IsNotFound:
		return true
	}
	return errors.As(err, &address) && strings.Contains(address.Err.Error(), "unsupported protocol scheme")
}

// repeatable says that an answer may be another one next time. A name that is
// there already means that an earlier try got further than we know.
func repeatable(r *http.Response, err error) bool {
	switch code := r.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500 && code != http.StatusNotImplemented:
		return true
	case code == http.StatusForbidden:
		return r.Header.Get("Retry-After") != "" || r.Header.Get("X-Ratelimit-Remaining") == "0" || isAbuse(err)
	case code == http.StatusUnprocessableEntity:
		return alreadyThere(err)
	}
	return false
}

func isAbuse(err error) bool {
	var abuse *github.AbuseRateLimitError
	return errors.As(err, &abuse)
}

func alreadyThere(err error) bool {
	var plain *github.ErrorResponse
	if errors.As(err, &plain) {
		for _, detail := range plain.Errors {
			if detail.Code == "already_exists" {
				return true
			}
		}
	}
	return false
}

// after is how long GitHub asks to wait: seconds or a date in Retry-After, or
// the time at which a limit ends.
func after(r *http.Response, now time.Time) time.Duration {
	value := strings.TrimSpace(r.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	if r.Header.Get("X-Ratelimit-Remaining") != "0" {
		return 0
	}
	reset, err := strconv.ParseUint(r.Header.Get("X-Ratelimit-Reset"), 10, 33)
	if err != nil {
		return 0
	}
	return max(time.Unix(int64(reset), 0).Sub(now), 0)
}

func advise(code int, repository string) string {
	switch code {
	case http.StatusUnauthorized:
		return "GitHub does not take the token: it may have expired"
	case http.StatusForbidden:
		return "the token may not do this: it needs to write contents of " + repository + " (permissions: contents: write)"
	case http.StatusNotFound:
		return "GitHub has no " + repository + ", or the token may not see it"
	}
	return ""
}
