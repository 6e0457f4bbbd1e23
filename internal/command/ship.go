package command

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
	"github.com/slipway-ci/slipway/ci/ship"
)

// verbs are the stages as verbs, in the order in which they go further.
var verbs = []struct {
	verb  ship.Verb
	short string
}{
	{ship.Ship, "Verify, build, package, image, smoke: all that needs no credentials (the default)"},
	{ship.Verify, "Check style, vet, modules, vulnerabilities, and run the tests"},
	{ship.Build, "Build every app for every target"},
	{ship.Package, "Build and pack archives"},
	{ship.Image, "Build and assemble the images"},
	{ship.Smoke, "Build and assemble the images, and try each one"},
}

type verbOf = struct {
	verb  ship.Verb
	short string
}

func (a *app) verb(v verbOf) *cobra.Command {
	cmd := &cobra.Command{Use: string(v.verb), Short: v.short, Args: noArgs, RunE: a.run(v.verb)}
	switch v.verb {
	case ship.Verify:
		a.skipFlag(cmd)
	case ship.Ship:
		a.shipFlags(cmd)
	default:
		a.targetFlag(cmd)
	}
	return cmd
}

func (a *app) shipFlags(cmd *cobra.Command) {
	a.skipFlag(cmd)
	a.targetFlag(cmd)
}

func (a *app) skipFlag(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&a.options.Skip, "skip", nil, "checks of verify to leave out: gofmt,vet,\"mod tidy\",\"mod verify\",staticcheck,vulnerabilities,test")
}

func (a *app) targetFlag(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&a.flags.targets, "target", nil, "build only these targets: os/arch[/variant][,…]")
}

// run carries out a verb and shows it.
func (a *app) run(verb ship.Verb) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := a.checkEngine(); err != nil {
			return err
		}
		ctx, cancel, err := a.settle(cmd.Context())
		if err != nil {
			return err
		}
		defer cancel()
		view := a.view()
		defer view.Stop()
		told := false
		observer := report.ObserverFunc(func(e report.Event) {
			told = true
			view.Observe(e)
		})
		outcome, err := ship.Run(ctx, verb, a.options, observer)
		view.Stop()
		a.exit(outcome.ExitCode)
		var late *ship.ReportError
		if errors.As(err, &late) || (err != nil && !told) { // else the report has told it
			a.complain(err, outcome.ExitCode)
		}
		if a.flags.json && (told || err != nil) {
			return render.JSON(a.Stdout, outcome)
		}
		return nil
	}
}
