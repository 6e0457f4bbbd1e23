package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"strconv"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// start runs a release in a slot, without traffic. Where a service has one instance, it takes the place of the one before.
func (s *service) start(ctx context.Context, step rollout.Step) error {
	r, err := s.release(step.Release)
	if err != nil {
		return err
	}
	if _, ok := r.Slots[step.Slot]; !ok {
		return fmt.Errorf("start: the release has no slot %q", step.Slot)
	}
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	in := v.slot(step.Slot)
	if err := in.file.ours(s.unit(step.Slot)); err != nil {
		return err
	}
	if in.unit.runs() && in.release == step.Release {
		return s.remember(ctx, step.Slot, step.Release, single(r.Release))
	}
	if in.unit.runs() && !single(r.Release) {
		return fmt.Errorf("start: %s runs another release: stop it first", step.Slot)
	}
	if err := s.prepare(ctx, r); err != nil {
		return err
	}
	return s.bringUp(ctx, v, r, step.Slot)
}

// prepare does what can be refused, while nothing is changed that anybody would miss.
func (s *service) prepare(ctx context.Context, r manifest) error {
	if err := s.account(ctx, r.User); err != nil {
		return err
	}
	if r.Filebeat != nil {
		if err := s.inputFits(s.name, r.Filebeat.Dir); err != nil {
			return err
		}
	}
	return s.installProxy(ctx, r)
}

// bringUp writes the unit of a slot and starts it. What is to be there is written down first. The unit is not enabled, unless
// it is of the committed release: a machine that boots in the middle of a rollout comes back with that.
func (s *service) bringUp(ctx context.Context, v view, r manifest, name string) error {
	in, unit := v.slot(name), s.unit(name)
	if err := s.still(ctx); err != nil {
		return err
	}
	if err := s.remember(ctx, name, r.Digest, single(r.Release)); err != nil {
		return err
	}
	if in.unit.runs() {
		if err := s.systemd.stop(ctx, unit, s.grace(in.release)); err != nil {
			return err
		}
	}
	if err := s.still(ctx); err != nil {
		return err
	}
	if err := portFree(ctx, r.Slots[name].Port); err != nil {
		return err
	}
	if in.unit.enabled() && r.Digest != v.Committed {
		if err := s.systemd.disable(ctx, unit); err != nil {
			return err
		}
	}
	changed, err := writeUnit(s.units, unit, r.Digest, r.Slots[name].Unit)
	if err != nil {
		return err
	}
	if changed || in.unit["NeedDaemonReload"] == "yes" {
		if err := s.systemd.reload(ctx); err != nil {
			return err
		}
	}
	if err := s.still(ctx); err != nil {
		return err
	}
	return s.systemd.start(ctx, unit)
}

// grace is how long an instance of a release may take to end, as far as that is known.
func (s *service) grace(release string) time.Duration {
	r, err := s.release(release)
	if err != nil {
		return 0
	}
	return time.Duration(r.Grace)
}

// remember writes down what should run in a slot. The only instance of a service has all traffic, wherever it comes from.
func (s *service) remember(ctx context.Context, name, release string, single bool) error {
	return s.update(ctx, func(st state) (state, error) {
		changed := st.with(name, release)
		if single {
			changed.Split = rollout.Split{name: 100}
		}
		if maps.Equal(changed.Slots, st.Slots) && maps.Equal(changed.Split, st.Split) {
			return st, errUnchanged
		}
		return changed, nil
	})
}

// portFree refuses a port that is somebody else's, before a service fails because of it.
func portFree(ctx context.Context, port int) error {
	if port == 0 {
		return nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return refuse("stop what listens there, or give the service other ports", "port %d, on which the instance is to listen, is taken: %v", port, err)
	}
	return listener.Close()
}

// shift sends traffic elsewhere.
func (s *service) shift(ctx context.Context, to rollout.Split) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	total := 0
	for name, weight := range to {
		if weight > 0 && !v.slot(name).unit.runs() {
			return fmt.Errorf("shift: nothing runs in %q", name)
		}
		if weight < 0 {
			return fmt.Errorf("shift: %s: a share is not negative", to)
		}
		total += weight
	}
	if total != 100 && total != 0 {
		return fmt.Errorf("shift: %s: shares add up to 100, or there are none", to)
	}
	return s.route(ctx, v, to)
}

