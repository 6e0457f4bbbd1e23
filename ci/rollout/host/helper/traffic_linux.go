package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// split says where requests go. Of a proxy it is asked, of everything else it is what was asked for last.
func (s *service) split(ctx context.Context, v view) (rollout.Split, error) {
	r, ok := s.router(v, v.asked())
	if !ok || r.Traffic.Proxy == nil {
		return v.asked(), nil
	}
	status, err := s.proxy().status(ctx)
	if err != nil {
		return nil, fmt.Errorf("where requests go is not known: %w", err)
	}
	return status.split(), nil
}

// router is the release that says how traffic gets to a split: the one with most of it, else the committed one.
func (s *service) router(v view, to rollout.Split) (manifest, bool) {
	var digests []string
	for _, name := range slices.SortedFunc(maps.Keys(to), func(a, b string) int { return to[b] - to[a] }) {
		digests = append(digests, v.slot(name).release)
	}
	digests = append(digests, v.Committed)
	for _, in := range v.slots {
		digests = append(digests, in.release)
	}
	for _, digest := range digests {
		if r, err := s.release(digest); err == nil {
			return r, true
		}
	}
	return manifest{}, false
}

// route sends traffic to a split. What was asked for is written down first.
func (s *service) route(ctx context.Context, v view, to rollout.Split) error {
	r, ok := s.router(v, to)
	if !ok {
		return fmt.Errorf("shift: there is no release to route to")
	}
	byCommand := r.Traffic.Proxy == nil && len(r.Traffic.Switch) > 0
	if byCommand && !v.Cut && maps.Equal(v.asked(), to) {
		return nil
	}
	ask := func(cut bool) error {
		return s.update(ctx, func(st state) (state, error) {
			if st.Cut == cut && maps.Equal(st.Split, to) {
				return st, errUnchanged
			}
			st.Split, st.Cut = to, cut
			return st, nil
		})
	}
	if err := ask(byCommand); err != nil {
		return err
	}
	switch {
	case r.Traffic.Proxy != nil:
		return s.routeByProxy(ctx, v, r, to)
	case byCommand:
		if err := s.switchBy(ctx, r, v, to); err != nil {
			return err
		}
		return ask(false)
	}
	return nil
}

// routeByProxy tells the proxy. One that does not answer is started first.
func (s *service) routeByProxy(ctx context.Context, v view, r manifest, to rollout.Split) error {
	if err := s.listenAs(ctx, r.Traffic.Proxy); err != nil {
		return err
	}
	if _, err := s.proxy().status(ctx); err != nil {
		if err := s.wakeProxy(ctx); err != nil {
			return err
		}
	}
	if err := s.still(ctx); err != nil {
		return err
	}
	return s.proxy().set(ctx, r.Release, s.upstreams(v, to))
}

// ports are those of the instances, by slot.
func (s *service) ports(v view) map[string]int {
	ports := map[string]int{}
	for _, in := range v.slots {
		if r, err := s.release(in.release); err == nil {
			ports[in.name] = r.Slots[in.name].Port
		}
	}
	return ports
}

func (s *service) upstreams(v view, to rollout.Split) []upstream {
	list := []upstream{}
	ports := s.ports(v)
	for _, name := range slices.Sorted(maps.Keys(to)) {
		if to[name] > 0 {
			list = append(list, upstream{Name: name, Address: "127.0.0.1:" + strconv.Itoa(ports[name]), Weight: to[name]})
		}
	}
	return list
}

// switchBy runs the user's command that moves traffic, as a unit of its own: outside of what the guard is locked into.
func (s *service) switchBy(ctx context.Context, r manifest, v view, to rollout.Split) error {
	split, err := json.Marshal(to)
	if err != nil {
		return fmt.Errorf("shift: %w", err)
	}
	ports, err := json.Marshal(s.ports(v))
	if err != nil {
		return fmt.Errorf("shift: %w", err)
	}
	argv := append([]string{"systemd-run", "--wait", "--pipe", "--collect", "--quiet", "--description=moves the traffic of " + s.name,
		"--setenv=SLIPWAY_SPLIT=" + string(split), "--setenv=SLIPWAY_PORTS=" + string(ports), "--setenv=SLIPWAY_SERVICE=" + s.name, "--"},
		literal(s.program(r, r.Traffic.Switch))...)
	if out, err := s.systemd.run(ctx, argv...); err != nil {
		return &problem{Kind: protocol.Failed, Message: fmt.Sprintf("shift: the command %q failed: %v\n%s", r.Traffic.Switch[0], err, out),
			Next: "run it by hand with SLIPWAY_SPLIT and SLIPWAY_PORTS as they are here: " + string(split) + " and " + string(ports)}
	}
	return nil
}

// drain waits until an instance without traffic has answered what it still has. It is stopped then in any case.
func (s *service) drain(ctx context.Context, r manifest, name string) {
	if r.Traffic.Proxy != nil {
		_ = s.proxy().drain(ctx, name, r.Drain)
	}
}
