package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// socketTables list the sockets of a network namespace.
var socketTables = []string{"unix", "tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6", "netlink", "packet", "icmp", "icmp6"}

// connections counts the engine's clients. The kernel books an accepted unix socket with the namespace of the one who
// connected: sockets of the engine's that are in none of its own tables are clients from outside, whatever namespace they
// are in.
func connections(pid int) (int, error) {
	proc := filepath.Join("/proc", fmt.Sprint(pid))
	open, err := socketsOf(filepath.Join(proc, "fd"))
	if err != nil {
		return 0, err
	}
	for _, table := range socketTables {
		content, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(content)) {
			delete(open, word)
		}
	}
	return len(open), nil
}

// socketsOf returns the inodes of a process's sockets.
func socketsOf(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	inodes := map[string]bool{}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes, nil
}
