// Package command is a driver whose verbs are commands of the user's: rsync, ansible-playbook, a script.
//
// Each command is an argv and no shell reads it. It runs on this machine, is told what to do by environment variables and, as
// JSON, on its standard input (both are Request), and is done when it ends with 0. Observe, Probe and Lock print JSON; what the
// others print, and what all of them print on standard error, is shown when they fail.
//
// The gates, the order and going back are those of every other driver. What is different: nothing of ours is on the targets. A
// deployer that dies leaves them as they are, until the next run; and the lease is a file on this machine, which keeps only its own users
// apart, unless Lock is there.
package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

const (
	outputKept = 50              // lines of what a command printed
	killDelay  = 2 * time.Second // from SIGTERM to SIGKILL
	maxAnswer  = 1 << 20
)

// Commands are the argv, by verb. Prune, Hook, Logs and Lock may be missing.
type Commands struct {
	Observe, Start, Shift, Stop, Prune, Probe, Hook, Logs, Lock []string
}

// Driver rolls out by commands.
type Driver struct {
	Commands Commands
	Service  string
	Version  string   // of the release that is rolled out
	Release  string   // its digest
	Place    string   // directory on this machine with what is in it; "" where there is none, as for a rollback
	Dir      string   // where the commands run
	Environ  []string // what they find beside what they are told
	State    string   // directory for the leases and the history
}

var (
	_ rollout.Driver = (*Driver)(nil)
	_ rollout.Hooker = (*Driver)(nil)
)

// Request is what a command is told. Each field is the variable SLIPWAY_ and its name in capitals, too.
type Request struct {
	Verb    string        `json:"verb"`
	Service string        `json:"service"`
	Target  string        `json:"target"`
	Slot    string        `json:"slot,omitempty"`
	Release string        `json:"release,omitempty"` // digest
	Version string        `json:"version,omitempty"` // of that release, where it is the one that is rolled out
	Was     string        `json:"was,omitempty"`     // Start with strategy restart: the release to replace
	Split   rollout.Split `json:"split,omitempty"`   // Shift: percent by slot
	Dir     string        `json:"dir,omitempty"`     // with the release's files, where it is the one that is rolled out
	Hook    []string      `json:"hook,omitempty"`
	Lock    string        `json:"lock,omitempty"` // acquire, renew, return
	Owner   string        `json:"owner,omitempty"`
	TTL     string        `json:"ttl,omitempty"`
	Fence   uint64        `json:"fence,omitempty"`
	Tail    int           `json:"tail,omitempty"`
	Follow  bool          `json:"follow,omitempty"`
}

// Observe asks each target at once. One whose command fails is unseen.
func (d *Driver) Observe(ctx context.Context, targets []string) (rollout.Observed, error) {
	seen := make([]rollout.Target, len(targets))
	done := make(chan int)
	for i, name := range targets {
		go func() { seen[i] = d.observe(ctx, name); done <- i }()
	}
	for range targets {
		<-done
	}
	return rollout.Observed{Targets: seen}, ctx.Err()
}

func (d *Driver) observe(ctx context.Context, name string) rollout.Target {
	target := rollout.Target{}
	if err := d.ask(ctx, d.Commands.Observe, Request{Verb: "observe", Target: name}, &target); err != nil {
		return rollout.Target{Name: name, Unseen: err.Error()}
	}
	target.Name = name
	if lease, ok := d.lease(name); ok {
		target.Lease = lease
	}
	return target
}

// Start runs the release in a slot.
func (d *Driver) Start(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, d.Commands.Start, "start", fence, step)
}

// Shift moves traffic.
func (d *Driver) Shift(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, d.Commands.Shift, "shift", fence, step)
}

// Stop ends an instance.
func (d *Driver) Stop(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, d.Commands.Stop, "stop", fence, step)
}

// Prune tells of the commit.
func (d *Driver) Prune(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.write(ctx, d.Commands.Prune, "prune", fence, step)
}

// Hook runs a hook.
func (d *Driver) Hook(ctx context.Context, fence uint64, step rollout.Step) error {
	err := d.write(ctx, d.Commands.Hook, "hook", fence, step)
	var failed *Error
	if errors.As(err, &failed) {
		return &rollout.HookError{When: step.Hook.When, Target: step.Target, ExitCode: failed.ExitCode, Output: failed.Output}
	}
	return err
}

// Probe looks at an instance.
func (d *Driver) Probe(ctx context.Context, place rollout.Place) (rollout.Sample, error) {
	var sample rollout.Sample
	err := d.ask(ctx, d.Commands.Probe, Request{Verb: "probe", Target: place.Target, Slot: place.Slot, Release: place.Release}, &sample)
	return sample, err
}

// Logs lets the command print the log of a target, a line at a time.
func (d *Driver) Logs(ctx context.Context, target string, tail int, follow bool, line func(string)) error {
	if len(d.Commands.Logs) == 0 {
		return errors.New("logs: commands.logs is not configured: add it to slipway.yaml")
	}
	lines := &lineWriter{line: line}
	err := d.run(ctx, d.Commands.Logs, Request{Verb: "logs", Target: target, Tail: tail, Follow: follow}, lines)
	lines.end()
	return err
}

