package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

// growing is one way in which a project can grow.
type growing struct {
	what  string
	sizes []int
	write func(ctx context.Context, dir string, size int) error
}

// grown is what came of one size.
type grown struct {
	what   string
	size   int
	first  usage
	again  []usage
	engine int64 // bytes of the engine's memory, at most
}

// writeGrowth measures how our build stage grows with the project. A size that fails does not keep the others from being measured.
func (b *bench) writeGrowth(ctx context.Context, doc *document) error {
	var all []grown
	var problems []error
	for _, g := range b.growings() {
		if !strings.HasPrefix(g.what, b.growing) {
			continue
		}
		for _, size := range g.sizes {
			b.say("%s: %d", g.what, size)
			found, err := b.grow(ctx, g, size)
			if ctx.Err() == nil && err != nil {
				problems = append(problems, fmt.Errorf("%s, %d: %w", g.what, size, err))
				continue
			}
			if err != nil {
				doc.growth(all)
				return err
			}
			all = append(all, found)
		}
	}
	doc.growth(all)
	return errors.Join(problems...)
}

func (b *bench) growings() []growing {
	targets, apps, megabytes := []int{6, 12, len(pureTargets())}, []int{1, 10, 50}, []int{10, 100, 1000}
	if b.quick {
		targets, apps, megabytes = []int{1, 2}, []int{1, 2}, []int{1, 2}
	}
	two := []target.Target{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}
	return []growing{
		{"programs, for 2 targets", apps, func(ctx context.Context, dir string, n int) error {
			return commitFiles(ctx, dir, manyServices(n, two))
		}},
		{"megabytes in the tree and as many in .git", megabytes, func(ctx context.Context, dir string, n int) error {
			if err := bulk(dir, n); err != nil {
				return err
			}
			return commitFiles(ctx, dir, smallService(two))
		}},
		{"targets", targets, func(ctx context.Context, dir string, n int) error {
			return commitFiles(ctx, dir, smallService(someTargets(n)))
		}},
	}
}

// pureTargets are all that the Go of this release builds for without a C compiler.
func pureTargets() []target.Target {
	external := []string{"android/386", "android/amd64", "android/arm", "ios/amd64", "ios/arm64"}
	return slices.DeleteFunc(target.Known(), func(t target.Target) bool { return slices.Contains(external, t.String()) })
}

// someTargets are the usual six, then others.
func someTargets(n int) []target.Target {
	usual := target.Default()
	others := slices.DeleteFunc(pureTargets(), func(t target.Target) bool { return slices.Contains(usual, t) })
	all := slices.Concat(usual, others)
	return all[:min(n, len(all))]
}

// grow writes a project of a size and builds it: first, and with nothing changed.
func (b *bench) grow(ctx context.Context, g growing, size int) (grown, error) {
	found := grown{what: g.what, size: size}
	dir := filepath.Join(b.work, "growth")
	if err := remake(dir); err != nil {
		return found, err
	}
	if err := g.write(ctx, dir, size); err != nil {
		return found, err
	}
	if err := b.pruneUnlessQuick(ctx); err != nil {
		return found, err
	}
	pid, err := b.engine.status(ctx)
	if err != nil {
		return found, err
	}
	if err := resetPeak(pid); err != nil {
		return found, fmt.Errorf("measure the engine's memory: %w", err)
	}
	build := b.engine.command("build", "-q", "-C", dir)
	if found.first, err = build.run(ctx); err != nil {
		return found, err
	}
	for range b.rounds {
		u, err := build.run(ctx)
		if err != nil {
			return found, err
		}
		found.again = append(found.again, u)
	}
	found.engine = peakOf(pid)
	return found, remake(dir)
}

// pruneUnlessQuick empties the engine, so that the first run compiles everything.
func (b *bench) pruneUnlessQuick(ctx context.Context) error {
	if b.quick {
		return nil
	}
	_, err := b.engine.command("engine", "prune").run(ctx)
	return err
}
