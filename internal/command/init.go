package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/git"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/scaffold"
	"github.com/slipway-ci/slipway/ci/ship"
)

const initHelp = `Writes slipway.yaml, made of what is inferred, with everything else that it can say switched off behind #; and what else is
asked for: a workflow for a CI system, a Makefile, a hook that verifies what is pushed. It asks nothing.

A file that is there and differs is kept, and the difference shown; --force replaces it. .gitignore gets a line for dist.
The files get Slipway by "go install", in the version of this program, or the latest where this is no released one.`

// initFlags say what is written beside slipway.yaml.
type initFlags struct {
	ci       string
	makefile bool
	hook     bool
	force    bool
}

func (a *app) init() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use: "init", Short: "Write slipway.yaml, and files for CI, make and git", Long: initHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.scaffold(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.ci, "ci", "", "write what this system needs to ship each push: github, gitlab, jenkins")
	flags.BoolVar(&f.makefile, "makefile", false, "write a Makefile whose targets are the verbs")
	flags.BoolVar(&f.hook, "hook", false, "install the hook that verifies what is pushed: slipway hook install")
	flags.BoolVar(&f.force, "force", false, "replace files that differ")
	return cmd
}

// scaffold decides what is written, writes it, and says so.
func (a *app) scaffold(ctx context.Context, f initFlags) error {
	ci := scaffold.CI(f.ci)
	if f.ci != "" && !slices.Contains(scaffold.Systems(), ci) {
		return &ship.UsageError{Message: fmt.Sprintf("--ci %s: there is github, gitlab, jenkins", f.ci)}
	}
	p, err := project.Load(ctx, project.Options{Source: a.options.Source, Unasked: true, PinnedGo: ship.PinnedGo, Getenv: a.Getenv})
	if err != nil {
		return err
	}
	place, err := a.place(ctx, p)
	if err != nil {
		return err
	}
	files, err := scaffold.Files(scaffold.Options{
		Project: p, Base: place.base, Dir: place.dir, CI: ci, Makefile: f.makefile, Slipway: Version(),
	})
	if err != nil {
		return err
	}
	changes, err := scaffold.Plan(os.DirFS(place.top), files, f.force)
	if err != nil {
		return &ship.UsageError{Message: err.Error()}
	}
	if err := scaffold.Write(place.top, changes); err != nil {
		return err
	}
	a.tellChanges(changes)
	if f.hook {
		if err := a.installHook(ctx); err != nil {
			return err
		}
	}
	if a.flags.json {
		return printJSON(a.Stdout, changes)
	}
	return nil
}

// place is where a project lies: the top of its repository, and its directory relative to that and to the project's root.
type place struct{ top, dir, base string }

func (a *app) place(ctx context.Context, p project.Project) (place, error) {
	source, err := filepath.Abs(a.options.Source)
	if err == nil {
		source, err = filepath.EvalSymlinks(source)
	}
	if err != nil {
		return place{}, fmt.Errorf("find the project: %w", err)
	}
	at := place{top: source}
	if g, err := git.New(source, a.Getenv); err == nil {
		top, err := g.Line(ctx, "rev-parse", "--show-toplevel")
		if err != nil {
			return place{}, err
		}
		if real, err := filepath.EvalSymlinks(filepath.FromSlash(top)); top != "" && err == nil {
			at.top = real
		}
	}
	at.dir, at.base = slashed(at.top, source), slashed(p.Root, source)
	return at, nil
}

// slashed is a directory relative to one above it.
func slashed(top, dir string) string {
	rel, err := filepath.Rel(top, dir)
	if err != nil {
		return "."
	}
	return filepath.ToSlash(rel)
}

// tellChanges says what became of each file, and shows how those differ that were there.
func (a *app) tellChanges(changes []scaffold.Change) {
	for _, c := range changes {
		what := string(c.State)
		switch c.State {
		case scaffold.Added:
			what += ": " + strings.Join(c.Lines, ", ")
		case scaffold.Kept:
			what += ": it differs; --force replaces it"
		}
		fmt.Fprintf(a.Stderr, "%s  %s\n", c.Path, what)
		if c.Diff != "" && c.State != scaffold.Added {
			fmt.Fprint(a.Stderr, c.Diff)
		}
	}
}
