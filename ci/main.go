// Command ci is Slipway, for "go run ./ci" in its own repository; it is the same program as cmd/slipway.
package main

import (
	"os"

	"github.com/slipway-ci/slipway/internal/command"
)

func main() { os.Exit(command.Main(command.System())) }
