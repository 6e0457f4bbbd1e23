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
	bytes := total(root)
	for _, file := range limitFiles(root) {
		if limit := number(root, file); limit > 0 && (bytes == 0 || limit < bytes) {
			bytes, c.Limit = limit, "a control group"
		}
	}
	c.MemoryMiB = int(bytes >> 20)
	return c
}

// limitFiles names the limits of our control group and of all groups around it, in both versions. In a container the mount
// is often the group itself, while /proc still gives the path on the machine: then the longer ones are not there.
func limitFiles(root fs.FS) []string {
	const unified, legacy = "sys/fs/cgroup", "sys/fs/cgroup/memory"
	files := []string{path.Join(unified, "memory.max"), path.Join(legacy, "memory.limit_in_bytes")}
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return files
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for dir := path.Join("/", parts[2]); dir != "/"; dir = path.Dir(dir) {
			if parts[0] == "0" {
				files = append(files, path.Join(unified, dir, "memory.max"))
			}
			if slices.Contains(strings.Split(parts[1], ","), "memory") {
				files = append(files, path.Join(legacy, dir, "memory.limit_in_bytes"))
			}
		}
	}
	return files
}

// total is the machine's memory in bytes.
func total(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // 0 when it is no number: unknown
			return kib << 10
		}
	}
	return 0
}

// number reads a file that holds one number; "max" and what cannot be read are 0: no limit.
func number(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}
