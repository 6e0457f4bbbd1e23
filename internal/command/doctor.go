package command

import (
	"fmt"
	"os"
	"os/exec"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/ship"
)

// doctor shows each need of each engine choice, found or not, with the fix as a command to paste. It ends with exit code 3
// when no engine can be had.
func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Show what each engine needs, what is missing, and the fix", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.checkEngine(); err != nil {
				return err
			}
			cache, err := ship.CacheDir(a.Getenv)
			if err != nil {
				return err
			}
			own := ship.EmbeddedOptions(cache, a.Getenv, func(string) {})
			own.Self = []string{self()}
			groups := engine.Diagnose(cmd.Context(), a.options.Engine, a.Getenv, self(), func() []engine.Need {
				return needs(embedded.Needs(cmd.Context(), own))
			})
			usable := engine.Usable(groups, a.options.Engine, a.Getenv)
			groups = append(groups, testRoot())
			if a.flags.json {
				err = printJSON(a.Stdout, groups)
			} else {
				err = a.showDiagnosis(groups)
			}
			if err == nil && !usable {
				a.exit(ship.ExitNoEngine)
				fmt.Fprintf(a.Stderr, "slipway: %s: see the fixes above (exit %d)\n", unusable(a.options.Engine), ship.ExitNoEngine)
			}
			return err
		},
	}
}

// self is how a shell calls this program: its name where PATH has it, else its path.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "slipway"
	}
	if found, err := exec.LookPath("slipway"); err == nil && sameFile(found, path) {
		return "slipway"
	}
	return path
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// unusable says what a run would end with.
func unusable(want string) string {
	if want == "" || want == engine.WantAuto {
		return "no engine can be used"
	}
	return "--engine " + want + " cannot be used, and a named engine is never replaced by another one"
}

// testRoot is what the race detector and cgo need beside an engine.
func testRoot() engine.Diagnosis {
	need := engine.Need{Name: debian.Command, Found: true, Detail: "assembles the Debian root in which tests run"}
	if err := debian.Available(); err != nil {
		need.Found, need.Detail, need.Fix = false, err.Error(), "apt-get update && apt-get install -y "+debian.Package
	}
	return engine.Diagnosis{Engine: "the race detector and cgo", Usable: need.Found, Needs: []engine.Need{need}}
}

func needs(found []embedded.Need) []engine.Need {
	list := make([]engine.Need, len(found))
	for i, n := range found {
		list[i] = engine.Need{Name: n.Name, Found: n.Found, Detail: n.Detail, Fix: n.Fix}
	}
	return list
}

// showDiagnosis writes a table for each engine. What is missing is followed by its fix, on a line of its own to be pasted.
func (a *app) showDiagnosis(groups []engine.Diagnosis) error {
	for i, g := range groups {
		if i > 0 {
			fmt.Fprintln(a.Stdout)
		}
		verdict := "cannot be used"
		if g.Usable {
			verdict = "can be used"
		}
		fmt.Fprintf(a.Stdout, "%s: %s\n", g.Engine, verdict)
		if err := a.showNeeds(g.Needs); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) showNeeds(needs []engine.Need) error {
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for _, n := range needs {
		mark := "ok"
		if !n.Found {
			mark = "missing"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", mark, n.Name, n.Detail)
		if !n.Found && n.Fix != "" {
			fmt.Fprintf(table, "  \tfix\t%s\n", n.Fix)
		}
	}
	return table.Flush()
}
