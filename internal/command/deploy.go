package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

const deployHelp = `Does all that ship does, which is cached, and rolls out exactly what was tested to the machines of an environment in
slipway.yaml. With --release it takes a published version or digest instead, and builds nothing.

The new release starts beside the old one and gets traffic when it is healthy; it is watched, and committed when it
does well. Before that, whatever goes wrong takes everything back, on all machines: a failed check, an error, an
interrupt, a deployer that dies. The same command again goes on from what is there; when nothing is to do, nothing
is done. slipway plan shows the steps.

Variables win in this order: -e, env in slipway.yaml, its envFile, those of the image or unit.

Exit codes beside the usual ones: 4 it failed and everything is back as it was, 5 a person is needed, 130 interrupted
and left safe.`

func (a *app) deploy() *cobra.Command {
	var o ship.DeployOptions
	var files trustFlags
	cmd := &cobra.Command{
		Use: "deploy ENVIRONMENT", Short: "Ship, then roll out what was tested; with --release, what was published", Long: deployHelp, Args: oneEnvironment,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Environment = args[0]
			if err := files.read(&o.Trust); err != nil {
				return err
			}
			return a.show(cmd, func(ctx context.Context, observer report.Observer) (report.Run, error) {
				o.Options = a.options
				return ship.Deploy(ctx, o, observer)
			})
		},
	}
	a.skipFlag(cmd)
	a.releaseFlags(cmd, &o, &files)
	cmd.Flags().BoolVar(&a.options.Force, "force", false, "deploy an older commit over a newer one")
	return cmd
}

// releaseFlags say what is rolled out.
func (a *app) releaseFlags(cmd *cobra.Command, o *ship.DeployOptions, files *trustFlags) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.Variables, "env", "e", nil, "NAME=value: a variable, which wins over those of slipway.yaml (may be repeated)")
	flags.StringVar(&o.Release, "release", "", "a published version, digest or image to take, instead of building")
	flags.StringVar(&files.key, "key", "", "with --release: file of the public key that must have signed it (default: the key of slipway.yaml)")
	flags.StringVar(&o.Trust.Identity, "identity", "", "with --release: who must have signed it, as the certificate names them")
	flags.StringVar(&o.Trust.Issuer, "issuer", "", "with --release: who vouches for --identity")
	flags.StringVar(&files.root, "root", "", "with --release: file of the trusted root (default: that of slipway.yaml, or of the public Sigstore)")
}
