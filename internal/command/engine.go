package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/engine/gosdk"
	"github.com/slipway-ci/slipway/ci/ship"
)

func (a *app) engine() *cobra.Command {
	cmd := &cobra.Command{Use: "engine", Short: "Start, stop and look at the embedded engine", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(
		a.engineVerb("start", "Build the engine if needed, start it and wait until it answers", a.engineStart),
		a.engineVerb("stop", "Stop the engine and wait until it has ended", a.engineStop),
		a.engineVerb("status", "Say whether the engine runs, and what it uses", a.engineStatus),
		a.engineVerb("prune", "Remove what the engine has cached", a.enginePrune),
		a.engineVerb("env", "Print shell commands that make the dagger CLI use the engine", a.engineEnv),
	)
	return cmd
}

func (a *app) engineVerb(name, short string, do func(*cobra.Command, embedded.Options) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		cache, err := ship.CacheDir(a.Getenv)
		if err != nil {
			return err
		}
		last := ""
		return do(cmd, ship.EmbeddedOptions(cache, a.Getenv, func(text string) {
			if text != last && !a.flags.quiet {
				fmt.Fprintln(a.Stderr, text)
			}
			last = text
		}))
	}}
}

func (a *app) engineStart(cmd *cobra.Command, o embedded.Options) error {
	endpoint, err := embedded.Ensure(cmd.Context(), o)
	if err != nil {
		return &ship.LackingError{Cause: err}
	}
	if a.flags.json {
		return printJSON(a.Stdout, map[string]any{"address": endpoint.Address, "cli": endpoint.CLI, "version": endpoint.Version, "started": endpoint.Started})
	}
	word := "runs already"
	if endpoint.Started {
		word = "started"
	}
	_, err = fmt.Fprintf(a.Stderr, "engine %s %s at %s\n", endpoint.Version, word, endpoint.Address)
	return err
}

func (a *app) engineStop(cmd *cobra.Command, o embedded.Options) error {
	before, err := embedded.Status(cmd.Context(), o)
	if err != nil {
		return err
	}
	if err := embedded.Stop(cmd.Context(), o); err != nil {
		return err
	}
	text := "engine stopped"
	if before.Phase == embedded.PhaseStopped {
		text = "no engine was running"
	}
	_, err = fmt.Fprintln(a.Stderr, text)
	return err
}

func (a *app) engineStatus(cmd *cobra.Command, o embedded.Options) error {
	state, err := embedded.Status(cmd.Context(), o)
	if err != nil {
		return err
	}
	if a.flags.json {
		return printJSON(a.Stdout, state)
	}
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(table, "%s\t%v\n", name, value) }
	row("engine", state.Phase)
	row("version", state.Version)
	if state.Phase == embedded.PhaseRunning {
		row("address", state.Address)
		row("process", state.Engine)
		row("running for", time.Since(state.Since).Round(time.Second))
		row("connections", state.Connections)
		row("stops after", state.Idle+" without a connection")
		row("log", state.Log)
	}
	row("cache", megabytes(state.Disk)+" in "+state.Directory)
	return table.Flush()
}

func (a *app) enginePrune(cmd *cobra.Command, o embedded.Options) error {
	freed, err := embedded.Prune(cmd.Context(), o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stderr, "freed %s\n", megabytes(freed))
	return err
}

func (a *app) engineEnv(cmd *cobra.Command, o embedded.Options) error {
	endpoint, err := embedded.Ensure(cmd.Context(), o)
	if err != nil {
		return &ship.LackingError{Cause: err}
	}
	if err := a.modules(cmd.Context(), endpoint, o); err != nil { // dagger run does without
		fmt.Fprintf(a.Stderr, "dagger call cannot load modules that are written in Go: %v\n", err)
	}
	_, err = io.WriteString(a.Stdout, engineEnv(endpoint))
	return err
}

// modules gives the engine what modules that are written in Go are built in.
func (a *app) modules(ctx context.Context, endpoint embedded.Endpoint, o embedded.Options) error {
	return gosdk.Provide(ctx, gosdk.Options{Content: endpoint.Content, Codegen: endpoint.Codegen, Cache: o.Cache, Go: ship.PinnedGo,
		CAs: embedded.HostCAs(a.Getenv), Environ: a.Environ, Progress: o.Progress})
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
