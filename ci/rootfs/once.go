package rootfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const lockPoll = 200 * time.Millisecond

// Once makes a file unless it is there. build writes it to the path that it is given, in a directory of its own; what a killed
// run left there is removed first. Programs that want the same file at the same time wait for the one that makes it.
func Once(ctx context.Context, file string, build func(out string) error) (string, error) {
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	lock := flock.New(file + ".lock")
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	defer lock.Unlock()
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	work := file + ".work"
	if err := os.RemoveAll(work); err != nil {
		return "", fmt.Errorf("remove what an earlier run left: %w", err)
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		return "", fmt.Errorf("make a work directory: %w", err)
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, "out")
	if err := build(out); err != nil {
		return "", err
	}
	if err := os.Rename(out, file); err != nil {
		return "", fmt.Errorf("keep %s: %w", filepath.Base(file), err)
	}
	return file, nil
}
