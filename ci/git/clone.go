package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// unhooked keeps the hooks of a user's own configuration from running in a clone that is not the user's.
var unhooked = []string{"-c", "core.hooksPath=/dev/null"}

// Clone makes to, which is not there yet, a clone of a repository with one commit checked out. It shares nothing with the other.
func (g Git) Clone(ctx context.Context, from, commit, to string) error {
	return g.clone(ctx, "--no-hardlinks", from, commit, to)
}

func (g Git) clone(ctx context.Context, how, from, commit, to string) error {
	if _, err := g.In(filepath.Dir(to)).Run(ctx, append(unhooked[:2:2], "clone", "-q", "--no-checkout", how, "--", from, to)...); err != nil {
		return err
	}
	return g.In(to).checkout(ctx, commit)
}

func (g Git) checkout(ctx context.Context, commit string) error {
	_, err := g.Run(ctx, append(unhooked[:2:2], "checkout", "-q", "--force", "--detach", commit)...)
	return err
}

// Mirror makes to a clone with one commit checked out, and nothing else in it. It borrows the other's objects, and writes only files
// that differ from those of the commit that it had before.
func (g Git) Mirror(ctx context.Context, from, commit, to string) error {
	err := g.renew(ctx, commit, to)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("begin the clone anew: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("make a place for the clone: %w", err)
	}
	return g.clone(ctx, "--shared", from, commit, to)
}

// renew fails where there is no clone, or one that an interrupt has left behind. git is told where it is: left to itself, it would look
// further up, and could find a repository that is not ours.
func (g Git) renew(ctx context.Context, commit, to string) error {
	at := append(unhooked[:2:2], "--git-dir="+filepath.Join(to, ".git"), "--work-tree="+to)
	for _, args := range [][]string{
		{"fetch", "-q", "--force", "--no-auto-maintenance", "origin", "refs/tags/*:refs/tags/*"},
		{"checkout", "-q", "--force", "--detach", commit},
		{"clean", "-q", "-ffdx"},
	} {
		if _, err := g.In(filepath.Dir(to)).Run(ctx, append(at[:len(at):len(at)], args...)...); err != nil {
			return err
		}
	}
	return nil
}
