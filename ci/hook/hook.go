// Package hook puts a pre-push hook into a git repository, takes it out again, and finds out what a push brings to a remote.
//
// A hook of somebody else's is never touched: what is ours says so, with a digest of itself, so that a changed one is not ours any
// more.
package hook

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/git"
	"github.com/slipway-ci/slipway/ci/report"
)

// Script is what the hook runs.
type Script struct {
	Program string   // absolute path of slipway, used while it is there; "" for the one on PATH
	Args    []string // of hook run
}

const marker = "# slipway-hook sha256:"

// Text is the script.
func (s Script) Text() string {
	body := `#!/bin/sh
# Made by "slipway hook install"; "slipway hook uninstall" removes it.
# Verifies what is pushed. "git push --no-verify" pushes without it.
program=` + report.Shell(s.Program) + `
if [ ! -x "$program" ]; then
	program=$(command -v slipway) || {
		echo "slipway: nothing is verified, because slipway is not on PATH; install it, or remove $0 (git push --no-verify pushes without it)" >&2
		exit 1
	}
fi
exec "$program" hook run ` + report.Shell(append(append([]string{}, s.Args...), "--")...) + ` "$@"
`
	return body + marker + digest(body) + "\n"
}

func digest(body string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(body))) }

// owner says whose a hook is.
type owner int

const (
	nobodys owner = iota
	ours
	changed // it was ours, and somebody has changed it
	somebodys
)

// ownerOf reads a hook.
func ownerOf(text string) owner {
	i := strings.LastIndex(text, marker)
	if i < 0 {
		return somebodys
	}
	if text[i:] != marker+digest(text[:i])+"\n" {
		return changed
	}
	return ours
}

// RefusedError says why a hook is left as it is, and what to do.
type RefusedError struct{ Message string }

func (e *RefusedError) Error() string { return e.Message }

// Place is where a repository has its pre-push hook.
type Place struct {
	File   string // absolute
	Shared bool   // it is one for all repositories of this user
	InTree bool   // it lies among the sources, and goes to others with them
}

// Find asks git for the place: core.hooksPath, else the hooks of the repository, which its work trees share.
func Find(ctx context.Context, g git.Git) (Place, error) {
	top, err := g.Run(ctx, "rev-parse", "--show-toplevel")
	var refused *git.RefusedError
	if errors.As(err, &refused) {
		return Place{}, &RefusedError{"this is no git repository: run git init first (git says: " + refused.Error() + ")"}
	}
	if err != nil {
		return Place{}, err
	}
	dir := filepath.FromSlash(strings.TrimSuffix(top, "\n"))
	out, err := g.In(dir).Run(ctx, "rev-parse", "--git-path", "hooks")
	if err != nil {
		return Place{}, fmt.Errorf("find the hooks: %w", err)
	}
	hooks := filepath.FromSlash(strings.TrimSuffix(out, "\n"))
	if !filepath.IsAbs(hooks) {
		hooks = filepath.Join(dir, hooks)
	}
	p := Place{File: filepath.Join(hooks, "pre-push")}
	scope, err := g.In(dir).Line(ctx, "config", "--show-scope", "--get", "core.hooksPath")
	if err != nil || scope == "" {
		return p, err
	}
	kind, _, _ := strings.Cut(scope, "\t")
	p.Shared = kind == "global" || kind == "system"
	rel, err := filepath.Rel(dir, hooks)
	p.InTree = err == nil && filepath.IsLocal(rel) && !strings.HasPrefix(rel, ".git"+string(filepath.Separator))
	return p, nil
}

// Install writes the hook, and says whether there was anything to do.
func Install(p Place, s Script) (written bool, err error) {
	if p.InTree {
		s.Program = "" // others have it elsewhere
	}
	text := s.Text()
	old, whose, err := p.read()
	switch {
	case err != nil:
		return false, err
	case p.Shared:
		return false, &RefusedError{p.File + " would run for all repositories of this user (core.hooksPath in git's global configuration)\n  add this line to it: " + s.line() +
			"\n  or give this repository hooks of its own: git config core.hooksPath .git/hooks"}
	case whose == somebodys:
		return false, &RefusedError{"there is a hook already, which is not ours: " + p.File + "\n  add this line to it: " + s.line()}
	case whose == changed:
		return false, &RefusedError{p.File + " was made by slipway and changed since\n  remove it, and install again"}
	case old == text:
		return false, nil
	case whose == ours && verified(old) != verified(text):
		return false, &RefusedError{p.File + " verifies another project of this repository\n  remove it (slipway hook uninstall) and install again, or write a hook of your own that runs slipway for both"}
	}
	return true, p.write(text)
}

// verified is the part of a script that says which project it looks at.
func verified(text string) string {
	_, rest, _ := strings.Cut(text, `exec "$program" `)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// line is what somebody adds to a hook of their own. git's lines are on the hook's standard input, which only one can read.
func (s Script) line() string {
	return report.Shell(append([]string{"slipway", "hook", "run"}, append(s.Args, "--")...)...) + ` "$@" || exit 1`
}

// Uninstall removes the hook, and says whether there was one.
func Uninstall(p Place) (removed bool, err error) {
	_, whose, err := p.read()
	switch {
	case err != nil:
		return false, err
	case whose == nobodys:
		return false, nil
	case whose == somebodys:
		return false, &RefusedError{p.File + " is not ours: it stays"}
	case whose == changed:
		return false, &RefusedError{p.File + " was made by slipway and changed since: it stays\n  remove it by hand, if you do not need it"}
	}
	if err := os.Remove(p.File); err != nil {
		return false, fmt.Errorf("remove the hook: %w", err)
	}
	return true, nil
}

// read gives the hook and whose it is. What is no regular file is somebody's.
func (p Place) read() (string, owner, error) {
	info, err := os.Lstat(p.File)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nobodys, nil
	}
	if err != nil {
		return "", nobodys, fmt.Errorf("look at the hook: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", somebodys, nil
	}
	data, err := os.ReadFile(p.File)
	if err != nil {
		return "", nobodys, fmt.Errorf("read the hook: %w", err)
	}
	return string(data), ownerOf(string(data)), nil
}

// write puts the hook into its place, whole.
func (p Place) write(text string) (err error) {
	if err := os.MkdirAll(filepath.Dir(p.File), 0o755); err != nil {
		return fmt.Errorf("make a directory for hooks: %w", err)
	}
	part := p.File + ".slipway"
	if err = os.WriteFile(part, []byte(text), 0o755); err == nil {
		if err = os.Chmod(part, 0o755); err == nil {
			err = os.Rename(part, p.File)
		}
	}
	if err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("write the hook: %w", err)
	}
	return nil
}
