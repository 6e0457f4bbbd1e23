package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Sent is the number of bytes that the session has written so far: to the engine, and to files that it exported. The
// difference of two calls says what an upload between them really sent. It is not known for a session of somebody else's, nor
// where the kernel does not count.
func (s *Session) Sent() (bytes int64, known bool) {
	if s == nil || s.conn == nil {
		return 0, false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", s.conn.cmd.Process.Pid))
	if err != nil {
		return 0, false
	}
	return writtenBytes(string(data))
}

// writtenBytes reads the count of what a process wrote, by files and sockets alike (proc_pid_io(5)).
func writtenBytes(io string) (int64, bool) {
	for line := range strings.Lines(io) {
		if text, ok := strings.CutPrefix(line, "wchar: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
