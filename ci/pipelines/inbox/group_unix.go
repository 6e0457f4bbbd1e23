//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup puts the command into a process group, so that a time limit reaches
// what the command itself started: the test binary below "go test".
func ownGroup(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// quitGroup asks for an end with SIGQUIT, which makes Go programs print the
// stacks of all goroutines: what a hanging test was doing.
func quitGroup(command *exec.Cmd) error { return signalGroup(command, syscall.SIGQUIT) }

// killGroup ends what is left. A group that is gone already is what we want.
func killGroup(command *exec.Cmd) { _ = signalGroup(command, syscall.SIGKILL) }

func signalGroup(command *exec.Cmd, signal syscall.Signal) error {
	err := syscall.Kill(-command.Process.Pid, signal)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func signalOf(state *os.ProcessState) (number int, name string, ok bool) {
	status, isUnix := state.Sys().(syscall.WaitStatus)
	if !isUnix || !status.Signaled() {
		return 0, "", false
	}
	return int(status.Signal()), status.Signal().String(), true
}
