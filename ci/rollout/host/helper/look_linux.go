package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// slot is a place for an instance, as it was seen.
type slot struct {
	name    string
	release string // the one that its unit is of
	file    unitFile
	unit    unitState
	health  rollout.Health
	answer  string
	weight  int
}

// view is all that decisions are made from.
type view struct {
	state
	now   moment
	slots []slot // blue and green, in this order
	// traffic is why it is not known where requests go, nil when it is.
	traffic error
	// dark says that it is not known because no proxy runs: requests go nowhere until one does, and then where they went before.
	dark bool
}

func (v view) slot(name string) slot {
	for _, s := range v.slots {
		if s.name == name {
			return s
		}
	}
	return slot{name: name}
}

// split is where requests go.
func (v view) split() rollout.Split {
	split := rollout.Split{}
	for _, s := range v.slots {
		if s.weight > 0 {
			split[s.name] = s.weight
		}
	}
	return split
}

// leased says whether somebody rolls out just now.
func (v view) leased() bool { return v.Lease.remaining(v.now) > 0 }

// look sees everything at one moment.
func (s *service) look(ctx context.Context) (view, error) {
	st, err := s.load(ctx)
	if err != nil {
		return view{}, err
	}
	now, err := s.now()
	if err != nil {
		return view{}, err
	}
	v := view{state: st, now: now}
	units, err := s.systemd.show(ctx, s.unit(rollout.Blue), s.unit(rollout.Green))
	if err != nil {
		return view{}, err
	}
	for _, name := range []string{rollout.Blue, rollout.Green} {
		file, err := readUnit(s.units, s.unit(name))
		if err != nil {
			return view{}, err
		}
		v.slots = append(v.slots, slot{name: name, release: file.release, file: file, unit: units[s.unit(name)]})
	}
	split, err := s.split(ctx, v)
	if v.traffic = err; err != nil && s.noProxy(ctx) {
		v.dark, split = true, v.asked()
	}
	for i := range v.slots {
		v.slots[i].weight = split[v.slots[i].name]
		s.examine(ctx, &v.slots[i])
	}
	return v, nil
}

// noProxy says whether neither of a proxy's processes is up, so that what was asked for last is all that there is to know.
func (s *service) noProxy(ctx context.Context) bool {
	services := s.proxyServices()
	units, err := s.systemd.show(ctx, services[0], services[1])
	return err == nil && !units[services[0]].up() && !units[services[1]].up()
}

// examine asks an instance that runs whether it is well.
func (s *service) examine(ctx context.Context, in *slot) {
	if !in.unit.runs() {
		in.health = rollout.Unhealthy
		return
	}
	r, err := s.release(in.release)
	if err != nil {
		in.health, in.answer = rollout.Unseen, err.Error()
		return
	}
	in.health, in.answer = s.ask(ctx, r.Release, *in)
}

// defaultTimeout ends a question to an instance.
const defaultTimeout = 2 * time.Second

// ask is the health of an instance that runs. One without an address is well while systemd says that it is.
func (s *service) ask(ctx context.Context, r protocol.Release, in slot) (rollout.Health, string) {
	if !in.unit.up() {
		return rollout.Unhealthy, "systemd says " + in.unit["ActiveState"] + " (" + in.unit["SubState"] + ")"
	}
	if r.Health == "" {
		return rollout.Healthy, "systemd says active"
	}
	status, answer, err := s.get(ctx, r, in.name, r.Health)
	switch {
	case err != nil:
		return rollout.Unhealthy, err.Error()
	case status < 200 || status > 299:
		return rollout.Unhealthy, answer
	}
	return rollout.Healthy, answer
}

// shown is how much of an answer is kept as evidence.
const shown = 512

