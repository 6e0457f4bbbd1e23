// Package capacity finds out how many cores and how much memory a process may use: what its control groups allow, not what
// the machine has. It is the same code on the user's machine and in a container of a remote engine.
package capacity

import (
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Capacity is what a process may use.
type Capacity struct {
	Cores     int    `json:"cores"`
	MemoryMiB int    `json:"memory_mib"` // 0: unknown
	Limit     string `json:"limit"`      // what sets the memory: "the machine" or "a control group"
}

// Read looks at the machine whose file system is root, as seen by this process. The cores are the runtime's count, which
// follows affinity and the control groups' quota.
func Read(root fs.FS) Capacity {
	c := Capacity{Cores: runtime.GOMAXPROCS(0), Limit: "the machine"}
	bytes, grouped := Memory(root)
	if grouped {
		c.Limit = "a control group"
	}
	c.MemoryMiB = int(bytes >> 20)
	return c
}

const (
	unified, legacy = "sys/fs/cgroup", "sys/fs/cgroup/memory" // where versions 2 and 1 are mounted
	unlimited       = 1 << 50                                 // more than any machine has: version 1 says so with a huge number
)

// Memory is how much memory our control group may take, in bytes: the smallest of its own limit, those of the groups around
// it as far as they can be seen from here, and the machine's size; 0 when nothing is known. grouped tells that a group sets it.
func Memory(root fs.FS) (bytes int64, grouped bool) {
	bytes = Field(root, "proc/meminfo", "MemTotal:") << 10
	for _, group := range MemoryGroups(root) {
		for dir := group; strings.HasPrefix(dir, unified); dir = path.Dir(dir) {
			for _, found := range []int64{
				Number(root, path.Join(dir, "memory.max")), // "max" is no number
				Number(root, path.Join(dir, "memory.limit_in_bytes")),
				Field(root, path.Join(dir, "memory.stat"), "hierarchical_memory_limit"),
			} {
				if found > 0 && found < unlimited && (bytes == 0 || found < bytes) {
					bytes, grouped = found, true
				}
			}
		}
	}
	return bytes, grouped
}

// MemoryGroups names where our group may be mounted. In a container the mount is often the group itself, while /proc still
// gives the path on the machine.
func MemoryGroups(root fs.FS) []string {
	dirs := []string{unified, legacy}
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return dirs
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		inside := path.Join("/", parts[2])
		if parts[0] == "0" {
			dirs = append(dirs, path.Join(unified, inside))
		}
		if slices.Contains(strings.Split(parts[1], ","), "memory") {
			dirs = append(dirs, path.Join(legacy, inside))
		}
	}
	return dirs
}

// Field finds "key value" in a file of such lines. What cannot be read is 0.
func Field(root fs.FS, name, key string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), key+" "); ok {
			return parse(strings.TrimSuffix(rest, " kB"))
		}
	}
	return 0
}

// Number reads a file that holds one number. What cannot be read is 0.
func Number(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	return parse(string(text))
}

func parse(text string) int64 {
	value, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return value
}