// write does what changes something, with the lease in hand. The lease is looked at before the command, not within it: what
// keeps two machines apart is Lock.
func (d *Driver) write(ctx context.Context, argv []string, verb string, fence uint64, step rollout.Step) error {
	if err := d.holds(ctx, step.Target, fence); err != nil {
		return fmt.Errorf("%s %s: %w", verb, step.Target, err)
	}
	if len(argv) == 0 {
		return nil // Prune, which may be missing
	}
	request := Request{Verb: verb, Target: step.Target, Slot: step.Slot, Release: step.Release, Was: step.Was, Split: step.To, Fence: fence}
	if step.Hook != nil {
		request.Hook = step.Hook.Command
	}
	return d.run(ctx, argv, request, nil)
}

// ask runs a command that prints JSON.
func (d *Driver) ask(ctx context.Context, argv []string, request Request, answer any) error {
	var out bytes.Buffer
	if err := d.run(ctx, argv, request, &limited{&out, maxAnswer}); err != nil {
		return err
	}
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(answer); err != nil {
		return fmt.Errorf("%s %s: what %s printed is no answer: %w", request.Verb, request.Target, argv[0], err)
	}
	return nil
}

// Error says that a command failed.
type Error struct {
	Verb, Target string
	Command      []string
	ExitCode     int
	Output       []string
}

// Error says which, and its last line.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %s ended with exit code %d", e.Verb, e.Target, e.Command[0], e.ExitCode)
	if len(e.Output) > 0 {
		text += ": " + e.Output[len(e.Output)-1]
	}
	return text
}

// run runs a command to its end. With ctx it is asked to end, and then made to, with all that it started.
func (d *Driver) run(ctx context.Context, argv []string, request Request, out interface{ Write([]byte) (int, error) }) error {
	request.Service = d.Service
	if request.Release != "" && request.Release == d.Release {
		request.Version, request.Dir = d.Version, d.Place
	}
	text, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = d.Dir, append(slices.Clone(d.Environ), variables(request)...), bytes.NewReader(append(text, '\n'))
	printed := &tailWriter{}
	cmd.Stdout, cmd.Stderr = printed, printed
	if out != nil {
		cmd.Stdout = out
	}
	group(cmd)
	cmd.WaitDelay = killDelay
	err = cmd.Run()
	if ctx.Err() != nil {
		end(cmd)
		return fmt.Errorf("%s %s: %s did not end in time: %w", request.Verb, request.Target, argv[0], context.Cause(ctx))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &Error{Verb: request.Verb, Target: request.Target, Command: argv, ExitCode: exit.ExitCode(), Output: printed.lines()}
	}
	if err != nil {
		return fmt.Errorf("%s %s: run %s: %w", request.Verb, request.Target, argv[0], err)
	}
	return nil
}

// variables are a request as an environment.
func variables(r Request) []string {
	split, hook := "", ""
	if len(r.Split) > 0 {
		text, _ := json.Marshal(r.Split) // a map of numbers can be written
		split = string(text)
	}
	if len(r.Hook) > 0 {
		text, _ := json.Marshal(r.Hook)
		hook = string(text)
	}
	var list []string
	for _, each := range [][2]string{
		{"VERB", r.Verb}, {"SERVICE", r.Service}, {"TARGET", r.Target}, {"SLOT", r.Slot}, {"RELEASE", r.Release}, {"VERSION", r.Version},
		{"WAS", r.Was}, {"SPLIT", split}, {"DIR", r.Dir}, {"HOOK", hook}, {"LOCK", r.Lock}, {"OWNER", r.Owner}, {"TTL", r.TTL},
		{"FENCE", strconv.FormatUint(r.Fence, 10)}, {"TAIL", strconv.Itoa(r.Tail)}, {"FOLLOW", strconv.FormatBool(r.Follow)},
	} {
		list = append(list, "SLIPWAY_"+each[0]+"="+each[1])
	}
	return list
}

// limited refuses an answer without end.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(data []byte) (int, error) {
	if len(data) > l.left {
		return 0, errors.New("the answer is too long")
	}
	l.left -= len(data)
	return l.to.Write(data)
}

// tailWriter keeps the end of what is written.
type tailWriter struct{ text []byte }

func (t *tailWriter) Write(data []byte) (int, error) {
	t.text = append(t.text, data...)
	if over := len(t.text) - maxAnswer/16; over > 0 {
		t.text = t.text[over:]
	}
	return len(data), nil
}

func (t *tailWriter) lines() []string {
	lines := strings.Split(strings.TrimRight(string(t.text), "\n"), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-outputKept):]
}

// lineWriter hands lines on.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (l *lineWriter) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	for {
		before, after, found := bytes.Cut(l.rest, []byte{'\n'})
		if !found {
			return len(data), nil
		}
		l.line(string(before))
		l.rest = bytes.Clone(after)
	}
}

func (l *lineWriter) end() {
	if len(l.rest) > 0 {
		l.line(string(l.rest))
	}
}
