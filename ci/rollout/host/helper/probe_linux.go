package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// evidence is how many lines of a log are told when an instance is not well.
const evidence = 50

// instance is the slot of a place, when what runs there is of the place's release.
func (s *service) instance(ctx context.Context, place rollout.Place) (manifest, slot, error) {
	r, err := s.release(place.Release)
	if err != nil {
		return manifest{}, slot{}, err
	}
	if _, ok := r.Slots[place.Slot]; !ok {
		return manifest{}, slot{}, fmt.Errorf("the release has no slot %q", place.Slot)
	}
	unit := s.unit(place.Slot)
	units, err := s.systemd.show(ctx, unit)
	if err != nil {
		return manifest{}, slot{}, err
	}
	file, err := readUnit(s.units, unit)
	if err != nil {
		return manifest{}, slot{}, err
	}
	if file.release != place.Release {
		return manifest{}, slot{}, fmt.Errorf("nothing of %.12s runs in %s", strings.TrimPrefix(place.Release, "sha256:"), place.Slot)
	}
	return r, slot{name: place.Slot, release: file.release, file: file, unit: units[unit]}, nil
}

// probe looks at one instance: its own answer, what the proxy counted, its memory and restarts.
func (s *service) probe(ctx context.Context, place rollout.Place) (*rollout.Sample, error) {
	r, in, err := s.instance(ctx, place)
	if err != nil {
		return nil, err
	}
	sample := &rollout.Sample{Restarts: int(in.unit.number("NRestarts")), Memory: s.memory(in.unit)}
	sample.Health, sample.Answer = s.ask(ctx, r.Release, in)
	if r.Traffic.Proxy != nil {
		if err := s.count(ctx, r, place.Slot, sample); err != nil {
			sample.Answer = strings.TrimSpace(sample.Answer + "\n" + err.Error())
		}
	}
	if sample.Health != rollout.Healthy {
		sample.Log = s.evidence(ctx, r, s.unit(place.Slot))
	}
	return sample, nil
}

// count adds what the proxy saw of an instance. One that it does not know yet had no requests.
func (s *service) count(ctx context.Context, r manifest, name string, sample *rollout.Sample) error {
	status, err := s.proxy().status(ctx)
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Slots[name].Port))
	if u, ok := status.upstream(name, address); ok {
		sample.Requests, sample.Errors, sample.P99 = u.Requests, u.Errors, u.P99
	}
	return nil
}

// evidence is the end of an instance's log, with what systemd says of it.
func (s *service) evidence(ctx context.Context, r manifest, unit string) []string {
	said := s.log(ctx, "--unit="+unit)
	if r.LogFile == "" {
		return said
	}
	out, err := s.systemd.run(ctx, "tail", "-n", strconv.Itoa(evidence), "--", s.path(r.LogFile))
	if err != nil {
		return append(said, err.Error())
	}
	return append(said, split(out)...)
}

// log is the end of what matches in the journal.
func (s *service) log(ctx context.Context, match string) []string {
	_, _ = s.systemd.run(ctx, "journalctl", "--sync") // the last lines may be on their way
	out, err := s.systemd.run(ctx, "journalctl", "--no-pager", "--quiet", "--output=cat", "--lines="+strconv.Itoa(evidence), match)
	if err != nil {
		return []string{err.Error()}
	}
	return split(out)
}

// written matches the lines of a unit's processes alone.
func written(unit string) string { return "_SYSTEMD_UNIT=" + unit }

func split(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// memory is a unit's share of what it may use, 0 without a limit. What the kernel can take back at once, such as cached files,
// is not counted, where the kernel says how much that is.
func (s *service) memory(u unitState) float64 {
	used, limit := u.number("MemoryCurrent"), u.number("MemoryMax")
	if limit <= 0 || used <= 0 {
		return 0
	}
	return float64(max(0, used-s.reclaimable(u["ControlGroup"]))) / float64(limit)
}

func (s *service) reclaimable(group string) int64 {
	if group == "" || strings.Contains(group, "..") {
		return 0
	}
	for _, layout := range []struct{ dir, key string }{
		{"sys/fs/cgroup" + group, "inactive_file"},              // version 2
		{"sys/fs/cgroup/memory" + group, "total_inactive_file"}, // version 1
	} {
		data, err := os.ReadFile(s.path(layout.dir, "memory.stat"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), layout.key+" "); ok {
				n, _ := strconv.ParseInt(value, 10, 64)
				return n
			}
		}
	}
	return 0
}

const (
	most   = 1000                   // how many requests of ours one call sends
	spread = 500 * time.Millisecond // and over which time
)

// request sends requests of ours to an instance, past the proxy.
func (s *service) request(ctx context.Context, place rollout.Place, path string, times int) (*rollout.Answers, error) {
	if times < 0 || times > most || !strings.HasPrefix(path, "/") {
		return nil, refuse("", "ask: %d times %q: use up to %d and a path that starts with /", times, path, most)
	}
	r, in, err := s.instance(ctx, place)
	if err != nil {
		return nil, err
	}
	return s.sideBySide(ctx, times, func() bool {
		status, _, err := s.get(ctx, r.Release, in.name, path)
		return err == nil && status < 500
	})
}

// sideBySide sends requests without waiting for the answers of those before, as users do: a slow instance gets no fewer.
func (s *service) sideBySide(ctx context.Context, times int, send func() (well bool)) (*rollout.Answers, error) {
	answers := &rollout.Answers{Took: make([]rollout.Duration, times)}
	if times == 0 {
		return answers, nil
	}
	var failed atomic.Int64
	var sent sync.WaitGroup
	ticker := time.NewTicker(spread / time.Duration(times))
	defer ticker.Stop()
	for i := range times {
		sent.Go(func() {
			begin := time.Now()
			if !send() {
				failed.Add(1)
			}
			answers.Took[i] = rollout.Duration(time.Since(begin))
		})
		select {
		case <-ctx.Done():
			sent.Wait()
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
	sent.Wait()
	answers.Errors = int(failed.Load())
	return answers, nil
}