// stop ends an instance, once its requests have got their answers. What runs there by now and is another release is left alone.
func (s *service) stop(ctx context.Context, name, release string) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	in := v.slot(name)
	if in.release != release {
		return nil
	}
	r, err := s.release(release)
	if err != nil {
		return err
	}
	if single(r.Release) && release == v.Committed {
		return refuse("", "stop: %s is the only instance of the committed release", name)
	}
	if v.traffic != nil {
		return v.traffic
	}
	if in.weight > 0 && !single(r.Release) {
		return refuse("", "stop: %s has %d%% of the traffic: shift it first", name, in.weight)
	}
	return s.takeDown(ctx, v, r, name)
}

func (s *service) takeDown(ctx context.Context, v view, r manifest, name string) error {
	in, unit := v.slot(name), s.unit(name)
	if err := s.update(ctx, func(st state) (state, error) {
		changed := st.with(name, "")
		changed.Split = maps.Clone(st.Split)
		delete(changed.Split, name)
		if maps.Equal(changed.Slots, st.Slots) && maps.Equal(changed.Split, st.Split) {
			return st, errUnchanged
		}
		return changed, nil
	}); err != nil {
		return err
	}
	if in.unit.enabled() {
		if err := s.systemd.disable(ctx, unit); err != nil {
			return err
		}
	}
	if !in.unit.runs() {
		return nil
	}
	s.drain(ctx, r, name)
	if err := s.still(ctx); err != nil {
		return err
	}
	return s.systemd.stop(ctx, unit, time.Duration(r.Grace))
}

// defaultKeep is how many releases stay on the machine beside those in use.
const defaultKeep = 5

// prune commits a release that runs, and then deletes those that nobody needs to go back to.
func (s *service) prune(ctx context.Context, release string) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	r, err := s.release(release)
	if err != nil {
		return err
	}
	home := slot{}
	for _, in := range v.slots {
		if in.release == release && in.unit.runs() {
			home = in
		}
	}
	if home.name == "" {
		return fmt.Errorf("commit: the release %.12s does not run on this machine", release[len("sha256:"):])
	}
	// What is committed counts as done and is not asked for again, so this comes first.
	if err := s.setInput(r); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := s.update(ctx, func(st state) (state, error) {
		if st.Committed == release {
			return st, errUnchanged
		}
		return st.commit(release), nil
	}); err != nil {
		return err
	}
	if err := s.bootsWith(ctx, v, home.name); err != nil {
		return err
	}
	if err := s.retireProxy(ctx, r); err != nil {
		return err
	}
	return s.discard(ctx, cmp.Or(r.Keep, defaultKeep))
}

// bootsWith makes one slot the one that starts with the machine.
func (s *service) bootsWith(ctx context.Context, v view, name string) error {
	if !v.slot(name).unit.enabled() {
		if err := s.systemd.enable(ctx, s.unit(name)); err != nil {
			return err
		}
	}
	for _, other := range v.slots {
		if other.name != name && other.unit.enabled() {
			if err := s.systemd.disable(ctx, s.unit(other.name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard deletes releases: never the committed one, the one before it, or one that a slot has.
func (s *service) discard(ctx context.Context, keep int) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	list, err := s.releases()
	if err != nil {
		return err
	}
	for _, digest := range surplus(v, list, keep) {
		sum, err := checkDigest(digest)
		if err != nil {
			return err
		}
		// Without its manifest it is no release any more, also when this is cut off.
		if err := s.store.Rename(s.releaseFile(sum), s.releaseFile(".removed-"+sum)); err != nil {
			return fmt.Errorf("delete release: %w", err)
		}
	}
	if err := s.removeHidden(); err != nil {
		return err
	}
	return s.sweep(time.Now())
}

// surplus are the releases to delete, the oldest first.
func surplus(v view, list []manifest, keep int) []string {
	used := map[string]bool{v.Committed: true, v.Previous: true}
	for _, in := range v.slots {
		used[v.Slots[in.name]] = true
		if in.unit.runs() {
			used[in.release] = true
		}
	}
	var idle []string
	for _, r := range list {
		if !used[r.Digest] {
			idle = append(idle, r.Digest)
		}
	}
	return idle[:max(0, len(idle)-keep)]
}

// removeHidden removes what cut-off stages and deletions left. The caller has the lock of steps; a stage that is going on has
// that of the state, which is taken here.
func (s *service) removeHidden() error {
	unlock, err := s.lock(context.Background(), stateLock, patience)
	if err != nil {
		return err
	}
	defer unlock()
	found, err := names(s.store, s.file("releases"))
	if err != nil {
		return err
	}
	for _, name := range found {
		if name[0] != '.' {
			continue
		}
		if err := s.store.RemoveAll(s.releaseFile(name)); err != nil {
			return fmt.Errorf("delete release: %w", err)
		}
	}
	return nil
}
