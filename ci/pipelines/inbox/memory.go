package main

import (
	"io/fs"
	"path"

	"github.com/slipway-ci/slipway/ci/pipelines/inbox/capacity"
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
	for _, dir := range capacity.MemoryGroups(root) {
		counted.kills = max(counted.kills,
			capacity.Field(root, path.Join(dir, "memory.events"), "oom_kill"),
			capacity.Field(root, path.Join(dir, "memory.oom_control"), "oom_kill"))
		counted.limits = max(counted.limits,
			capacity.Field(root, path.Join(dir, "memory.events"), "max"),
			capacity.Number(root, path.Join(dir, "memory.failcnt")))
	}
	return counted
}
