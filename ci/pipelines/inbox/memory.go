package main

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// fsReader is the machine's file system, from "/": a parameter, so that tests
// can show other machines.
type fsReader = fs.FS

// memory is what the kernel counted for our control group.
type memory struct {
	kills  int64 // processes that the kernel ended for lack of memory
	limits int64 // times that the limit was met, the only count of old kernels
}

// killedCode is the exit code of a process that SIGKILL ended, as shells give it.
const killedCode = signalBase + 9

// outOfMemory tells whether the command failed because memory ran out. Meeting
// the limit alone is normal (caches are dropped then), so that count only
// speaks where something was killed.
func outOfMemory(before, after memory, outcome result) bool {
	if outcome.ExitCode == 0 {
		return false
	}
	if after.kills > before.kills {
		return true
	}
	return outcome.ExitCode == killedCode && after.limits > before.limits
}

// readMemory reads the counters of our control group, in version 1 or 2. What
// cannot be read counts as zero: this is a hint, never a reason to fail.
func readMemory(root fsReader) memory {
	var counted memory
	for _, dir := range memoryDirs(root) {
		counted.kills = max(counted.kills,
			field(root, path.Join(dir, "memory.events"), "oom_kill"),
			field(root, path.Join(dir, "memory.oom_control"), "oom_kill"))
		counted.limits = max(counted.limits,
			field(root, path.Join(dir, "memory.events"), "max"),
			number(root, path.Join(dir, "memory.failcnt")))
	}
	return counted
}

// unlimited is more than any machine has: version 1 says so with a huge number.
const unlimited = 1 << 50

// memoryLimit is how much memory our control group may take, in bytes: the
// smallest of its own limit, those above it as far as they can be seen from
// here, and the machine's size. 0 when nothing is known.
func memoryLimit(root fsReader) int64 {
	limit := field(root, "proc/meminfo", "MemTotal:") << 10
	for _, dir := range memoryDirs(root) {
		for _, found := range []int64{
			number(root, path.Join(dir, "memory.max")), // "max" is no number
			number(root, path.Join(dir, "memory.limit_in_bytes")),
			field(root, path.Join(dir, "memory.stat"), "hierarchical_memory_limit"),
		} {
			if found > 0 && found < unlimited && (limit == 0 || found < limit) {
				limit = found
			}
		}
	}
	return limit
}

// memoryDirs names where our group may be mounted. In a container the mount is
// often the group itself, while /proc still gives the path on the machine.
func memoryDirs(root fsReader) []string {
	const unified, legacy = "sys/fs/cgroup", "sys/fs/cgroup/memory"
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

// field finds "key value" in a file of such lines.
func field(root fsReader, name, key string) int64 {
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

func number(root fsReader, name string) int64 {
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
