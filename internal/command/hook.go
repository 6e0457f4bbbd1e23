package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/git"
	"github.com/slipway-ci/slipway/ci/hook"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

const hookHelp = `A hook that verifies what is pushed: the files of the pushed commit, whatever lies in the work tree; the packages that have
changed against what the remote has, and those that depend on them. What fails stops the push. What is not checked is said.

A push is held up no longer than hook.budget in slipway.yaml says, two minutes without it; then it goes on. "git push --no-verify"
pushes without the hook.`

const hookRunHelp = `What git calls before a push, with the remote's name and address; which refs are pushed is on standard input. A hook of your own
calls it with the line:

  slipway hook run -- "$@" || exit 1`

func (a *app) hook() *cobra.Command {
	cmd := &cobra.Command{Use: "hook", Short: "Verify what is pushed, before it is", Long: hookHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	install := &cobra.Command{
		Use: "install", Short: "Put the pre-push hook into this repository", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.installHook(cmd.Context()) },
	}
	uninstall := &cobra.Command{
		Use: "uninstall", Short: "Take it out again", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.uninstallHook(cmd.Context()) },
	}
	var budget time.Duration
	run := &cobra.Command{
		Use: "run [REMOTE [ADDRESS]]", Short: "Verify what is about to be pushed; git calls it", Long: hookRunHelp, Args: remoteArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runHook(cmd, append(args, "origin")[0], budget)
		},
	}
	run.Flags().DurationVar(&budget, "budget", 0, "let the push go on after this time (default: hook.budget in slipway.yaml, else 2m)")
	cmd.AddCommand(install, uninstall, run)
	return cmd
}

// hookPlace is where this repository has its hook, and the project's directory in it.
func (a *app) hookPlace(ctx context.Context) (at hook.Place, dir string, err error) {
	source, err := filepath.Abs(a.options.Source)
	if err == nil {
		source, err = filepath.EvalSymlinks(source)
	}
	if err != nil {
		return at, "", &ship.UsageError{Message: err.Error()}
	}
	g, err := git.New(source, a.Getenv)
	if err != nil {
		return at, "", &ship.UsageError{Message: err.Error()}
	}
	if at, err = hook.Find(ctx, g); err != nil {
		return at, "", refusal(err)
	}
	top, err := g.Line(ctx, "rev-parse", "--show-toplevel")
	return at, slashed(top, source), err
}

func (a *app) installHook(ctx context.Context) error {
	at, dir, err := a.hookPlace(ctx)
	if err != nil {
		return err
	}
	written, err := hook.Install(at, hook.Script{Program: lasting(os.Executable()), Args: hookArgs(dir)})
	switch {
	case err != nil:
		return refusal(err)
	case written:
		fmt.Fprintf(a.Stderr, "%s  installed: each push is verified first; slipway engine start makes the engine ready for it\n", at.File)
	default:
		fmt.Fprintf(a.Stderr, "%s  is installed\n", at.File)
	}
	return nil
}

func (a *app) uninstallHook(ctx context.Context) error {
	at, _, err := a.hookPlace(ctx)
	if err != nil {
		return err
	}
	removed, err := hook.Uninstall(at)
	switch {
	case err != nil:
		return refusal(err)
	case removed:
		fmt.Fprintf(a.Stderr, "%s  removed\n", at.File)
	default:
		fmt.Fprintf(a.Stderr, "%s  is not there\n", at.File)
	}
	return nil
}

func hookArgs(dir string) []string {
	if dir == "." {
		return nil
	}
	return []string{"-C", dir}
}

// runCache is where go run keeps what it has built, until it was not run for some days.
var runCache = regexp.MustCompile(`[/\\][0-9a-f]{2}[/\\][0-9a-f]{64}-d[/\\][^/\\]+$`)

// lasting is the path of a program that will still be there: not one that go run or a test has made for itself.
func lasting(path string, err error) string {
	if err != nil || strings.HasPrefix(path, os.TempDir()+string(filepath.Separator)) || runCache.MatchString(path) {
		return ""
	}
	return path
}

// refusal is wrong usage where the hook package says no.
func refusal(err error) error {
	var refused *hook.RefusedError
	if errors.As(err, &refused) {
		return &ship.UsageError{Message: err.Error()}
	}
	return err
}

// runHook looks at each commit that is pushed, one after the other, until one fails.
func (a *app) runHook(cmd *cobra.Command, remote string, budget time.Duration) error {
	if budget < 0 {
		return &ship.UsageError{Message: fmt.Sprintf("--budget %s: less than no time", budget)}
	}
	updates, err := hook.ReadUpdates(a.stdin())
	if err != nil {
		return &ship.UsageError{Message: err.Error()}
	}
	g, err := git.New(a.options.Source, a.Getenv)
	if err != nil {
		return err
	}
	pushes, nothing, err := hook.Pushes(cmd.Context(), g, remote, updates)
	if err != nil {
		return err
	}
	for _, why := range nothing {
		fmt.Fprintf(a.Stderr, "slipway: nothing to verify: %s\n", why)
	}
	began := time.Now()
	for _, p := range pushes {
		err := a.show(cmd, func(ctx context.Context, observer report.Observer) (report.Run, error) {
			return ship.VerifyPush(ctx, ship.PushOptions{Options: a.options, Push: p, Budget: budget, Began: began}, observer)
		})
		if err != nil || *a.code != ship.ExitOK {
			return err
		}
	}
	return nil
}

// stdin is empty where there is none.
func (a *app) stdin() io.Reader {
	if a.Stdin == nil {
		return strings.NewReader("")
	}
	return a.Stdin
}

// remoteArgs are what git gives a pre-push hook.
func remoteArgs(_ *cobra.Command, args []string) error {
	if len(args) > 2 {
		return &ship.UsageError{Message: fmt.Sprintf("slipway hook run takes a remote and its address, not %d arguments", len(args))}
	}
	return nil
}
