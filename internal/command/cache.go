package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/forge"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

func (a *app) cache() *cobra.Command {
	cmd := &cobra.Command{Use: "cache", Short: "Take Go's caches out of the engine, and bring them back", Long: cacheHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(
		&cobra.Command{Use: "export DIR", Short: "Write what recent runs used into a directory", Args: oneDirectory, RunE: a.cacheExport},
		&cobra.Command{Use: "import DIR", Short: "Bring back what export has written", Args: oneDirectory, RunE: a.cacheImport},
	)
	return cmd
}

const cacheHelp = `Go's module cache and build cache, and staticcheck's, live inside of the engine. On a machine that is new for each run,
as in CI, they would always be empty: "cache import DIR" before a run and "cache export DIR" after it keep what was
downloaded and compiled. DIR is what the CI system keeps. Its files are named by their digests, and checked.

What no run has used for days is not exported, so that DIR does not grow for ever. stdout gets a digest of all of it.`

func (a *app) cacheExport(cmd *cobra.Command, args []string) error {
	a.aside()
	digest := ""
	err := a.show(cmd, func(ctx context.Context, observer report.Observer) (run report.Run, err error) {
		run, digest, err = ship.ExportCache(ctx, a.options, args[0], observer)
		return run, err
	})
	if err != nil || digest == "" || a.flags.json {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout, digest)
	return err
}

func (a *app) cacheImport(cmd *cobra.Command, args []string) error {
	a.aside()
	return a.show(cmd, func(ctx context.Context, observer report.Observer) (report.Run, error) {
		return ship.ImportCache(ctx, a.options, args[0], observer)
	})
}

// aside leaves the CI system's summary and outputs to the run that they are for.
func (a *app) aside() { a.ci = forge.NewTerminal(forge.Options{Log: a.Stderr}) }

// oneDirectory wants one argument.
func oneDirectory(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &ship.UsageError{Message: "slipway cache " + cmd.Name() + " needs one directory, such as slipway cache " + cmd.Name() + " ./cache"}
	}
	return nil
}
