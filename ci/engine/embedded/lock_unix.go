//go:build unix

package embedded

import (
	"os"

	"golang.org/x/sys/unix"
)

// tryFlock takes the lock of an open file; false means that somebody else has it.
func tryFlock(file *os.File) (bool, error) {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}
