package hook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/git"
)

// Update is a line that git gives a pre-push hook: a ref that is about to change on the remote. A commit of zeros is none: the ref
// is removed, or new.
type Update struct{ Local, Commit, Remote, Was string }

// ReadUpdates reads what git writes to the hook.
func ReadUpdates(r io.Reader) ([]Update, error) {
	var updates []Update
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 4 || !isObject(fields[1]) || !isObject(fields[3]) {
			return nil, fmt.Errorf("%q is not what git gives a pre-push hook: a ref, its commit, the remote's ref and its commit", lines.Text())
		}
		updates = append(updates, Update{fields[0], fields[1], fields[2], fields[3]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read what is pushed: %w", err)
	}
	return updates, nil
}

func isObject(name string) bool {
	return (len(name) == 40 || len(name) == 64) && strings.Trim(name, "0123456789abcdef") == ""
}

func isNone(object string) bool { return strings.Trim(object, "0") == "" }

// Push is a commit that the remote does not have yet.
type Push struct {
	Refs    []string // that will name it there
	Commit  string
	Base    string   // a commit that the remote has; "" when nothing is known there
	Changed []string // files that differ between the two, by their names in the repository
}

// Pushes finds out what there is to look at: the commits that are new to the remote, each with what it changes against the nearest
// thing that the remote is known to have. nothing says why other updates need no look.
func Pushes(ctx context.Context, g git.Git, remote string, updates []Update) (pushes []Push, nothing []string, err error) {
	for _, u := range updates {
		p, why, err := pushOf(ctx, g, remote, u)
		if err != nil {
			return nil, nil, fmt.Errorf("find out what is pushed: %w", err)
		}
		same := slices.IndexFunc(pushes, func(other Push) bool { return other.Commit == p.Commit })
		switch {
		case why != "":
			nothing = append(nothing, short(u.Remote)+" "+why)
		case same >= 0:
			pushes[same].Refs = append(pushes[same].Refs, short(u.Remote))
		default:
			pushes = append(pushes, p)
		}
	}
	return pushes, nothing, nil
}

func short(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/"} {
		if rest, ok := strings.CutPrefix(ref, prefix); ok {
			return rest
		}
	}
	return ref
}

// pushOf is what one update brings to the remote, or why that needs no look.
func pushOf(ctx context.Context, g git.Git, remote string, u Update) (p Push, nothing string, err error) {
	if isNone(u.Commit) {
		return p, "is removed", nil
	}
	commit, err := g.Line(ctx, "rev-parse", "--verify", "--quiet", u.Commit+"^{commit}")
	if err != nil {
		return p, "", err
	}
	if commit == "" {
		return p, "is no commit", nil
	}
	had, err := theirs(ctx, g, remote, u)
	if err != nil {
		return p, "", err
	}
	bases, isNew, err := boundary(ctx, g, commit, had)
	if err != nil {
		return p, "", err
	}
	if !isNew {
		return p, "brings no commit that " + remote + " does not have", nil
	}
	p = Push{Refs: []string{short(u.Remote)}, Commit: commit}
	return p, "", p.compare(ctx, g, bases)
}

// theirs are the arguments that leave out what the remote has: what it had of this ref, and what was last seen of its others.
func theirs(ctx context.Context, g git.Git, remote string, u Update) ([]string, error) {
	args := []string{"--not", "--remotes=" + remote}
	if isNone(u.Was) {
		return args, nil
	}
	was, err := g.Line(ctx, "rev-parse", "--verify", "--quiet", u.Was+"^{commit}")
	if was != "" { // else nobody has fetched it
		args = append(args, was)
	}
	return args, err
}

// mostBases is how many commits of the remote's are compared with.
const mostBases = 3

// boundary are the nearest commits of the remote's, and whether there is anything new before them.
func boundary(ctx context.Context, g git.Git, commit string, had []string) (bases []string, isNew bool, err error) {
	out, err := g.Run(ctx, append([]string{"rev-list", "--boundary", commit}, had...)...)
	for line := range strings.Lines(out) {
		base, isBase := strings.CutPrefix(strings.TrimSpace(line), "-")
		if isBase {
			bases = append(bases, base)
		} else {
			isNew = true
		}
	}
	if len(bases) > mostBases {
		bases = bases[:mostBases]
	}
	return bases, isNew, err
}

// compare keeps the base with the fewest differences: of all that the remote has, each is as good as another.
func (p *Push) compare(ctx context.Context, g git.Git, bases []string) error {
	for _, base := range bases {
		out, err := g.Run(ctx, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none", base, p.Commit, "--")
		var refused *git.RefusedError
		if errors.As(err, &refused) { // a shallow clone does not have it
			continue
		}
		if err != nil {
			return err
		}
		changed := strings.FieldsFunc(out, func(r rune) bool { return r == 0 })
		if p.Base == "" || len(changed) < len(p.Changed) {
			p.Base, p.Changed = base, changed
		}
	}
	return nil
}
