package engine

import "syscall"

// childAttr makes a child die with us, and keeps a Ctrl-C in the terminal from reaching it before us: we end it in order.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
