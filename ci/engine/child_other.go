//go:build !linux

package engine

import (
	"os/exec"
	"syscall"
)

// childAttr leaves the defaults: the child ends when its standard input closes.
func childAttr() *syscall.SysProcAttr { return nil }

// killChild ends a child.
func killChild(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
