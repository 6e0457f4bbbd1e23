package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/forge"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// PinnedGo is the Go release of this version of Slipway: projects that do not ask for a newer one are built with it.
const PinnedGo = "1.26.8"

// Options says what to ship and how. The zero value ships the working directory with an engine that is found.
type Options struct {
	Source  string          // directory of the project; "" is the working directory
	Config  string          // "" is slipway.yaml in Source, if it is there
	Dist    string          // "" is dist in Source
	Engine  string          // auto (or ""), docker, embedded, or an address
	Targets []target.Target // build only these; empty: all
	Skip    []string        // checks of verify to leave out
	NoCache bool            // run everything, replay nothing
	Verbose bool            // tell the observer what the commands print

	// Change is a step of your own before all others: what it makes of the sources is verified and built. nil changes nothing.
	Change pipelines.Change

	Force bool // publish moves a version's tag that names another image already

	// Barred says why this run must not reach beyond this machine. Publish, Deploy, Plan and Rollback refuse then. "" is what
	// [forge.Stranger] says: a pull request from a fork is barred, whatever else is asked for.
	Barred string

	// Hide is told the secrets of the run before anything is printed, so that a CI system can hide them too. nil is not told.
	Hide func(secrets []string)

	Cache   string              // Slipway's directory in the user's cache; "" is the default
	Getenv  func(string) string // nil is os.Getenv
	Environ []string            // nil is os.Environ()
	Slipway string              // version of the program, for the report

	push *pending // what of a commit is verified; nil: everything
}

// settled returns the options with all defaults filled in.
func (o Options) settled() (Options, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	o.Barred = cmp.Or(o.Barred, forge.Stranger(o.Getenv))
	var err error
	if o.Source, err = filepath.Abs(cmp.Or(o.Source, ".")); err != nil {
		return o, &UsageError{fmt.Sprintf("find the source directory: %v", err)}
	}
	if o.Dist, err = filepath.Abs(cmp.Or(o.Dist, filepath.Join(o.Source, "dist"))); err != nil {
		return o, &UsageError{fmt.Sprintf("find the output directory: %v", err)}
	}
	if o.Cache == "" {
		if o.Cache, err = CacheDir(o.Getenv); err != nil {
			return o, &UsageError{err.Error()}
		}
	}
	return o, nil
}

// CacheDir is where Slipway keeps what it makes once for each user: SLIPWAY_CACHE, or slipway in the user's cache.
func CacheDir(getenv func(string) string) (string, error) {
	if dir := getenv("SLIPWAY_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory: %w; set SLIPWAY_CACHE", err)
	}
	return filepath.Join(dir, "slipway"), nil
}

// bar refuses a verb that changes something outside of this machine, where this run must not.
func (o Options) bar(verb Verb) error {
	if o.Barred == "" || !verb.outward() {
		return nil
	}
	return &UsageError{fmt.Sprintf("slipway %s does nothing here: %s; slipway ship does all that needs no credentials", verb, o.Barred)}
}

// UsageError says that the command was called in a way that cannot be meant.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

// Exit codes: they are the command's contract (docs/layout.md).
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNoEngine    = 3
	ExitInterrupted = 130
)

// ExitCode is the exit code of a run: its error first, else what the report says.
func ExitCode(ctx context.Context, run report.Run, err error) int {
	var (
		config      *project.ConfigError
		source      *project.SourceError
		usage       *UsageError
		unavailable *engine.UnavailableError
		lacking     *LackingError
	)
	switch {
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return ExitInterrupted
	case errors.As(err, &config), errors.As(err, &source), errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &unavailable), errors.As(err, &lacking):
		return ExitNoEngine
	case err != nil:
		return ExitFailed
	}
	return run.ExitCode
}

// LackingError says that the machine lacks something that a run needs.
type LackingError struct{ Cause error }

func (e *LackingError) Error() string { return e.Cause.Error() }
func (e *LackingError) Unwrap() error { return e.Cause }

func runID(now time.Time) string { return fmt.Sprintf("%x-%x", now.UnixNano(), os.Getpid()) }

func hostArch() string { return runtime.GOARCH }
