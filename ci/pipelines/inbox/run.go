package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ci/slipway/ci/pipelines/inbox/capacity"
)

const (
	outputFile = "output"
	stdoutFile = "stdout"
	resultFile = "result.json"

	// notStarted is the shell's code for a command that could not be started.
	notStarted = 127
	// signalBase is what a shell adds to the number of the signal.
	signalBase = 128
	// defaultGrace is the time for a goroutine dump before the process is killed.
	defaultGrace = 5 * time.Second
)

// runOptions says what to run, and where to put what came of it.
type runOptions struct {
	dir     string        // for the three files; "" passes the output to stderr
	timeout time.Duration // 0: none
	grace   time.Duration // between SIGQUIT and SIGKILL
	stdin   string        // a file; "" is the empty input
	sum     string        // a file that the command makes, to name by its digest; "" for none
	command []string
}

// result is what result.json holds.
type result struct {
	Started    time.Time `json:"started"`
	DurationMS int64     `json:"duration_ms"`
	ExitCode   int       `json:"exit_code"`
	TimedOut   bool      `json:"timed_out"`
	Signal     string    `json:"signal"`
	OOM        bool      `json:"oom"`
	Limit      int64     `json:"memory_limit,omitempty"` // in bytes, where memory ran out
	Command    []string  `json:"command"`
	SHA256     string    `json:"sha256,omitempty"` // of the file that -sum names
}

func runCommand(args []string, stdout, stderr io.Writer) error {
	options, err := parseRun(args)
	if err != nil {
		return err
	}
	sinks, err := openSinks(options.dir, stderr)
	if err != nil {
		return err
	}
	outcome, err := run(context.Background(), options, sinks, os.DirFS("/"))
	if err == nil && options.sum != "" && outcome.ExitCode == 0 {
		outcome.SHA256, err = sumOf(options.sum)
	}
	if err := errors.Join(err, sinks.close()); err != nil {
		return err
	}
	return publishResult(options.dir, outcome, stdout)
}

func parseRun(args []string) (runOptions, error) {
	options := runOptions{}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&options.dir, "dir", "", "")
	flags.DurationVar(&options.timeout, "timeout", 0, "")
	flags.DurationVar(&options.grace, "grace", defaultGrace, "")
	flags.StringVar(&options.stdin, "stdin", "", "")
	flags.StringVar(&options.sum, "sum", "", "")
	if err := flags.Parse(args); err != nil {
		return options, usageError{err.Error()}
	}
	options.command = flags.Args()
	if len(options.command) == 0 {
		return options, usageError{"name the command to run after --"}
	}
	return options, nil
}

// sumOf is the digest of a file, in hexadecimal.
func sumOf(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("read what the command made: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("read what the command made: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// publishResult stores the result last: where it exists, the outputs are whole.
func publishResult(dir string, outcome result, stdout io.Writer) error {
	var document bytes.Buffer
	if err := printJSON(&document, outcome); err != nil {
		return err
	}
	if dir != "" {
		if err := os.WriteFile(filepath.Join(dir, resultFile), document.Bytes(), 0o644); err != nil {
			return fmt.Errorf("store result: %w", err)
		}
	}
	if _, err := stdout.Write(document.Bytes()); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}

// run runs the command to its end. The error is about inbox's own work; how the
// command fared is in the result.
func run(ctx context.Context, options runOptions, sinks *sinks, root fsReader) (result, error) {
	stdin, err := openStdin(options.stdin)
	if err != nil {
		return result{}, err
	}
	defer stdin.Close()
	if options.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, options.timeout)
		defer cancel()
	}

	var timedOut atomic.Bool
	command := exec.CommandContext(ctx, options.command[0], options.command[1:]...)
	command.Stdin, command.Stdout, command.Stderr = stdin, sinks.stdout(), sinks.stderr()
	ownGroup(command)
	command.WaitDelay = options.grace
	command.Cancel = func() error {
		timedOut.Store(true)
		return quitGroup(command)
	}

	before, started := readMemory(root), time.Now()
	waitErr := command.Start()
	if waitErr == nil {
		waitErr = command.Wait()
		killGroup(command) // what the command left running would keep the container busy
	}
	outcome := outcomeOf(command.ProcessState, waitErr, sinks)
	outcome.Started, outcome.DurationMS = started.UTC(), time.Since(started).Milliseconds()
	outcome.Command, outcome.TimedOut = options.command, timedOut.Load()
	outcome.OOM = !outcome.TimedOut && outOfMemory(before, readMemory(root), outcome)
	if outcome.OOM {
		outcome.Limit, _ = capacity.Memory(root)
	}
	return outcome, nil
}

func openStdin(name string) (*os.File, error) {
	if name == "" {
		name = os.DevNull
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open stdin: %w", err)
	}
	return file, nil
}

// outcomeOf reads exit code and signal. A command without a state never started.
func outcomeOf(state *os.ProcessState, err error, sinks *sinks) result {
	if state == nil {
		fmt.Fprintln(sinks.stderr(), "inbox: start command:", err)
		return result{ExitCode: notStarted}
	}
	if number, name, ok := signalOf(state); ok {
		return result{ExitCode: signalBase + number, Signal: name}
	}
	return result{ExitCode: state.ExitCode()}
}

// sinks takes a command's two streams: both in the order in which they arrive,
// and stdout once more alone.
type sinks struct {
	mu     sync.Mutex
	output io.Writer
	only   io.Writer
	files  []*os.File
}

func openSinks(dir string, stderr io.Writer) (*sinks, error) {
	if dir == "" {
		return &sinks{output: stderr, only: io.Discard}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create result directory: %w", err)
	}
	// A result of an earlier run must not be taken for the one of this run.
	if err := os.Remove(filepath.Join(dir, resultFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old result: %w", err)
	}
	output, err := os.Create(filepath.Join(dir, outputFile))
	if err != nil {
		return nil, fmt.Errorf("create output: %w", err)
	}
	only, err := os.Create(filepath.Join(dir, stdoutFile))
	if err != nil {
		return nil, fmt.Errorf("create stdout: %w", errors.Join(err, output.Close()))
	}
	return &sinks{output: output, only: only, files: []*os.File{output, only}}, nil
}

func (s *sinks) stdout() io.Writer { return sink{s, []io.Writer{s.output, s.only}} }
func (s *sinks) stderr() io.Writer { return sink{s, []io.Writer{s.output}} }

func (s *sinks) close() error {
	var problems []error
	for _, file := range s.files {
		if err := file.Close(); err != nil {
			problems = append(problems, fmt.Errorf("close output: %w", err))
		}
	}
	return errors.Join(problems...)
}

type sink struct {
	owner   *sinks
	writers []io.Writer
}

func (s sink) Write(p []byte) (int, error) {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	for _, w := range s.writers {
		if n, err := w.Write(p); err != nil {
			return n, err
		}
	}
	return len(p), nil
}
