//go:build unix

package embedded

import (
	"os"
	"syscall"
)

// blocks is what a file takes on disk.
func blocks(info os.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}
