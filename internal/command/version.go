package command

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/ship"
)

// version and commit are set by the linker when Slipway ships itself.
var version, commit string

// Version is the version of this program: that of the release, of the module it was installed from, or "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of slipway and of what it pins", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.Stdout, "slipway %s%s %s/%s\nengine  %s\ngo      %s\n", Version(), parenthesised(commit), runtime.GOOS, runtime.GOARCH, embedded.Version, ship.PinnedGo)
			return err
		},
	}
}

func parenthesised(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
