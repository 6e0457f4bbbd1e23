// Command slipway takes a Go project from go.mod to a tested image, with one command, the same on a laptop and in CI.
package main

import (
	"os"

	"github.com/slipway-ci/slipway/internal/command"
)

func main() { os.Exit(command.Main(command.System())) }
