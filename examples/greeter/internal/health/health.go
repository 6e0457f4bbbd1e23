// Package health answers whether a service should get requests.
//
// A service is healthy when all of its checks pass. The checks run at the same time, each with a timeout of its own,
// so that one dependency that hangs costs no more than its timeout and hides nothing about the others. A service that
// is stopping says so and is not healthy, whatever its checks would say.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Status is a word for people and machines.
type Status string

// What a service or a check can be. A check is never stopping.
const (
	OK       Status = "ok"
	Failing  Status = "failing"
	Stopping Status = "stopping"
)

// Probe asks a dependency whether it works. It should return soon after ctx is done; one that does not is not waited
// for, but it keeps its goroutine.
type Probe func(ctx context.Context) error

// Check is a named dependency.
type Check struct {
	Name    string
	Timeout time.Duration
	Probe   Probe
}

// Report is what /health answers.
type Report struct {
	Status  Status            `json:"status"`
	Version string            `json:"version"`
	Checks  map[string]Result `json:"checks"`
}

// Result is the outcome of one check.
type Result struct {
	Status     Status `json:"status"`
	Error      string `json:"error,omitempty"`
	DurationMS int64  `json:"duration_ms"`
}

// Checker runs the checks of a service whenever it is asked. Make one with New.
type Checker struct {
	version  string
	checks   []Check
	stopping atomic.Bool
}

// New returns a Checker for a service of this version.
func New(version string, checks ...Check) *Checker {
	return &Checker{version: version, checks: checks}
}

// Stop makes every report from now on say that the service is stopping.
func (c *Checker) Stop() {
	c.stopping.Store(true)
}

// Report runs all checks and returns when the last has passed, failed or used up its time.
func (c *Checker) Report(ctx context.Context) Report {
	report := Report{Status: OK, Version: c.version, Checks: map[string]Result{}}
	if c.stopping.Load() {
		report.Status = Stopping
		return report
	}

	results := make([]Result, len(c.checks))
	var running sync.WaitGroup
	for i, check := range c.checks {
		running.Go(func() { results[i] = check.run(ctx) })
	}
	running.Wait()

	for i, check := range c.checks {
		report.Checks[check.Name] = results[i]
		if results[i].Status != OK {
			report.Status = Failing
		}
	}
	return report
}

// ServeHTTP answers with the report: 200 when the service is healthy, else 503.
func (c *Checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report := c.Report(r.Context())
	code := http.StatusOK
	if report.Status != OK {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(report) //nolint:errcheck // the client has gone; nobody is left to tell
}

func (c Check) run(ctx context.Context) Result {
	started := time.Now()
	err := c.probe(ctx)
	result := Result{Status: OK, DurationMS: time.Since(started).Milliseconds()}
	if err != nil {
		result.Status, result.Error = Failing, err.Error()
	}
	return result
}

func (c Check) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no answer within %s", c.Timeout))
	defer cancel()

	answer := make(chan error, 1)
	go func() { answer <- c.safely(ctx) }()
	select {
	case err := <-answer:
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx) // clearer than the probe's own "context deadline exceeded"
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// safely turns a panic into an error: no middleware stands above this goroutine, it would end the process.
func (c Check) safely(ctx context.Context) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("check panicked: %v", cause)
		}
	}()
	return c.Probe(ctx)
}

// GET returns a probe that passes when address answers with a status below 400.
func GET(client *http.Client, address string) Probe {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		response, err := client.Do(request)
		if err != nil {
			return withoutAddress(err)
		}
		defer response.Body.Close()
		// Read to the end, so that the connection can be used again; but a health answer is short.
		io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) //nolint:errcheck // only the status matters
		if response.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("answered %s", response.Status)
		}
		return nil
	}
}

// withoutAddress keeps the URL, which may hold a token, out of an answer that anyone can read.
func withoutAddress(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
