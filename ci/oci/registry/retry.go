package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fewTries is how often an answer is tried again that may never get better.
const fewTries = 4

var errDeadline = errors.New("the deadline is over")

// try is the one place that decides about tries: it repeats an attempt until
// it succeeds, fails for good, or the deadline comes.
func (s *session) try(ctx context.Context, what string, attempt func(ctx context.Context, n int) error) error {
	var last error
	stalls := 0
	for n := 1; ; n++ {
		if because, err := s.hold(ctx); err != nil {
			return s.over(ctx, what, n-1, cmp.Or(last, because))
		}
		err := attempt(context.WithValue(ctx, stallsKey{}, stalls), n)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return s.over(ctx, what, n, last)
		}
		last = err
		if stall := (*StallError)(nil); errors.As(err, &stall) {
			stalls++
		}
		if !again(last, n) {
			return fmt.Errorf("%s: %w", what, last)
		}
		if err := s.pause(ctx, what, n, last); err != nil {
			return err
		}
	}
}

// pause waits for the next try, if there is time for one.
func (s *session) pause(ctx context.Context, what string, n int, last error) error {
	o := s.client.options
	wait := o.wait(n, last)
	if o.Now().Add(wait).After(s.end) {
		return s.gaveUp(what, n, last)
	}
	s.client.retried(Retry{What: what, Try: n, Cause: last.Error(), Wait: wait})
	if o.Wait(ctx, wait) != nil {
		return s.over(ctx, what, n, last)
	}
	return nil
}

// over is the error of a try that the context ended.
func (s *session) over(ctx context.Context, what string, n int, last error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errDeadline) || cause == nil {
		return s.gaveUp(what, n, last)
	}
	return fmt.Errorf("%s: %w", what, cause)
}

func (s *session) gaveUp(what string, n int, last error) error {
	return &DeadlineError{What: what, Deadline: s.end.Sub(s.began), Tries: n, Cause: last}
}

// stallsKey is the key, in the context of a try, of how many before it stood
// still.
type stallsKey struct{}

// small is the size up to which a request costs little to repeat.
const small = 64 << 10

// patience is how long a request may stand still. What costs little to repeat
// waits less at first: most silence is of connections that are lost.
func (s *session) patience(ctx context.Context, c call) time.Duration {
	idle := s.client.options.Idle
	if c.body != nil && c.body.size > small {
		return idle
	}
	stalls, _ := ctx.Value(stallsKey{}).(int)
	return idle * time.Duration(min(stalls+1, 3)) / 3
}

// hold waits as long as the registry has asked any of our requests to. With an
// error comes the answer in which it asked.
func (s *session) hold(ctx context.Context) (because, err error) {
	o := s.client.options
	for {
		until, because := s.endpoint.quiet()
		left := until.Sub(o.Now())
		if left <= 0 {
			return nil, ctx.Err()
		}
		if until.After(s.end) {
			return because, errDeadline
		}
		if err := o.Wait(ctx, left+o.part(o.Backoff)); err != nil {
			return because, err
		}
	}
}

// again says whether an error may be gone next time.
func again(err error, n int) bool {
	var (
		status  *StatusError
		stall   *StallError
		network *networkError
		strange strangeError
	)
	switch {
	case errors.As(err, &strange):
		return n < fewTries
	case errors.As(err, &status):
		return slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, status.Status)
	case errors.As(err, &stall):
		return true
	}
	return errors.As(err, &network) && !noSuchHost(err)
}

func noSuchHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// wait is the time before another try: what the registry asks for, else a
// random part of a bound that doubles. A little chance is added to what it
// asks for, so that not all of us come back at once.
func (o Options) wait(n int, err error) time.Duration {
	var status *StatusError
	if errors.As(err, &status) && status.hasAfter {
		return min(status.after, o.MaxRetryAfter) + o.part(o.Backoff)
	}
	bound := float64(o.Backoff) * math.Pow(2, float64(min(n-1, 30)))
	return o.part(time.Duration(min(bound, float64(o.MaxBackoff))))
}

func (o Options) part(d time.Duration) time.Duration {
	return time.Duration(o.Random() * float64(d))
}

// retryAfter reads the header of that name: seconds, or a date. What is in the
// past or makes no sense is as good as none; what is absurdly long is capped by
// whoever waits.
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0), date.After(now)
	}
	if strings.Trim(value, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.Atoi(value)
	if err != nil || seconds > math.MaxInt32 { // digits, but more than there are seconds
		seconds = math.MaxInt32
	}
	return time.Duration(seconds) * time.Second, seconds > 0
}
