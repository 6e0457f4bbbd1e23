package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
)

// DefaultAnswer is how long an answer may take where the caller sets no deadline.
const DefaultAnswer = 30 * time.Second

// farewell is how long is spent on giving back what may have been taken. An interrupt has 5 seconds in all.
const farewell = 2 * time.Second

// Host is a machine to roll out to.
type Host struct {
	Name    string // as rollout.Spec.Targets has it
	Address string // ssh://user@host:port, or local:
}

// Options are what a Driver needs. Service, Hosts and Helpers must be set.
type Options struct {
	Service string
	Hosts   []Host
	Helpers map[string]Program // the compiled helper, by Go's name of an architecture
	Remote  remote.Options
	// Lines is told what hooks and logs write, if it is set. It is called by one goroutine at a time.
	Lines func(host, line string)
	// Answer is how long an answer may take where the caller sets no deadline: 30 s.
	Answer time.Duration
	// Open opens connections; nil means remote.Open.
	Open func(ctx context.Context, address string, o remote.Options) (remote.Machine, error)
}

// Driver rolls out to hosts. It keeps one connection to each, and opens it again when it broke. What was sent on one that broke
// is looked up: each verb is idempotent, and a hook or an entry of the history has a name of its own.
type Driver struct {
	Options
	machines map[string]*machine
	telling  sync.Mutex
}

var (
	_ rollout.Driver = (*Driver)(nil)
	_ rollout.Hooker = (*Driver)(nil)
	_ rollout.Asker  = (*Driver)(nil)
)

// New makes a driver. It connects when it is first used. Close ends its connections.
func New(o Options) (*Driver, error) {
	o.Answer = cmp.Or(o.Answer, DefaultAnswer)
	if o.Open == nil {
		o.Open = remote.Open
	}
	if o.Lines == nil {
		o.Lines = func(string, string) {}
	}
	d := &Driver{Options: o, machines: map[string]*machine{}}
	var problems []error
	for _, host := range o.Hosts {
		if _, ok := d.machines[host.Name]; ok || host.Name == "" {
			problems = append(problems, fmt.Errorf("host %q: each needs a name of its own", host.Name))
		}
		problems = append(problems, remote.Check(host.Address))
		d.machines[host.Name] = newMachine(host, d.Options)
	}
	return d, errors.Join(problems...)
}

// Close ends all connections.
func (d *Driver) Close() {
	for _, m := range d.machines {
		m.close()
	}
}

// Targets are the names of all hosts, in order.
func (d *Driver) Targets() []string {
	names := make([]string, len(d.Hosts))
	for i, host := range d.Hosts {
		names[i] = host.Name
	}
	return names
}

func (d *Driver) machine(name string) (*machine, error) {
	if m, ok := d.machines[name]; ok {
		return m, nil
	}
	return nil, fmt.Errorf("there is no host %q", name)
}

// each does something on hosts at once. Its error has those of all hosts.
func (d *Driver) each(names []string, do func(*machine) error) error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		m, err := d.machine(name)
		if err != nil {
			errs[i] = err
			continue
		}
		all.Go(func() { errs[i] = do(m) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// ask asks a host, as the service's deployer.
func (d *Driver) ask(ctx context.Context, name string, request protocol.Request) (protocol.Response, error) {
	m, err := d.machine(name)
	if err != nil {
		return protocol.Response{}, err
	}
	return d.askMachine(ctx, m, request)
}

func (d *Driver) askMachine(ctx context.Context, m *machine, request protocol.Request) (protocol.Response, error) {
	request.Service = d.Service
	ctx, cancel := d.deadline(ctx)
	defer cancel()
	return m.insist(ctx, question{request: request})
}

// deadline gives a question an end where the caller has none.
func (d *Driver) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d.Answer)
}

// Observe looks at hosts, all at once. One that cannot be reached is told as unseen; when none can, that is an error.
func (d *Driver) Observe(ctx context.Context, targets []string) (rollout.Observed, error) {
	seen := d.states(ctx, targets)
	observed := rollout.Observed{}
	var unseen []error
	for _, s := range seen {
		target := s.State.Target
		target.Name = s.Host
		if s.Err != nil {
			target = rollout.Target{Name: s.Host, Unseen: s.Err.Error()}
			unseen = append(unseen, s.Err)
		}
		observed.Targets = append(observed.Targets, target)
	}
	if len(unseen) > 0 && len(unseen) == len(seen) {
		return observed, errors.Join(unseen...)
	}
	return observed, nil
}

