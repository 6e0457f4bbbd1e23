package ship

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/slipway-ci/slipway/ci/git"
	"github.com/slipway-ci/slipway/ci/hook"
	"github.com/slipway-ci/slipway/ci/reach"
	"github.com/slipway-ci/slipway/ci/report"
)

// PushOptions say what is about to be pushed, and how long it may be looked at. Source is in the repository that it is pushed from.
type PushOptions struct {
	Options
	Push   hook.Push
	Budget time.Duration // 0: what slipway.yaml says
	Began  time.Time     // of the push, which may bring several commits: all of them share the budget. Zero: now
}

// VerifyPush verifies a commit that is about to be pushed: its own files, not those that lie in the work tree, and of these no more
// than what has changed against the remote and what depends on that. When the time is over, what was not looked at is said, and
// the push may go on: whatever receives it looks at all of it.
//
// The work tree is not touched, and neither is its dist. A commit without a go.mod has nothing to look at.
func VerifyPush(ctx context.Context, o PushOptions, observer report.Observer) (report.Run, error) {
	began := o.Began
	if began.IsZero() {
		began = time.Now()
	}
	options, err := o.settled()
	if err != nil {
		return refusal(ctx, Verify, began, err)
	}
	place, err := pushPlace(ctx, options)
	if err == nil {
		defer place.unlock()
		err = place.git.Mirror(ctx, place.repository, o.Push.Commit, place.clone())
	}
	if err != nil {
		err = fmt.Errorf("get the files of commit %s: %w", o.Push.Commit, err)
		return refusal(ctx, Verify, began, err)
	}
	options.Source, options.Dist = filepath.Join(place.clone(), place.source), filepath.Join(place.dir, "dist")
	if !hasModule(options.Source) {
		return nothingToVerify(o.Push, began, observer), nil
	}
	options.push = &pending{Push: o.Push, top: place.clone(), budget: o.Budget, began: began}
	return Run(ctx, Verify, options, observer)
}

// hasModule tells whether there is something in a directory that slipway would look at.
func hasModule(dir string) bool {
	for _, pattern := range []string{"go.mod", "go.work", "slipway.yaml", "*/go.mod", "*/*/go.mod", "*/*/*/go.mod"} {
		if found, _ := fs.Glob(os.DirFS(dir), pattern); len(found) > 0 { // the patterns are well-formed
			return true
		}
	}
	return false
}

// nothingToVerify is the report of a commit without Go, such as one of pages alone.
func nothingToVerify(p hook.Push, began time.Time, observer report.Observer) report.Run {
	r := report.NewRecorder(report.Run{Verb: string(Verify), Project: strings.Join(p.Refs, ", "), Commit: p.Commit, Started: began}, observer, time.Now)
	stage := r.Stage("verify")
	stage.Step("packages").Done(report.Result{Status: report.NotChecked, Summary: "there is no Go module in commit " + p.Commit})
	stage.Done("")
	return r.Finish(ExitOK)
}

// place is where pushes of one repository are looked at: in Slipway's cache, so that the engine knows all but what has changed.
type place struct {
	git        git.Git
	repository string // that is cloned
	source     string // the project's directory in it
	dir        string
	lock       *flock.Flock
}

func (p place) clone() string { return filepath.Join(p.dir, "src") }
func (p place) unlock()       { _ = p.lock.Unlock() }

// pushPlace makes the place and waits until it is free.
func pushPlace(ctx context.Context, o Options) (place, error) {
	var p place
	source, err := filepath.EvalSymlinks(o.Source)
	if err != nil {
		return p, err
	}
	if p.git, err = git.New(source, o.Getenv); err != nil {
		return p, err
	}
	top, err := p.git.Run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return p, err
	}
	if p.source, err = filepath.Rel(filepath.FromSlash(strings.TrimSuffix(top, "\n")), source); err != nil {
		return p, err
	}
	common, err := p.git.Run(ctx, "rev-parse", "--git-common-dir") // work trees share it
	if err != nil {
		return p, err
	}
	if p.repository = filepath.FromSlash(strings.TrimSuffix(common, "\n")); !filepath.IsAbs(p.repository) {
		p.repository = filepath.Join(source, p.repository)
	}
	p.dir = filepath.Join(o.Cache, "push", fmt.Sprintf("%.8x", sha256.Sum256([]byte(p.repository+"\x00"+p.source))))
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return p, err
	}
	if p.dir, err = filepath.EvalSymlinks(p.dir); err != nil { // as the project's root is: the two are compared
		return p, fmt.Errorf("find the cache for pushes: %w", err)
	}
	p.lock = flock.New(filepath.Join(p.dir, "lock"))
	_, err = p.lock.TryLockContext(ctx, 200*time.Millisecond)
	return p, err
}

