package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// stateVersion is that of the state's file. One with another number was written by another Slipway.
const stateVersion = 1

// state is what a service on this machine should be like, and who may change that.
type state struct {
	Version   int               `json:"version"`
	Sequence  uint64            `json:"sequence"` // grows with each write
	Committed string            `json:"committed,omitempty"`
	Previous  string            `json:"previous,omitempty"`
	Slots     map[string]string `json:"slots,omitempty"` // the release that should run in each
	Split     rollout.Split     `json:"split,omitempty"` // the traffic that was last asked for
	// Cut is set while a command of the user's moves traffic: where it goes is not known if that does not end.
	Cut   bool   `json:"cut,omitempty"`
	Fence uint64 `json:"fence"` // the last number given
	Lease *lease `json:"lease,omitempty"`
	Hooks []hook `json:"hooks,omitempty"` // those of the last lease
	// Torn says that the file could not be read, and the one before it was.
	Torn bool `json:"-"`
}

// lease is who may write, until a moment on the machine's own clock since it booted.
type lease struct {
	Owner    string        `json:"owner"`
	Boot     string        `json:"boot"`
	Deadline time.Duration `json:"deadline"`
	TTL      time.Duration `json:"ttl"`
}

// remaining is how long a lease still lasts. One of before the machine booted is over, and so is one that would last longer
// than it was given for.
func (l *lease) remaining(now moment) time.Duration {
	if l == nil || l.Boot != now.boot {
		return 0
	}
	if left := l.Deadline - now.since; left > 0 && left <= l.TTL {
		return left
	}
	return 0
}

// told is the lease as others are told of it.
func (st state) told(now moment) rollout.Lease {
	left := st.Lease.remaining(now)
	if left == 0 {
		return rollout.Lease{}
	}
	return rollout.Lease{Owner: st.Lease.Owner, Fence: st.Fence, Until: now.wall.Add(left)}
}

// holds says whether a number is that of a lease that lasts.
func (st state) holds(fence uint64, now moment) error {
	if st.Fence != fence || st.Lease.remaining(now) == 0 {
		return fenced()
	}
	return nil
}

// acquire gives the lease to an owner, with a new number.
func (st state) acquire(owner string, ttl time.Duration, now moment) (state, error) {
	if by := st.told(now); by.Owner != "" && by.Owner != owner {
		return st, held(by)
	}
	st.Fence++
	st.Lease = &lease{Owner: owner, Boot: now.boot, Deadline: now.since + ttl, TTL: ttl}
	st.Hooks = nil
	return st, nil
}

func (st state) renew(fence uint64, ttl time.Duration, now moment) (state, error) {
	if err := st.holds(fence, now); err != nil {
		return st, err
	}
	st.Lease = &lease{Owner: st.Lease.Owner, Boot: now.boot, Deadline: now.since + ttl, TTL: ttl}
	return st, nil
}

// give ends a lease. One that is over is nothing to complain about.
func (st state) give(fence uint64) state {
	if st.Fence == fence {
		st.Lease = nil
	}
	return st
}

// commit makes a release the one that the machine goes back to.
func (st state) commit(release string) state {
	if st.Committed != release {
		st.Previous, st.Committed = st.Committed, release
	}
	return st
}

// with is the state with another release in a slot, "" for none.
func (st state) with(slot, release string) state {
	st.Slots = maps.Clone(st.Slots)
	if st.Slots == nil {
		st.Slots = map[string]string{}
	}
	st.Slots[slot] = release
	if release == "" {
		delete(st.Slots, slot)
	}
	return st
}

// parseState reads a state, checking what everything else relies on.
func parseState(data []byte) (state, error) {
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	if st.Version != stateVersion {
		return state{}, refuse("deploy with the slipway that was used before, or with a newer one", "the state on this machine has version %d, and this slipway knows %d", st.Version, stateVersion)
	}
	for _, digest := range append([]string{st.Committed, st.Previous}, values(st.Slots)...) {
		if digest == "" {
			continue
		}
		if _, err := checkDigest(digest); err != nil {
			return state{}, fmt.Errorf("read state: %w", err)
		}
	}
	return st, nil
}

func values(m map[string]string) []string {
	var list []string
	for _, value := range m {
		list = append(list, value)
	}
	return list
}

const (
	stateFile = "state.json"
	olderFile = "state.older.json"
)

// loadState reads the state, or the one before it when it is torn. A service without any is new.
func loadState(d disk, dir string) (state, error) {
	st, err := loadFile(d, dir+"/"+stateFile)
	if err == nil {
		return st, nil
	}
	older, olderErr := loadFile(d, dir+"/"+olderFile)
	switch {
	case olderErr == nil:
		// The lost one may have given out the next number.
		older.Torn, older.Lease = true, nil
		older.Fence++
		return older, nil
	case errors.Is(err, fs.ErrNotExist) && errors.Is(olderErr, fs.ErrNotExist):
		return state{Version: stateVersion}, nil
	}
	return state{}, err
}

func loadFile(d disk, name string) (state, error) {
	data, err := d.ReadFile(name)
	if err != nil {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	return parseState(data)
}

// saveState writes the state, and keeps the one before it.
func saveState(d disk, dir string, st state) error {
	st.Sequence++
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	current, older := dir+"/"+stateFile, dir+"/"+olderFile
	if !st.Torn { // a torn one is worth nothing
		if err := keepCopy(d, current, older); err != nil {
			return err
		}
	}
	return replace(d, current, 0o600, append(data, '\n'))
}

func keepCopy(d disk, current, older string) error {
	if _, err := d.Lstat(current); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	temporary := older + ".new"
	if err := d.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep state: %w", err)
	}
	if err := d.Link(current, temporary); err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	if err := d.Rename(temporary, older); err != nil {
		return fmt.Errorf("keep state: %w", err)
	}
	return nil
}
