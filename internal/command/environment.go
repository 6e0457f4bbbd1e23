package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/ship"
)

// oneEnvironment wants the name of an environment, and nothing else.
func oneEnvironment(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return &ship.UsageError{Message: fmt.Sprintf("slipway %s needs the environment: slipway %s prod, with the name of one in slipway.yaml", cmd.Name(), cmd.Name())}
	}
	if strings.Contains(args[1], "=") && cmd.Flags().Lookup("env") != nil {
		return &ship.UsageError{Message: fmt.Sprintf("slipway %s takes one environment, and there is %q too; did you mean -e %s?", cmd.Name(), args[1], args[1])}
	}
	return &ship.UsageError{Message: fmt.Sprintf("slipway %s takes one environment, not %d", cmd.Name(), len(args))}
}

// look is a verb that only looks: what it finds goes to stdout.
func (a *app) look(cmd *cobra.Command, environment string, do func(context.Context, ship.EnvironmentOptions) error) error {
	ctx, cancel, err := a.settle(cmd.Context())
	if err != nil {
		return err
	}
	defer cancel()
	if !a.flags.json {
		a.Stdout = a.inert(a.Stdout)
	}
	return do(ctx, ship.EnvironmentOptions{Options: a.options, Environment: environment})
}

// document writes a value as JSON.
func (a *app) document(value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := a.Stdout.Write(bytes.ReplaceAll(text.Bytes(), []byte("##["), []byte(`##\u005b`))) // no command to a CI system
	return err
}

// table writes rows, the first of which names the columns.
func (a *app) table(rows [][]string) error {
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for i, row := range rows {
		if i == 0 {
			for j := range row {
				row[j] = strings.ToUpper(row[j])
			}
		}
		fmt.Fprintln(table, strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	return table.Flush()
}

// statusTable is what runs on each target.
func (a *app) statusTable(targets []ship.TargetStatus) error {
	rows := [][]string{{"target", "", "serves", "instances", "committed"}}
	var notes []string
	for _, t := range targets {
		mark := "ok"
		if !t.Well {
			mark = "!"
		}
		if t.Unseen != "" {
			rows = append(rows, []string{t.Name, mark, "cannot be seen"})
			notes = append(notes, t.Name+": "+t.Unseen)
			continue
		}
		serves, instances := []string{}, []string{}
		for _, slot := range t.Slots {
			if slot.Weight == 100 {
				serves = append(serves, slot.Release)
			} else if slot.Weight > 0 {
				serves = append(serves, fmt.Sprintf("%s %d%%", slot.Release, slot.Weight))
			}
			instances = append(instances, strings.TrimSpace(slot.Slot+" "+healthOf(slot.Health)))
		}
		rows = append(rows, []string{t.Name, mark, orNothing(serves), orNothing(instances), orNothing([]string{t.Committed})})
		for _, drift := range t.Drift {
			notes = append(notes, t.Name+": "+drift)
		}
		if t.Lease != "" {
			notes = append(notes, t.Name+": "+t.Lease+" is rolling out to it")
		}
	}
	if err := a.table(rows); err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(a.Stdout, note)
	}
	return nil
}

func healthOf(health string) string {
	if health == "" {
		return "not seen"
	}
	return health
}

func orNothing(texts []string) string {
	text := strings.Join(texts, ", ")
	if text == "" {
		return "nothing"
	}
	return text
}