// get asks an instance past the proxy.
func (s *service) get(ctx context.Context, r protocol.Release, slot, path string) (status int, answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(time.Duration(r.Timeout), defaultTimeout))
	defer cancel()
	address := "http://127.0.0.1:" + strconv.Itoa(r.Slots[slot].Port) + "/" + strings.TrimPrefix(path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", fmt.Errorf("ask instance: %w", err)
	}
	request.Header.Set("User-Agent", "slipway")
	response, err := s.web.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("ask instance: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, shown))
	if err != nil {
		return 0, "", fmt.Errorf("ask instance: %w", err)
	}
	return response.StatusCode, strings.TrimSpace(response.Status + ": " + strings.ToValidUTF8(string(body), "�")), nil
}

// observe tells what is there, without changing anything.
func (s *service) observe(ctx context.Context, target string) (*protocol.State, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.releases()
	if err != nil {
		return nil, err
	}
	found := &protocol.State{Target: v.target(cmp.Or(target, s.name)), Previous: v.Previous, Drift: v.drift(s)}
	for _, r := range list {
		for name, in := range r.Slots {
			in.Unit = ""
			r.Slots[name] = in
		}
		if r.Traffic.Proxy != nil {
			proxy := *r.Traffic.Proxy
			proxy.Units = nil
			r.Traffic.Proxy = &proxy
		}
		if r.Filebeat != nil {
			r.Filebeat = &protocol.Filebeat{Dir: r.Filebeat.Dir}
		}
		found.Releases = append(found.Releases, r.Release)
	}
	return found, nil
}

// target is what plans are made from. While no proxy runs it is what the next one goes on with, so that a deploy can bring it. A slot that has traffic is told also when nothing runs in it.
func (v view) target(name string) rollout.Target {
	t := rollout.Target{Name: name, Committed: v.Committed, Lease: v.told(v.now)}
	if v.traffic != nil && !v.dark {
		t.Unseen = v.traffic.Error()
		return t
	}
	for _, s := range v.slots {
		if s.release != "" && (s.unit.runs() || s.weight > 0) {
			t.Slots = append(t.Slots, rollout.Slot{Name: s.name, Release: s.release, Health: s.health, Weight: s.weight})
		}
	}
	return t
}

// drift is what is not as it was left.
func (v view) drift(s *service) []string {
	var drift []string
	say := func(ok bool, format string, args ...any) {
		if !ok {
			drift = append(drift, fmt.Sprintf(format, args...))
		}
	}
	say(!v.Torn, "the state file could not be read: the copy before it is used")
	say(v.traffic == nil, "%v", v.traffic)
	say(!v.Cut, "a command that moves traffic was cut off: where requests go is not certain")
	for _, in := range v.slots {
		unit, wanted := s.unit(in.name), v.Slots[in.name]
		say(!in.file.edited, "the unit %s was changed by hand", unit)
		say(!in.file.there || in.file.managed, "the unit %s was not written by slipway", unit)
		say(in.unit["DropInPaths"] == "", "the unit %s has drop-ins: %s", unit, in.unit["DropInPaths"])
		say(in.file.there || wanted == "", "the unit %s is gone", unit)
		say(wanted == "" || in.unit.runs(), "%s is down: systemd says %s (%s)", in.name, in.unit["ActiveState"], in.unit["Result"])
		say(wanted == "" || in.health != rollout.Unhealthy || !in.unit.runs(), "%s is unhealthy: %s", in.name, in.answer)
		say(wanted != "" || !in.unit.runs(), "%s runs, and should not", in.name)
		say(wanted == "" || !in.file.there || in.release == wanted, "%s runs another release", in.name)
		say(wanted != v.Committed || v.Committed == "" || in.unit.enabled(), "%s does not start when the machine boots", in.name)
	}
	say(v.traffic != nil || maps.Equal(v.split(), v.asked()), "traffic goes to %s, and was sent to %s", v.split(), v.asked())
	return slices.Compact(drift)
}

// asked is the split that was last asked for, without empty shares.
func (st state) asked() rollout.Split {
	split := rollout.Split{}
	for name, weight := range st.Split {
		if weight > 0 {
			split[name] = weight
		}
	}
	return split
}
