// Slipway-host is the helper on a machine that people deploy to. It does there what has to be atomic: leases, state, starting,
// switching, committing, and going back by itself when nobody commits.
//
//	slipway-host call             answer one request (package protocol) from standard input
//	slipway-host guard SERVICE    go back to the committed release once a rollout's lease is over without a commit
//
// It is compiled for the machine's architecture from the standard library alone, and lives at
// /opt/slipway/helper/<sha256>/slipway-host. All that it knows is on disk: it may be killed at any moment, and the next
// request goes on from what is there.
//
//   - State is written to a temporary file, synced and renamed, with the copy before it kept.
//   - Steps are done one at a time, under a lock that ends with the process, and only with the number of the lease.
//   - What is on the machine and was not written by Slipway, or was changed by hand, is not overwritten.
//   - What a request holds is checked before it becomes part of a path.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = "usage: slipway-host call <request.json | slipway-host guard SERVICE"

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// A step is finished also when the connection that asked for it is gone.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	// The service's account reaches into what is made here, whatever the login's own umask. Secrets have modes of their own.
	syscall.Umask(0o022)
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	machine, err := newMachine(args[0])
	if err == nil && len(args) < 2 {
		err = usageError{usage}
	}
	if err != nil {
		return exit(err, stderr)
	}
	switch {
	case args[1] == "call" && len(args) == 2:
		return exit(machine.call(ctx, stdin, stdout, stderr), stderr)
	case args[1] == "guard" && len(args) == 3:
		return exit(machine.guard(ctx, args[2], stderr), stderr)
	}
	return exit(usageError{usage}, stderr)
}

// usageError says that the helper was called wrongly.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func exit(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "slipway-host:", err)
	if _, wrong := err.(usageError); wrong { //nolint:errorlint // it is made here
		return exitUsage
	}
	return exitFailed
}
