package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"dagger.io/dagger/engineconn"
)

// runtimePatience is how long a container runtime's own "version" may take before it counts as not answering.
const runtimePatience = 5 * time.Second

// Options says which engine to open and how.
type Options struct {
	Want     string              // --engine: "" or auto, docker, embedded, or an address
	Getenv   func(string) string // the environment's named values
	Environ  []string            // the whole environment, for the CLI
	Progress func(text string)   // what is being done now; may be called from other goroutines
	// Own builds, starts or joins the embedded engine and returns its address and the CLI that goes with it.
	Own func(ctx context.Context) (address, cli string, err error)
	// Watch returns when the embedded engine is gone or answers no more, with the reason; nil: it is asked now and then.
	Watch func(ctx context.Context) error
	// BuildCLI returns a CLI of the pinned version when there is none on PATH.
	BuildCLI func(ctx context.Context) (string, error)
}

// Open chooses an engine and opens a session on it. When none can be had, the error is an [*UnavailableError].
func Open(ctx context.Context, o Options) (*Session, error) {
	var failed UnavailableError
	for _, choice := range Choices(o.Want, o.Getenv) {
		session, err := o.try(ctx, choice, failed.Attempts)
		if err == nil {
			return session, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var attempt *attemptError
		if !errors.As(err, &attempt) {
			attempt = &attemptError{cause: err}
		}
		failed.causes = append(failed.causes, err)
		failed.Attempts = append(failed.Attempts, Attempt{Kind: choice.Kind, Cause: attempt.cause.Error(), Fix: attempt.fix})
	}
	return nil, &failed
}

// try opens a session on one choice; before are the attempts that failed already.
func (o Options) try(ctx context.Context, choice Choice, before []Attempt) (*Session, error) {
	switch choice.Kind {
	case Joined:
		return join(ctx, choice)
	case Runtime:
		name, err := answeringRuntime(ctx)
		if err != nil {
			return nil, err
		}
		choice.Reason = name + " answers"
	case Embedded:
		address, cli, err := o.Own(ctx)
		if err != nil {
			return nil, err
		}
		choice.Address = address
		if len(before) > 0 && !strings.Contains(before[0].Cause, errNoRuntime.Error()) {
			choice.Reason = "the container runtime could not give one: " + firstLine(before[0].Cause)
		}
		return dial(ctx, choice, cli, o.Environ, o.Watch)
	}
	if err := reachable(ctx, choice.Address); err != nil {
		return nil, &attemptError{cause: err, fix: "start the engine there, or name another one with --engine"}
	}
	cli, err := o.cli(ctx)
	if err != nil {
		return nil, err
	}
	if choice.Kind == Runtime {
		return dial(ctx, choice, cli, o.Environ, nil) // without an address: the CLI knows the image of its own version
	}
	session, err := dial(ctx, choice, cli, o.Environ, nil)
	if err != nil {
		return nil, &attemptError{cause: err, fix: "check that the engine at " + choice.Address + " runs and is version v" + engineconn.CLIVersion + " or newer"}
	}
	return session, nil
}

// dialPatience is how long a socket may take to be opened; the CLI would try for a minute.
const dialPatience = 5 * time.Second

// reachable opens a connection to an address of a kind that can be tried without the CLI.
func reachable(ctx context.Context, address string) error {
	network, place, ok := strings.Cut(address, "://")
	if !ok || (network != "unix" && network != "tcp") {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, place)
	if err != nil {
		return fmt.Errorf("nothing answers at %s: %w", address, err)
	}
	return conn.Close()
}

// cli is the dagger command of the pinned version: the one on PATH, else one built from Go modules.
// The SDK's own download is never used: it is not signed.
func (o Options) cli(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("dagger"); err == nil {
		out, err := exec.CommandContext(ctx, path, "version").Output()
		if err == nil && pinned(string(out)) {
			return path, nil
		}
	}
	return o.BuildCLI(ctx)
}

// pinned tells whether the output of "dagger version" names the pinned version: "dagger v0.19.10 (…) linux/amd64".
func pinned(output string) bool {
	fields := strings.Fields(output)
	return len(fields) > 1 && fields[1] == "v"+engineconn.CLIVersion
}

// runtimes are the commands of the container runtimes that the CLI can start the engine image with.
var runtimes = []string{"docker", "podman", "nerdctl"}

var errNoRuntime = errors.New("no container runtime answers")

// answeringRuntime finds a container runtime whose daemon answers.
func answeringRuntime(ctx context.Context) (string, error) {
	var silent []string
	for _, name := range runtimes {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if answers(ctx, path) {
			return name, nil
		}
		silent = append(silent, name)
	}
	if len(silent) > 0 {
		return "", &attemptError{
			cause: fmt.Errorf("%w (%s is installed, but its daemon does not answer)", errNoRuntime, strings.Join(silent, ", ")),
			fix:   "start its daemon, or let Slipway use its own engine with --engine embedded",
		}
	}
	return "", &attemptError{cause: fmt.Errorf("%w (looked for docker, podman, nerdctl)", errNoRuntime), fix: "install Docker or Podman, or use --engine ADDRESS"}
}

func answers(ctx context.Context, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, runtimePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "ps", "-q")
	cmd.WaitDelay = time.Second
	return cmd.Run() == nil
}

// attemptError is a failed attempt with its fix.
type attemptError struct {
	cause error
	fix   string
}

func (e *attemptError) Error() string { return e.cause.Error() }
func (e *attemptError) Unwrap() error { return e.cause }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
