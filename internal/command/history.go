package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/ship"
)

const historyHelp = `Shows who released what and when, and how it ended, the newest last. Each machine keeps its own history, in which each
line is chained to the one before: a changed one is named.`

func (a *app) history() *cobra.Command {
	return &cobra.Command{
		Use: "history ENVIRONMENT", Short: "Show who released what, when, and how it ended", Long: historyHelp, Args: oneEnvironment,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.look(cmd, args[0], func(ctx context.Context, o ship.EnvironmentOptions) error {
				past, err := ship.History(ctx, o)
				if err != nil {
					return err
				}
				if a.flags.json {
					return a.document(past)
				}
				return a.showHistory(past)
			})
		},
	}
}

// showHistory shows what is the same on all targets once.
func (a *app) showHistory(all []ship.Past) error {
	rows := [][]string{{"when", "what", "release", "outcome", "by", "on"}}
	seen := map[string]int{}
	for _, past := range all {
		for _, r := range past.Records {
			row := []string{r.At, string(r.Action), fmt.Sprintf("%s (%s)", r.Version, rollout.Short(r.Release)), string(r.Outcome), r.Actor, past.Target}
			key := fmt.Sprint(r.Seq, row[1:5])
			if i, ok := seen[key]; ok {
				rows[i][5] += ", " + past.Target
				continue
			}
			seen[key] = len(rows)
			rows = append(rows, row)
		}
	}
	if len(rows) == 1 {
		fmt.Fprintln(a.Stdout, "nothing was released yet")
	} else if err := a.table(rows); err != nil {
		return err
	}
	for _, past := range all {
		for _, note := range []string{past.Unseen, past.Broken} {
			if note != "" {
				fmt.Fprintln(a.Stdout, past.Target+": "+strings.ReplaceAll(note, "\n", " "))
			}
		}
	}
	return nil
}