// Seen is a host as it was looked at, or why that was not possible.
type Seen struct {
	Host  string
	State protocol.State
	Err   error
}

// States are all hosts, with the releases that they have and what is not as it was left.
func (d *Driver) States(ctx context.Context) []Seen { return d.states(ctx, d.Targets()) }

func (d *Driver) states(ctx context.Context, targets []string) []Seen {
	seen := make([]Seen, len(targets))
	var all sync.WaitGroup
	for i, name := range targets {
		all.Go(func() {
			response, err := d.ask(ctx, name, protocol.Request{Verb: protocol.Observe, Place: rollout.Place{Target: name}})
			seen[i] = Seen{Host: name, Err: err}
			if err == nil && response.State == nil {
				seen[i].Err = fmt.Errorf("%s: the helper told nothing", name)
			} else if err == nil {
				seen[i].State = *response.State
			}
		})
	}
	all.Wait()
	return seen
}

// Start is the verb.
func (d *Driver) Start(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.step(ctx, protocol.Start, fence, step)
}

// Shift is the verb.
func (d *Driver) Shift(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.step(ctx, protocol.Shift, fence, step)
}

// Stop is the verb.
func (d *Driver) Stop(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.step(ctx, protocol.Stop, fence, step)
}

// Prune is the verb.
func (d *Driver) Prune(ctx context.Context, fence uint64, step rollout.Step) error {
	return d.step(ctx, protocol.Prune, fence, step)
}

// step asks for a change. When the connection breaks, the host is looked at: what is done is not asked for again.
func (d *Driver) step(ctx context.Context, verb protocol.Verb, fence uint64, step rollout.Step) error {
	m, err := d.machine(step.Target)
	if err != nil {
		return err
	}
	ctx, cancel := d.deadline(ctx)
	defer cancel()
	place := rollout.Place{Target: step.Target}
	_, err = m.insist(ctx, question{
		request: protocol.Request{Service: d.Service, Verb: verb, Fence: fence, Step: &step, Place: place},
		done: func(ctx context.Context) bool {
			// The connection may be gone without that being known yet: this is asked again too.
			response, err := m.insist(ctx, question{request: protocol.Request{Service: d.Service, Verb: protocol.Observe, Place: place}})
			return err == nil && response.State != nil && happened(response.State.Target, verb, step)
		},
	})
	return err
}

// happened says whether a target looks as after a step.
func happened(t rollout.Target, verb protocol.Verb, step rollout.Step) bool {
	slot, runs := t.Slot(step.Slot)
	switch verb {
	case protocol.Start:
		return runs && slot.Release == step.Release
	case protocol.Shift:
		return maps.Equal(t.Split(), step.To)
	case protocol.Stop:
		return !runs || slot.Release != step.Release
	}
	return t.Committed == step.Release
}

// Acquire takes a host's lease.
func (d *Driver) Acquire(ctx context.Context, target, owner string, ttl time.Duration) (rollout.Lease, error) {
	request := protocol.Request{Verb: protocol.Acquire, Owner: owner, TTL: rollout.Duration(ttl)}
	response, err := d.ask(ctx, target, request)
	if errors.Is(err, remote.ErrBroken) {
		d.forget(ctx, target, request)
	}
	if err != nil {
		return rollout.Lease{}, err
	}
	if response.Lease == nil {
		return rollout.Lease{}, fmt.Errorf("%s: the helper gave no lease", target)
	}
	return *response.Lease, nil
}

// forget gives back a lease of which it is not known whether there is one. Otherwise nobody could roll out before it ends.
func (d *Driver) forget(ctx context.Context, target string, request protocol.Request) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if response, err := d.ask(own, target, request); err == nil && response.Lease != nil {
		_ = d.Return(own, target, response.Lease.Fence) // it ends by itself otherwise
	}
}

// Renew is the heartbeat.
func (d *Driver) Renew(ctx context.Context, target string, fence uint64, ttl time.Duration) error {
	_, err := d.ask(ctx, target, protocol.Request{Verb: protocol.Renew, Fence: fence, TTL: rollout.Duration(ttl)})
	return err
}

// Return gives a lease back.
func (d *Driver) Return(ctx context.Context, target string, fence uint64) error {
	_, err := d.ask(ctx, target, protocol.Request{Verb: protocol.Return, Fence: fence})
	if errors.Is(err, rollout.ErrFenced) {
		return nil
	}
	return err
}

