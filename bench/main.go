// Command bench measures Slipway against what people use without it, and writes docs/bench.md. Beside the standard library it
// needs nothing that this module does not have already.
//
//	go run ./bench                  all of it, on the service in bench/testdata/service
//	go run ./bench CHECKOUT         the same on another project
//	go run ./bench -profile         where the time of our own runs goes
//	go run ./bench -quick -out -    whether the bench itself works
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options is what to measure, and how.
type options struct {
	root     string // this repository
	checkout string // what is built; "" is the service in testdata
	work     string // where checkouts, caches and tools are kept from run to run
	out      string // file of the table; "-" is standard output
	rounds   int    // of what is fast
	cold     int    // rounds with empty caches
	targets  []target.Target
	compare  bool
	ship     bool
	growth   bool
	growing  string
	profile  bool
	quick    bool
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b, err := open(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	text, err := b.measure(ctx)
	if text == "" {
		return err
	}
	return errors.Join(err, b.write(text, stdout)) // what was measured before an error took long enough
}

func (b *bench) write(text string, stdout io.Writer) error {
	if b.out == "-" {
		_, err := io.WriteString(stdout, text)
		return err
	}
	if err := os.WriteFile(b.out, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	b.say("wrote %s", b.out)
	return nil
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{root: "."}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.out, "out", "", "`file` of the table; - is standard output (docs/bench.md; - with -profile and -quick)")
	flags.StringVar(&o.work, "work", "", "`directory` of checkouts, caches and tools (slipway-bench in the user's cache)")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of what is fast")
	flags.IntVar(&o.cold, "cold", 3, "rounds with empty caches; 0 leaves them out")
	flags.BoolVar(&o.compare, "compare", true, "measure against go build and GoReleaser")
	flags.BoolVar(&o.ship, "ship", true, "measure whole runs (slipway ship) too")
	flags.BoolVar(&o.growth, "growth", true, "measure more targets, more programs, more files")
	flags.StringVar(&o.growing, "growing", "", "measure only the growth whose name begins with this `text`, such as targets")
	flags.BoolVar(&o.profile, "profile", false, "tell where the time of our own runs goes, and measure nothing else")
	flags.BoolVar(&o.quick, "quick", false, "smallest sizes: see whether the bench works")
	list := flags.String("target", "", "build only these, such as linux/amd64,linux/arm64 (six)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 1 {
		return o, errors.New("more than one checkout is named: name one, or none for the service in bench/testdata")
	}
	o.checkout = flags.Arg(0)
	var err error
	if o.targets, err = parseTargets(*list); err != nil {
		return o, err
	}
	return o.settled()
}

func parseTargets(list string) ([]target.Target, error) {
	if list == "" {
		return target.Default(), nil
	}
	var targets []target.Target
	for name := range strings.SplitSeq(list, ",") {
		t, err := target.Parse(name)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// settled fills in what depends on other options.
func (o options) settled() (options, error) {
	if o.quick {
		o.rounds, o.cold, o.ship, o.targets = 1, 1, false, []target.Target{{OS: "linux", Arch: "amd64"}, {OS: "windows", Arch: "arm64"}}
	}
	if o.out == "" {
		o.out = filepath.Join(o.root, "docs", "bench.md")
		if o.quick || o.profile {
			o.out = "-"
		}
	}
	if o.work == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return o, fmt.Errorf("find the user's cache directory: %w; name a directory with -work", err)
		}
		o.work = filepath.Join(cache, "slipway-bench")
	}
	for _, path := range []*string{&o.root, &o.work} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = abs
	}
	return o, nil
}
