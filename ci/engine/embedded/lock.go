package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const lockPoll = 50 * time.Millisecond

// tryLock returns nil without an error when somebody else has the lock. The file stays: removing it would let two in.
func tryLock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create directory of lock: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	locked, err := tryFlock(file)
	if locked {
		return file, nil
	}
	file.Close()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return nil, nil
}

// waitLock waits until the lock is free. waiting is called once when it is not free at once.
func waitLock(ctx context.Context, path string, waiting func()) (*os.File, error) {
	for told := false; ; told = true {
		file, err := tryLock(path)
		if file != nil || err != nil {
			return file, err
		}
		if !told {
			waiting()
		}
		if err := pause(ctx, lockPoll); err != nil {
			return nil, fmt.Errorf("wait for %s: %w", path, err)
		}
	}
}

// free says whether nobody has the lock now.
func free(path string) (bool, error) {
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return true, nil
	}
	file, err := tryLock(path)
	if file != nil {
		file.Close()
	}
	return file != nil, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
