// Command slipway-proxy stands before the instances of one service on one machine and decides which of them gets a request:
// Caddy, with a module of ours that changes the split without losing one.
//
// systemd starts it with the sockets that it serves on (LISTEN_FDS), so that nobody is refused while it is replaced or after it
// crashed. It is told what to do over a unix socket (package control), and keeps that in a file.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil))) // Caddy takes over the other
	if err := detachNotify(os.Getenv, os.Environ()); err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2) // the flags say why
	}
	if err := run(ctx, o, os.Getenv); err != nil {
		fail(err)
	}
}

func fail(err error) {
	slog.Error("slipway-proxy ends", "error", err)
	os.Exit(1)
}

// options are the command line.
type options struct {
	instance, state, run string
	grace                time.Duration
	plain                int
	maxBody              int64
	acme, acmeRoot       string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("slipway-proxy", flag.ContinueOnError)
	flags.StringVar(&o.instance, "instance", "a", "`name` of this process among those that share the sockets")
	flags.StringVar(&o.state, "state", "", "`directory` for the state file and certificates")
	flags.StringVar(&o.run, "run", "", "`directory` for the control socket: proxy.sock leads to that of the newest process")
	flags.DurationVar(&o.grace, "grace", 30*time.Second, "how long requests may take to end after SIGTERM")
	flags.IntVar(&o.plain, "plain", 80, "`port` that speaks plain HTTP while the others speak TLS")
	flags.Int64Var(&o.maxBody, "max-body", 1<<30, "`bytes` that a request's body may have")
	flags.StringVar(&o.acme, "acme", "", "directory `URL` of the ACME authority (default: Let's Encrypt)")
	flags.StringVar(&o.acmeRoot, "acme-root", "", "`file` with the certificate that the ACME authority is known by")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.state == "" || o.run == "" || flags.NArg() > 0 {
		fmt.Fprintln(flags.Output(), "slipway-proxy: -state and -run are needed, and there are no arguments")
		return o, flag.ErrHelp
	}
	return o, nil
}
