package ship

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/command"
	"github.com/slipway-ci/slipway/ci/rollout/host"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
)

// fleet is the targets of an environment, as a driver reaches them. It is a [rollout.Hooker] and a [rollout.Asker] where its
// driver is.
type fleet interface {
	rollout.Driver
	targets() []string
	// release is what load made of the content.
	release() rollout.Release
	// check says what stands in the way. It changes nothing that runs. What may stand in the way is a warning.
	check(ctx context.Context) (warnings []string, err error)
	// bring has the release on the targets, without starting it.
	bring(ctx context.Context, say func(string)) error
	standings(ctx context.Context) []Standing
	record(ctx context.Context, targets []string, record rollout.Record) error
	history(ctx context.Context) []Past
	logs(ctx context.Context, tail int, follow bool) error
	close()
}

// Standing is what a target is and keeps.
type Standing struct {
	Target rollout.Target
	Kept   []release // what it can go back to, the newest last
	Drift  []string  // what is not as it was left
}

// release is one that a target keeps, with its parts.
type release struct {
	rollout.Kept
	parts rollout.Release
}

// Past is the history of one target, the newest record last.
type Past struct {
	Target  string           `json:"target"`
	Records []rollout.Record `json:"records"`
	Broken  string           `json:"broken,omitempty"` // where somebody changed it
	Unseen  string           `json:"unseen,omitempty"` // why it could not be read
}

// wiring is what the making of a fleet needs beside the environment.
type wiring struct {
	options Options
	stage   *report.StageRecorder
	lines   func(target, line string) // what hooks and logs write
}

// open makes the fleet of an environment. Without a content it can look, and go back.
func (w wiring) open(ctx context.Context, e project.Environment, c *content) (fleet, error) {
	if e.Driver == project.CommandDriver {
		return w.commands(e, c)
	}
	return w.hosts(ctx, e, c)
}

// hostFleet is machines with systemd.
type hostFleet struct {
	*host.Driver
	rendered host.Rendered
}

// architectures are those of the hosts of an environment. Of hosts that cannot be reached, all is said later.
func (w wiring) architectures(ctx context.Context, e project.Environment) ([]string, error) {
	if e.Driver == project.CommandDriver {
		return nil, nil
	}
	step := w.stage.Step("hosts")
	found, err := host.Architectures(ctx, host.Options{Service: e.Service, Hosts: hostsOf(e), Remote: w.remote()})
	if len(found) == 0 && err != nil {
		step.Cancel()
		return nil, err
	}
	step.Done(report.Result{Summary: plural(len(e.Rollout.Targets), "host") + ", " + strings.Join(found, ", ")})
	return found, nil
}

func (w wiring) remote() remote.Options {
	return remote.Options{Getenv: w.options.Getenv, Home: w.options.Getenv("HOME")}
}

func (w wiring) hosts(ctx context.Context, e project.Environment, c *content) (fleet, error) {
	arches, err := w.architectures(ctx, e)
	if err != nil {
		return nil, err
	}
	helpers, proxies := map[string]host.Program{}, map[string]host.Program{}
	for _, arch := range arches {
		programs, err := hostPrograms(ctx, w.options, w.stage, arch)
		if err != nil {
			return nil, err
		}
		helpers[arch], proxies[arch] = host.Program(programs.Helper), host.Program(programs.Proxy)
	}
	f := &hostFleet{}
	if c != nil {
		if f.rendered, err = c.hostSpec(e, arches, proxies).Render(); err != nil {
			return nil, &UsageError{err.Error()}
		}
	}
	f.Driver, err = host.New(host.Options{Service: e.Service, Hosts: hostsOf(e), Helpers: helpers, Remote: w.remote(), Lines: w.lines})
	return f, err
}

// hostsOf names the machines of an environment: by their host, where that is theirs alone.
func hostsOf(e project.Environment) []host.Host {
	names := map[string]int{}
	short := make([]string, len(e.Rollout.Targets))
	for i, address := range e.Rollout.Targets {
		short[i] = strings.TrimSuffix(address, ":")
		if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
			short[i] = u.Hostname()
		}
		names[short[i]]++
	}
	hosts := make([]host.Host, len(short))
	for i, address := range e.Rollout.Targets {
		hosts[i] = host.Host{Name: short[i], Address: address}
		if u, err := url.Parse(address); names[short[i]] > 1 && err == nil {
			hosts[i].Name = net.JoinHostPort(u.Hostname(), u.Port())
		}
	}
	return hosts
}

func (f *hostFleet) targets() []string        { return f.Targets() }
func (f *hostFleet) release() rollout.Release { return f.rendered.Release }
func (f *hostFleet) close()                   { f.Close() }

func (f *hostFleet) check(ctx context.Context) ([]string, error) {
	facts, err := f.Preflight(ctx, f.rendered)
	var warnings []string
	for _, fact := range facts {
		for _, problem := range fact.Problems {
			warnings = append(warnings, fmt.Sprintf("%s: %s: %s", fact.Host, problem.What, problem.Next))
		}
	}
	return warnings, err
}

