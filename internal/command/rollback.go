package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

const rollbackHelp = `Goes back to the good release before the last one that was deployed, or to the one that --to names: its program,
files, variables, secrets and unit, all of them. The machines have it still, so nothing is built or sent. It passes
the same gates as a deploy, and asking twice changes nothing the second time. Hooks do not run: data stays as the newer
release has left it.`

func (a *app) rollback() *cobra.Command {
	var o ship.RollbackOptions
	cmd := &cobra.Command{
		Use: "rollback ENVIRONMENT", Short: "Go back to the last good release, or to the one of --to", Long: rollbackHelp, Args: oneEnvironment,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Environment = args[0]
			return a.show(cmd, func(ctx context.Context, observer report.Observer) (report.Run, error) {
				o.Options = a.options
				return ship.Rollback(ctx, o, observer)
			})
		},
	}
	cmd.Flags().StringVar(&o.To, "to", "", "version or digest to go back to")
	return cmd
}