// Probe looks at an instance.
func (d *Driver) Probe(ctx context.Context, place rollout.Place) (rollout.Sample, error) {
	response, err := d.ask(ctx, place.Target, protocol.Request{Verb: protocol.Probe, Place: place})
	if err != nil {
		return rollout.Sample{}, err
	}
	if response.Sample == nil {
		return rollout.Sample{}, fmt.Errorf("%s: the helper saw nothing", place.Target)
	}
	return *response.Sample, nil
}

// Ask sends requests of ours to an instance, from the host itself.
func (d *Driver) Ask(ctx context.Context, place rollout.Place, path string, times int) (rollout.Answers, error) {
	response, err := d.ask(ctx, place.Target, protocol.Request{Verb: protocol.Ask, Place: place, Path: path, Times: times})
	if err != nil || response.Answers == nil {
		return rollout.Answers{}, err
	}
	return rollout.Answers{Took: response.Answers.Took, Errors: response.Answers.Errors}, nil
}

// Hook runs a command of a release once. What it writes is told as lines.
func (d *Driver) Hook(ctx context.Context, fence uint64, step rollout.Step) error {
	m, err := d.machine(step.Target)
	if err != nil {
		return err
	}
	lines := d.lines(step.Target)
	response, err := m.insist(ctx, question{lines: lines, request: protocol.Request{
		Service: d.Service, Verb: protocol.Hook, ID: rand.Text(), Fence: fence, Place: step.Place, Command: step.Hook.Command, TTL: step.Hook.Timeout,
	}})
	lines.end()
	if err != nil {
		return err
	}
	if result := response.Hook; result == nil || result.ExitCode != 0 {
		failed := &rollout.HookError{When: step.Hook.When, Target: step.Target, ExitCode: -1}
		if result != nil {
			failed.ExitCode, failed.Output = result.ExitCode, result.Output
		}
		return failed
	}
	return nil
}

// Record appends an entry to the history of hosts. It is there once, however often the connection breaks.
func (d *Driver) Record(ctx context.Context, targets []string, entry protocol.Entry) error {
	id := rand.Text()
	return d.each(targets, func(m *machine) error {
		_, err := d.askMachine(ctx, m, protocol.Request{Verb: protocol.Record, ID: id, Entry: &entry})
		return err
	})
}

// Past is the history of a host, the newest entry last.
type Past struct {
	Host    string
	Entries []protocol.Entry
	Broken  string // where somebody changed it, "" where nobody did
	Err     error
}

// History is what was rolled out, as each host has it.
func (d *Driver) History(ctx context.Context) []Past {
	past := make([]Past, len(d.Hosts))
	var all sync.WaitGroup
	for i, host := range d.Hosts {
		all.Go(func() {
			response, err := d.ask(ctx, host.Name, protocol.Request{Verb: protocol.History})
			past[i] = Past{Host: host.Name, Entries: response.Entries, Broken: response.Broken, Err: err}
		})
	}
	all.Wait()
	return past
}

// Logs tells the last lines of all hosts, and what comes after them when it follows. It ends with ctx, or when no host is left.
func (d *Driver) Logs(ctx context.Context, tail int, follow bool) error {
	return d.each(d.Targets(), func(m *machine) error {
		lines := d.lines(m.host.Name)
		defer lines.end()
		_, err := m.insist(ctx, question{once: true, lines: lines, request: protocol.Request{Service: d.Service, Verb: protocol.Logs, Tail: tail, Follow: follow}})
		if ctx.Err() != nil && follow {
			return nil
		}
		return err
	})
}

// warning is what sudo says on machines that do not know their own name. It is none of the lines that were asked for.
const warning = "sudo: unable to resolve host "

// lines makes lines of what is written.
func (d *Driver) lines(host string) *lineWriter {
	return &lineWriter{tell: func(line string) {
		if strings.HasPrefix(line, warning) {
			return
		}
		d.telling.Lock()
		defer d.telling.Unlock()
		d.Options.Lines(host, line)
	}}
}

// longestLine is where a line is cut that does not end.
const longestLine = 64 << 10

type lineWriter struct {
	tell func(string)
	rest []byte
}

var _ io.Writer = (*lineWriter)(nil)

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		at := slices.Index(w.rest, '\n')
		if at < 0 && len(w.rest) < longestLine {
			return len(p), nil
		}
		if at < 0 {
			at = len(w.rest) - 1
		}
		w.tell(strings.TrimRight(string(w.rest[:at+1]), "\r\n"))
		w.rest = w.rest[at+1:]
	}
}

func (w *lineWriter) end() {
	if len(w.rest) > 0 {
		w.tell(string(w.rest))
		w.rest = nil
	}
}
