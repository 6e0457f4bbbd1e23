package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// moment is now: on the clock that counts since the machine booted, its sleep included, and on the one that people read.
type moment struct {
	boot  string
	since time.Duration
	wall  time.Time
}

const clockBoottime = 7 // CLOCK_BOOTTIME of clock_gettime(2)

// now needs no clock to be right: only that of this boot is compared.
func (m *machine) now() (moment, error) {
	var since syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&since)), 0); errno != 0 {
		return moment{}, fmt.Errorf("read clock: %w", errno)
	}
	boot := m.read("proc/sys/kernel/random/boot_id")
	if boot == "" {
		return moment{}, fmt.Errorf("read clock: /proc/sys/kernel/random/boot_id is empty")
	}
	return moment{boot: boot + initStart(m.read("proc/1/stat")), since: time.Duration(since.Nano()), wall: time.Now()}, nil
}

// initStart is when process 1 started: a container boots without its kernel.
func initStart(stat string) string {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	const start = 22 - 3 // field 22 of proc_pid_stat(5); those up to the parenthesis are gone
	if len(fields) <= start {
		return ""
	}
	return "/" + fields[start]
}
