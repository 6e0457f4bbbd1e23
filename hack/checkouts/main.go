// Command checkouts runs Slipway, without configuration, on every repository in a directory and prints a table: what it took
// each for, what came out, and whether that is what the list expects.
//
//	go run ./hack/checkouts DIR > docs/checkouts.md     every checkout in DIR
//	go run ./hack/checkouts -clone DIR                  first clones what the list names and DIR lacks
//
// It exits with 1 when a verdict is not the expected one. Checkouts that are not on the list are run and shown too.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "checkouts:", err)
		os.Exit(1)
	}
}

// errUnexpected says that a verdict is not the one on the list.
var errUnexpected = errors.New("a verdict is not what the list expects")

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("checkouts", flag.ContinueOnError)
	clone := flags.Bool("clone", false, "clone what the list names and DIR lacks")
	only := flags.String("only", "", "names of checkouts, with commas")
	slipway := flags.String("slipway", "bin/slipway", "the program")
	limit := flags.Duration("limit", 30*time.Minute, "time for each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one directory that holds checkouts")
	}
	dir := flags.Arg(0)
	if *clone {
		if err := cloneMissing(ctx, dir); err != nil {
			return err
		}
	}
	trials, err := find(ctx, dir, *only)
	if err != nil {
		return err
	}
	program, err := filepath.Abs(*slipway)
	if err != nil {
		return err
	}
	return tryAll(ctx, os.Stdout, program, trials, *limit)
}

func tryAll(ctx context.Context, w io.Writer, program string, trials []trial, limit time.Duration) error {
	fmt.Fprint(w, heading)
	unexpected := false
	for _, t := range trials {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fmt.Fprintf(os.Stderr, "%s …\n", t.name)
		result := try(ctx, program, t, limit)
		fmt.Fprintln(w, result.row())
		unexpected = unexpected || !result.expected()
	}
	if unexpected {
		return errUnexpected
	}
	return nil
}

// trial is one checkout that is run.
type trial struct {
	name, dir, commit string
	want              *expectation // nil: not on the list
}

// outcome is what a run of a checkout came to.
type outcome struct {
	trial
	run  report.Run
	took time.Duration
	err  error // no report could be read
}

// try runs ship on one checkout, with an output directory that is thrown away.
func try(ctx context.Context, program string, t trial, limit time.Duration) outcome {
	dist, err := os.MkdirTemp("", "checkout-")
	if err != nil {
		return outcome{trial: t, err: err}
	}
	defer os.RemoveAll(dist)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "ship", "--json", "-C", t.dir, "--dist", filepath.Join(dist, "dist"), "--timeout", limit.String())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	err = cmd.Run()
	o := outcome{trial: t, took: time.Since(started)}
	if unread := json.Unmarshal(stdout.Bytes(), &o.run); unread != nil {
		o.err = fmt.Errorf("%w: %s", errors.Join(err, unread), stderr.String())
	}
	return o
}

// find lists the checkouts in a directory, those of the list first in the list's order.
func find(ctx context.Context, dir, only string) ([]trial, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the checkouts: %w", err)
	}
	there := map[string]trial{}
	var rest []trial
	for _, entry := range entries {
		if !entry.IsDir() || (only != "" && !strings.Contains(","+only+",", ","+entry.Name()+",")) {
			continue
		}
		t := trial{name: entry.Name(), dir: filepath.Join(dir, entry.Name()), commit: head(ctx, filepath.Join(dir, entry.Name()))}
		if t.want = expected(t.name, t.commit); t.want == nil {
			rest = append(rest, t)
			continue
		}
		there[t.want.repository] = t
	}
	var trials []trial
	for _, e := range expectations {
		if t, ok := there[e.repository]; ok {
			trials = append(trials, t)
		}
	}
	return append(trials, rest...), nil
}

// head is the commit of a checkout, "" when it has none.
func head(ctx context.Context, dir string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func cloneMissing(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, e := range expectations {
		into := filepath.Join(dir, e.name())
		if _, err := os.Stat(into); err == nil {
			continue
		}
		for _, args := range [][]string{{"clone", "--quiet", "https://" + e.repository, into}, {"-C", into, "checkout", "--quiet", e.commit}} {
			if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
			}
		}
	}
	return nil
}
