package engine

import (
	"os/exec"
	"syscall"
)

// childAttr makes a child die with us, and keeps a Ctrl-C in the terminal from reaching it before us: we end it in order.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killChild ends a child and what it has started: as long as one of them keeps the output open, the child counts as running.
func killChild(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
