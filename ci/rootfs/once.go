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

// once makes a file unless it is there. Programs that want the same file at the same time wait for the one that makes it.
func once(ctx context.Context, file string, build func() error) (string, error) {
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
	if err := build(); err != nil {
		return "", err
	}
	return file, nil
}
