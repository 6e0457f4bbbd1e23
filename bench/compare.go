package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The states in which a build can find the world, as the table has them.
const (
	cold    = "cold"
	nothing = "nothing changed"
	oneLine = "one line changed"
)

// results are the usages of each round, by state and contender.
type results map[string]map[string][]usage

func (r results) add(state, name string, u usage) {
	if r[state] == nil {
		r[state] = map[string][]usage{}
	}
	r[state][name] = append(r[state][name], u)
}

// writeComparison measures all contenders in all states, one round of all after the other.
func (b *bench) writeComparison(ctx context.Context, doc *document) error {
	all, err := b.contenders(ctx)
	if err != nil {
		return err
	}
	found := results{}
	if err := b.measureCold(ctx, all, found); err != nil {
		return err
	}
	if err := b.settle(ctx, all); err != nil {
		return err
	}
	same, err := sameBinaries(all)
	if err != nil {
		return err
	}
	if err := b.measureWarm(ctx, all, found); err != nil {
		return err
	}
	doc.comparison(b, all, found, same)
	return nil
}

func (b *bench) measureCold(ctx context.Context, all []contender, found results) error {
	for round := range b.cold {
		for _, c := range rotated(all, round) {
			if err := c.empty(ctx); err != nil {
				return err
			}
			if err := b.measureOne(ctx, cold, c, found); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) measureOne(ctx context.Context, state string, c contender, found results) error {
	u, err := c.run(ctx)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", c.name, state, err)
	}
	found.add(state, c.name, u)
	b.say("%-18s %-14s %8.2f s", state, c.name, u.wall.Seconds())
	return nil
}

// settle has every contender build twice, uncounted: the cold rounds of one have emptied the engine of the other.
func (b *bench) settle(ctx context.Context, all []contender) error {
	for range 2 {
		for _, c := range all {
			if _, err := c.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return nil
}

func (b *bench) measureWarm(ctx context.Context, all []contender, found results) error {
	for round := range b.rounds {
		for _, c := range rotated(all, round) {
			if err := b.measureOne(ctx, nothing, c, found); err != nil {
				return err
			}
		}
	}
	l, err := b.findLine()
	if err != nil {
		return err
	}
	for round := range b.rounds {
		for _, c := range rotated(all, round) {
			if err := l.change(c.dir, unique(c.name, round)); err != nil {
				return err
			}
			if err := b.measureOne(ctx, oneLine, c, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// unique is a text that no build before has seen.
func unique(name string, round int) string {
	return fmt.Sprintf("%s %d %d", name, round, time.Now().UnixNano())
}

// rotated has another contender first in each round: who comes first may find the machine otherwise.
func rotated(all []contender, round int) []contender {
	k := round % len(all)
	return slices.Concat(all[k:], all[:k])
}

// sameBinaries tells which programs the contenders made of other bytes than the first one did.
func sameBinaries(all []contender) (different []string, err error) {
	first, err := all[0].made()
	if err != nil {
		return nil, err
	}
	for _, c := range all[1:] {
		made, err := c.made()
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(first)) {
			if made[name] != first[name] {
				different = append(different, c.name+": "+name)
			}
		}
	}
	return different, nil
}
