package command

import (
	"context"
	"errors"
	"fmt"

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
	{ship.Publish, "Ship, then push the images that were tested, their tags last"},
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
	case ship.Publish:
		a.publishFlags(cmd)
	default:
		a.targetFlag(cmd)
	}
	return cmd
}

func (a *app) shipFlags(cmd *cobra.Command) {
	a.skipFlag(cmd)
	a.targetFlag(cmd)
}

func (a *app) publishFlags(cmd *cobra.Command) {
	cmd.Long = publishHelp
	cmd.Flags().BoolVar(&a.options.Force, "force", false, "move the tag of a version that is published already, with another content")
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
		return a.show(cmd, func(ctx context.Context, observer report.Observer) (report.Run, error) {
			return ship.Run(ctx, verb, a.options, observer)
		})
	}
}

// show carries out what makes a report, and shows it: to people while it happens, to machines at its end.
func (a *app) show(cmd *cobra.Command, carryOut func(context.Context, report.Observer) (report.Run, error)) error {
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
		a.ci.Observe(e)
		view.Observe(e)
	})
	outcome, err := carryOut(ctx, observer)
	view.Stop()
	if err != nil && !told {
		a.ci.Observe(report.RunFinished{Run: refused(outcome, err)})
	}
	a.exit(outcome.ExitCode)
	var late *ship.ReportError
	if errors.As(err, &late) || (err != nil && !told) { // else the report has told it
		a.complain(err, outcome.ExitCode)
	}
	if a.flags.json && (told || err != nil) {
		return render.JSON(a.Stdout, outcome)
	}
	return a.references(outcome)
}

// references prints what was published as scripts want it: one image a line, by digest.
func (a *app) references(outcome report.Run) error {
	for _, p := range outcome.Published {
		if _, err := fmt.Fprintln(a.Stdout, p.Reference()); err != nil {
			return fmt.Errorf("write the references: %w", err)
		}
	}
	return nil
}

const publishHelp = `Does all that ship does, and pushes each image that was tested to its image.repository in slipway.yaml: first what
it is made of, then what is said about it, then its tags. A push that is cut off leaves the tags as they were, and
the next one goes on from there. Reachable vulnerabilities fail it.

A release 1.2.3 gets the tags 1.2.3, 1.2 and the commit, and latest where image.latest is true. The tag of a version
is never moved to another content, unless --force says so. stdout gets the references, by digest, one a line.

The login is the one that docker login or podman login keeps, with its helpers; or SLIPWAY_REGISTRY_HOST,
SLIPWAY_REGISTRY_USERNAME and SLIPWAY_REGISTRY_PASSWORD; or GITHUB_TOKEN, for GitHub's own registry.`
