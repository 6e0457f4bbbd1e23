package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/ship"
)

// help is "slipway help VERB". Cobra's own ends well for a verb that does not exist.
func (a *app) help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [verb]", Short: "Help about any verb",
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return &ship.UsageError{Message: "there is no verb " + strings.Join(args, " ") + "; see slipway --help"}
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}