// pending narrows a run of verify.
type pending struct {
	hook.Push
	top    string // of the commit's files
	budget time.Duration
	began  time.Time
}

// errOver ends what is still at work when the time of a push is over.
var errOver = errors.New("the time budget is over")

// reached finds out what the push reaches, and says so.
func (r *run) reached(ctx context.Context) error {
	p := r.options.push
	if p == nil {
		return nil
	}
	r.report.Fact(report.Fact{What: "pushed", Value: strings.Join(p.Refs, ", "), Why: "commit " + p.Commit})
	if p.Base == "" {
		r.report.Fact(report.Fact{What: "reached", Value: "everything", Why: "nothing is known of what the remote has"})
		return nil
	}
	root, err := os.OpenRoot(r.project.Root)
	if err != nil {
		return fmt.Errorf("read the packages: %w", err)
	}
	defer root.Close()
	tree, err := reach.Read(ctx, root.FS(), hostArch(), r.project.Go.Version)
	if err != nil {
		return err
	}
	found := tree.Reach(p.names(r.project.Root))
	r.only = &found
	r.report.Fact(p.fact(found))
	return nil
}

// names are the changed files relative to the root. What is outside of it stays as it is, and belongs to no package.
func (p *pending) names(root string) []string {
	prefix, err := filepath.Rel(p.top, root)
	if err != nil || prefix == "." || !filepath.IsLocal(prefix) { // what cannot be compared is no reason to look at less
		return p.Changed
	}
	names := make([]string, len(p.Changed))
	for i, name := range p.Changed {
		inside, ok := strings.CutPrefix(name, filepath.ToSlash(prefix)+"/")
		if names[i] = inside; !ok {
			names[i] = path.Join("..", name)
		}
	}
	return names
}

func (p *pending) fact(found reach.Reach) report.Fact {
	changed, dependents, whole := 0, 0, ""
	for _, part := range found.Modules {
		changed, dependents = changed+len(part.Changed), dependents+len(part.Dependents)
		if part.Whole != "" {
			whole = ": " + part.Whole
		}
	}
	return report.Fact{
		What: "reached", Value: plural(changed+dependents, "package"),
		Why: fmt.Sprintf("%s changed against commit %.12s, which the remote has, in %s; %d more depend on them%s", plural(len(p.Changed), "file"), p.Base, plural(changed, "package"), dependents, whole),
	}
}

// nothingReached ends a run that has nothing to look at, and says what was not looked at.
func (r *run) nothingReached() bool {
	if r.only == nil || len(r.only.Modules) > 0 {
		return false
	}
	stage := r.report.Stage("verify")
	stage.Step("packages").Done(report.Result{Status: report.NotChecked, Summary: "no Go package has changed, and none depends on what has"})
	stage.Done("")
	return true
}

// inTime is the time that a run has: a push may not be held up for longer than its budget.
func (r *run) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	p := r.options.push
	if p == nil {
		return ctx, func() {}
	}
	budget := p.budget
	if budget == 0 {
		budget = r.project.Hook.Budget
	}
	ctx, cancel := context.WithDeadlineCause(ctx, p.began.Add(budget), errOver)
	r.over = func() string {
		if errors.Is(context.Cause(ctx), errOver) {
			return "the " + spoken(budget) + " that a push may take are over (hook.budget)"
		}
		return ""
	}
	return ctx, cancel
}

// spoken is a time as people write it: 2m and not 2m0s.
func spoken(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// unready says that the time was over before anything could be looked at.
func (r *run) unready(err error) bool {
	if !errors.Is(err, errOver) {
		return false
	}
	r.report.Warn("nothing was checked: the engine was not ready within the time that a push may take (hook.budget); slipway verify makes it ready, and checks everything")
	return true
}
