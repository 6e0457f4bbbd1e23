package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// StateDir is where the engine keeps its cache.
func StateDir(opts Options) string { return opts.layout().stateDir() }

// FreeSpace is what an unprivileged user may still write in dir, or in the nearest directory above it that is there.
func FreeSpace(dir string) (int64, error) {
	d, err := diskOf(dir)
	return d.free, err
}

func diskOf(dir string) (disk, error) {
	var stat unix.Statfs_t
	var info unix.Stat_t
	place := existing(dir)
	if err := errors.Join(unix.Statfs(place, &stat), unix.Stat(place, &info)); err != nil {
		return disk{}, fmt.Errorf("measure free space: %w", err)
	}
	return disk{id: info.Dev, free: int64(stat.Bavail) * stat.Bsize}, nil
}

// MakeRoom removes what the engine has cached because its disk is full: the oldest first, then all of it. An engine that
// cannot do it any more for lack of space is stopped for that, unless others use it.
func MakeRoom(ctx context.Context, opts Options) (freed int64, err error) {
	dir := StateDir(opts)
	before, err := FreeSpace(dir)
	if err != nil {
		return 0, err
	}
	if pruneOld(ctx, opts.layout()) == nil { // else it does not run, or has no room even for that
		if after, err := FreeSpace(dir); err == nil && after >= leastSpace {
			return after - before, nil
		}
	}
	_, pruned := Prune(ctx, opts)
	after, err := FreeSpace(dir)
	if err != nil || (pruned == nil && after >= leastSpace) {
		return after - before, err
	}
	if state, err := ask(ctx, opts.layout().controlSocket(), opStatus); err == nil && state.Connections > 0 {
		return after - before, errors.Join(pruned, fmt.Errorf("%d others use the engine, so it is not stopped", state.Connections))
	}
	if err := Stop(ctx, opts); err != nil {
		return after - before, err
	}
	_, err = Prune(ctx, opts)
	if err != nil {
		return after - before, err
	}
	after, err = FreeSpace(dir)
	return after - before, err
}

// pruneOld has an engine that runs remove what was not used for longest.
func pruneOld(ctx context.Context, l layout) error {
	if state, err := ask(ctx, l.controlSocket(), opJoin); err != nil || state.Phase != PhaseRunning {
		return errNotRunning
	}
	return pruneRunning(ctx, l, pruneOldest)
}

// roomToStart makes sure that an engine has the space to start. What an earlier one left is removed for that, where it helps.
func roomToStart(opts Options, l layout) error {
	wishes := []wish{{l.stateDir(), leastSpace}}
	err := shortOf("starting the engine", wishes, diskOf)
	var full *DiskFullError
	if !errors.As(err, &full) {
		return err
	}
	if used := diskUse(l.stateDir()); full.Have+used < full.Need {
		return err
	}
	opts.progress(fmt.Sprintf("disk full: need %d MB, have %d MB at %s; emptying the engine's cache", full.Need>>20, full.Have>>20, full.Path))
	if err := emptyDir(filepath.Join(l.stateDir(), stateRoot), 0o700); err != nil {
		return fmt.Errorf("empty the engine's cache: %w", err)
	}
	return shortOf("starting the engine", wishes, diskOf)
}

// roomToBuild makes sure that what is missing can be built, before minutes are spent on it.
func roomToBuild(opts Options, g goCommand) error {
	for _, dir := range []string{g.Modules, g.Cache, opts.layout().layers()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create the cache: %w (choose another place with SLIPWAY_CACHE)", err)
		}
	}
	return shortOf("building the engine", []wish{
		{opts.layout().layers(), layersSpace}, {opts.layout().stateDir(), leastSpace}, {g.Modules, compileSpace / 2}, {g.Cache, compileSpace / 2},
	}, diskOf)
}
