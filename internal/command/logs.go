package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/ship"
)

const logsHelp = `Shows the last lines of the application's log on all machines of an environment, each line with its machine in front.
-f goes on with what comes after them, until it is interrupted.`

// logTail is how many lines are shown when nothing is said.
const logTail = 50

func (a *app) logs() *cobra.Command {
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use: "logs ENVIRONMENT", Short: "Show the application's log on all machines", Long: logsHelp, Args: oneEnvironment,
		RunE: func(cmd *cobra.Command, args []string) error {
			if tail < 0 || tail > 1_000_000 {
				return &ship.UsageError{Message: fmt.Sprintf("--tail %d: a number of lines from 0 to 1000000", tail)}
			}
			if a.flags.json {
				return &ship.UsageError{Message: "slipway logs has no --json: its lines are those of the application"}
			}
			return a.look(cmd, args[0], func(ctx context.Context, o ship.EnvironmentOptions) error {
				o.Lines = func(target, line string) { fmt.Fprintf(a.Stdout, "%s | %s\n", target, line) }
				return ship.Logs(ctx, o, tail, follow)
			})
		},
	}
	// Elsewhere -f is --config. Here it means what it means with tail, so that --config has to be written out.
	cmd.Flags().StringVar(&a.options.Config, "config", "", "configuration file (default slipway.yaml in the source directory, if it is there)")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	cmd.Flags().IntVar(&tail, "tail", logTail, "how many lines of each machine")
	return cmd
}
