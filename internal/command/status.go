package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/ship"
)

const statusHelp = `Shows what runs on each machine of an environment, and what is different from how it was left: a unit that somebody
edited, an instance that is down, another version. It ends with 1 when something is.

--watch repeats it until it is interrupted, with the gates of the environment, and tells whom notify in slipway.yaml
names when it stops to do well and when it does well again.`

// watchEvery is how often a watch looks, when nothing is said.
const watchEvery = 30 * time.Second

func (a *app) status() *cobra.Command {
	var watch bool
	var every time.Duration
	cmd := &cobra.Command{
		Use: "status ENVIRONMENT", Short: "Show what runs where, and what has drifted", Long: statusHelp, Args: oneEnvironment,
		RunE: func(cmd *cobra.Command, args []string) error {
			if every < time.Second {
				return &ship.UsageError{Message: fmt.Sprintf("--every %s: at least 1s", every)}
			}
			return a.look(cmd, args[0], func(ctx context.Context, o ship.EnvironmentOptions) error {
				if watch {
					return ship.Watch(ctx, o, every, func(s ship.Status) { _ = a.showStatus(s) }) // who stops to read ends nothing
				}
				status, err := ship.Look(ctx, o)
				if err != nil {
					return err
				}
				if !status.Well {
					a.exit(ship.ExitFailed)
				}
				return a.showStatus(status)
			})
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "repeat it, and notify")
	cmd.Flags().DurationVar(&every, "every", watchEvery, "with --watch: how often to look")
	return cmd
}

func (a *app) showStatus(s ship.Status) error {
	if a.flags.json {
		return a.document(s)
	}
	fmt.Fprintln(a.Stdout, s.Service)
	return a.statusTable(s.Targets)
}
