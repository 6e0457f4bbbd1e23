//go:build unix

package credentials

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the command into a process group, so that its end is the end
// of what it started too.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
