package ship

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// available is the number of cores and the memory (MiB; 0 when unknown) that this process may use. A container's limit
// counts, not the machine's size.
func available() (cores, memoryMiB int) {
	memory := meminfo("/proc/meminfo")
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if limit := readNumber(file) >> 20; limit > 0 && (memory == 0 || limit < memory) {
			memory = limit
		}
	}
	return runtime.GOMAXPROCS(0), int(memory)
}

func readNumber(path string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0 // "max"
	}
	return n
}

// meminfo is the machine's memory in MiB.
func meminfo(path string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // 0 when it is no number: unknown
			return kib >> 10
		}
	}
	return 0
}
