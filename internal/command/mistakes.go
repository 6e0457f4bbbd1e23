package command

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/ci/target"
)

// noArgs refuses what follows a verb. A verb with verbs below it was misspelt; to the others nothing can be given but flags.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasAvailableSubCommands() {
		return &ship.UsageError{Message: fmt.Sprintf("%s takes no arguments, and there is %q; %s", cmd.CommandPath(), args[0], insteadOf(cmd, args[0]))}
	}
	message := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	} else {
		message += "; see slipway --help"
	}
	return &ship.UsageError{Message: message}
}

// insteadOf is what an argument was probably meant as.
func insteadOf(cmd *cobra.Command, arg string) string {
	if _, err := target.Parse(arg); err == nil && cmd.Flags().Lookup("target") != nil {
		return "did you mean --target " + arg + "?"
	}
	return "see " + cmd.CommandPath() + " --help"
}

// flagMistake says in plain words what is wrong with a flag, and what would be right.
func flagMistake(cmd *cobra.Command, err error) string {
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
		lacking *pflag.ValueRequiredError
	)
	switch see := "see " + cmd.CommandPath() + " --help"; {
	case errors.As(err, &unknown):
		return fmt.Sprintf("unknown flag %s; %s", dashed(unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames()), cmp.Or(flagInstead(cmd, unknown.GetSpecifiedName()), see))
	case errors.As(err, &invalid):
		return fmt.Sprintf("--%s: %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), wantedBy(invalid.GetFlag()))
	case errors.As(err, &lacking):
		return fmt.Sprintf("--%s needs a value: %s", lacking.GetFlag().Name, lacking.GetFlag().Usage)
	}
	return err.Error()
}

func dashed(name, shorthands string) string {
	if shorthands != "" {
		return "-" + name
	}
	return "--" + name
}

// flagInstead is the flag that was probably meant, or the verbs that have it, or "".
func flagInstead(cmd *cobra.Command, name string) string {
	var verbs, near []string
	for _, verb := range cmd.Root().Commands() {
		if verb.LocalFlags().Lookup(name) != nil {
			verbs = append(verbs, verb.Name())
		}
	}
	if len(verbs) > 0 {
		return "it belongs to " + strings.Join(verbs, ", ")
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if len(name) > 2 && editDistance(name, flag.Name) <= 2 {
			near = append(near, "--"+flag.Name)
		}
	})
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(near, " or ") + "?"
}

// wantedBy is what a flag takes, for a value that it does not.
func wantedBy(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "bool":
		return "true or false"
	case "duration":
		return "a time such as 30m or 1h30m"
	}
	return "what it takes: " + flag.Usage
}

// editDistance counts letters that are inserted, deleted or replaced from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			row[j+1] = min(above[j+1], row[j]) + 1
			if a[i] == b[j] {
				row[j+1] = min(row[j+1], above[j])
			} else {
				row[j+1] = min(row[j+1], above[j]+1)
			}
		}
	}
	return row[len(b)]
}