func (f *hostFleet) bring(ctx context.Context, say func(string)) error {
	sent := map[string]host.Progress{}
	err := f.Upload(ctx, f.rendered, func(p host.Progress) {
		sent[p.Host] = p
		var now, total int64
		for _, each := range sent {
			now, total = now+each.Sent, total+each.Total
		}
		say(size(now) + " of " + size(total))
	})
	if err != nil {
		return err
	}
	return f.Stage(ctx, f.rendered)
}

func (f *hostFleet) standings(ctx context.Context) []Standing {
	var all []Standing
	for _, seen := range f.States(ctx) {
		s := Standing{Target: seen.State.Target, Drift: seen.State.Drift}
		s.Target.Name = seen.Host
		if seen.Err != nil {
			s.Target = rollout.Target{Name: seen.Host, Unseen: seen.Err.Error()}
		}
		for _, r := range seen.State.Releases {
			s.Kept = append(s.Kept, release{rollout.Kept{Digest: r.Digest, Version: r.Version, Commit: r.Commit}, r.Release})
		}
		all = append(all, s)
	}
	return all
}

func (f *hostFleet) record(ctx context.Context, targets []string, r rollout.Record) error {
	return f.Record(ctx, targets, protocol.Entry{Actor: r.Actor, Action: string(r.Action), Release: r.Release, Version: r.Version, Commit: r.Commit, Outcome: r.Outcome, Reason: r.Reason})
}

func (f *hostFleet) history(ctx context.Context) []Past {
	var all []Past
	for _, past := range f.History(ctx) {
		p := Past{Target: past.Host, Broken: past.Broken}
		if past.Err != nil {
			p.Unseen = past.Err.Error()
		}
		for _, e := range past.Entries {
			p.Records = append(p.Records, rollout.Record{Seq: e.Seq, At: e.At, Actor: e.Actor, Action: rollout.Action(e.Action), Release: e.Release,
				Version: e.Version, Commit: e.Commit, Outcome: e.Outcome, Reason: e.Reason})
		}
		all = append(all, p)
	}
	return all
}

func (f *hostFleet) logs(ctx context.Context, tail int, follow bool) error {
	return f.Logs(ctx, tail, follow)
}

// commandFleet is whatever commands of the user's reach.
type commandFleet struct {
	*command.Driver
	names []string
	parts rollout.Release
	lines func(target, line string)
}

func (w wiring) commands(e project.Environment, c *content) (fleet, error) {
	f := &commandFleet{names: e.Rollout.Targets, lines: w.lines, Driver: &command.Driver{
		Commands: command.Commands(*e.Commands), Service: e.Service, Dir: w.options.Source, Environ: w.options.Environ,
		State: filepath.Join(w.options.Cache, "rollout", e.Service),
	}}
	if c == nil {
		return f, nil
	}
	var err error
	if f.parts, f.Place, err = c.unfold(e, filepath.Join(f.State, "releases")); err != nil {
		return nil, err
	}
	f.Release, f.Version = f.parts.Digest(), c.version
	return f, nil
}

func (f *commandFleet) targets() []string                             { return f.names }
func (f *commandFleet) release() rollout.Release                      { return f.parts }
func (f *commandFleet) close()                                        {}
func (f *commandFleet) check(context.Context) ([]string, error)       { return nil, nil }
func (f *commandFleet) bring(_ context.Context, _ func(string)) error { return nil }

func (f *commandFleet) standings(ctx context.Context) []Standing {
	observed, err := f.Observe(ctx, f.names)
	past, _ := f.History() // without one, nothing is known to be kept
	var kept []release
	for _, r := range past {
		if r.Outcome == rollout.Done && !slices.ContainsFunc(kept, func(k release) bool { return k.Digest == r.Release }) {
			kept = append(kept, release{rollout.Kept{Digest: r.Release, Version: r.Version, Commit: r.Commit}, r.Parts})
		}
	}
	var all []Standing
	for _, target := range observed.Targets {
		if err != nil {
			target = rollout.Target{Name: target.Name, Unseen: err.Error()}
		}
		all = append(all, Standing{Target: target, Kept: kept})
	}
	return all
}

func (f *commandFleet) record(_ context.Context, _ []string, r rollout.Record) error {
	return f.Record(r)
}

func (f *commandFleet) history(context.Context) []Past {
	records, err := f.History()
	past := Past{Target: strings.Join(f.names, ", "), Records: records}
	if err != nil {
		past.Unseen = err.Error()
	}
	return []Past{past}
}

func (f *commandFleet) logs(ctx context.Context, tail int, follow bool) error {
	errs := make(chan error)
	for _, target := range f.names {
		go func() {
			errs <- f.Logs(ctx, target, tail, follow, func(line string) { f.lines(target, line) })
		}()
	}
	var all error
	for range f.names {
		all = errors.Join(all, <-errs)
	}
	if ctx.Err() != nil && follow {
		return nil
	}
	return all
}

// actor is who rolls out, as others are told.
func (o Options) actor() string {
	name := o.Getenv("USER")
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	return fmt.Sprintf("%s@%s, process %d", name, machine, os.Getpid())
}
