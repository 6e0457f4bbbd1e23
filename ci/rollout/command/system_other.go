//go:build !unix

package command

import (
	"errors"
	"os"
	"os/exec"
)

func group(*exec.Cmd) {}

func end(*exec.Cmd) {}

func lockFile(*os.File) error {
	return errors.New("driver command needs a Unix: run it in WSL, or in CI")
}
