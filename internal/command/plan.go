package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/ship"
)

const planHelp = `Looks at the machines of an environment and prints the steps that deploy would carry out, from what is there now. It
builds what it has to, which is cached, and changes nothing on the machines. --json writes the steps as data.`

func (a *app) plan() *cobra.Command {
	var o ship.DeployOptions
	var files trustFlags
	cmd := &cobra.Command{
		Use: "plan ENVIRONMENT", Short: "Show what deploy would do, and change nothing", Long: planHelp, Args: oneEnvironment,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Environment = args[0]
			if err := files.read(&o.Trust); err != nil {
				return err
			}
			var planned ship.Planned
			asJSON := a.flags.json
			a.flags.json = false // the document is the plan, not the report
			err := a.show(cmd, func(ctx context.Context, observer report.Observer) (run report.Run, err error) {
				o.Options = a.options
				planned, run, err = ship.Plan(ctx, o, observer)
				return run, err
			})
			if err != nil || a.code == nil || *a.code != ship.ExitOK {
				return err
			}
			if asJSON {
				return a.document(planned)
			}
			a.Stdout = a.inert(a.Stdout)
			return a.showPlan(planned)
		},
	}
	a.releaseFlags(cmd, &o, &files)
	return cmd
}

func (a *app) showPlan(p ship.Planned) error {
	fmt.Fprintf(a.Stdout, "%s %s (%s)\n\n", p.Service, p.Release.Version, rollout.Short(p.Release.Digest))
	if err := a.statusTable(p.Targets); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "\n%s", p.Text)
	for _, warning := range p.Warnings {
		fmt.Fprintf(a.Stdout, "note: %s\n", warning)
	}
	return err
}
