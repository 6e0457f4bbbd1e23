//go:build !linux

package engine

import "syscall"

// childAttr leaves the defaults: the child ends when its standard input closes.
func childAttr() *syscall.SysProcAttr { return nil }
