//go:build !linux

package embedded

import "context"

// Ensure needs Linux.
func Ensure(context.Context, Options) (Endpoint, error) { return Endpoint{}, ErrNeedsLinux }

// Stop needs Linux; there is no engine to stop.
func Stop(context.Context, Options) error { return nil }

// Status says that there is no engine.
func Status(context.Context, Options) (State, error) {
	return State{Phase: PhaseStopped, Version: Version}, nil
}

// Prune has nothing to remove.
func Prune(context.Context, Options) (int64, error) { return 0, nil }

// Watch has nothing to watch: it waits for ctx to end.
func Watch(ctx context.Context, _ Options) error {
	<-ctx.Done()
	return nil
}

// StateDir is where an engine would keep its cache.
func StateDir(opts Options) string { return opts.layout().stateDir() }

// FreeSpace is not known here.
func FreeSpace(string) (int64, error) { return 0, ErrNeedsLinux }

// MakeRoom has nothing to remove.
func MakeRoom(context.Context, Options) (int64, error) { return 0, nil }

// Needs names the one thing that is missing.
func Needs(context.Context, Options) []Need {
	return []Need{{Name: "Linux", Detail: ErrNeedsLinux.Error(), Fix: "install Docker, or use --engine ADDRESS"}}
}

// Main has nothing to do.
func Main([]string) (handled bool, code int) { return false, 0 }
