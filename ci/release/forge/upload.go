package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// The defaults of Options.
const (
	DefaultDeadline      = 15 * time.Minute
	DefaultBackoff       = time.Second
	DefaultMaxBackoff    = 30 * time.Second
	DefaultMaxRetryAfter = time.Minute
)

// Options are how an upload is done. The zero value is fine.
type Options struct {
	Deadline      time.Duration // for all of it
	Backoff       time.Duration // at most so long before the first repetition; it doubles
	MaxBackoff    time.Duration
	MaxRetryAfter time.Duration // longer waits that the forge asks for are cut to this
	Observe       func(Event)   // is told what happens; nil: nobody
	OnFile        func(File)    // is told of each file that the release has, as soon as it has it; nil: nobody
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&o.Deadline, DefaultDeadline}, {&o.Backoff, DefaultBackoff}, {&o.MaxBackoff, DefaultMaxBackoff}, {&o.MaxRetryAfter, DefaultMaxRetryAfter}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	if o.OnFile == nil {
		o.OnFile = func(File) {}
	}
	return o
}

// Upload publishes a release, or completes one. See the package's guarantees.
func Upload(ctx context.Context, f Forge, r Release, o Options) (Result, error) {
	if err := r.check(); err != nil {
		return Result{}, err
	}
	o = o.withDefaults()
	u := &upload{forge: f, release: r, options: o, began: time.Now()}
	err := u.run(ctx)
	return u.result, err
}

// upload is one call of Upload.
type upload struct {
	forge   Forge
	release Release
	options Options
	began   time.Time
	state   State
	assets  []Asset // as far as known
	unsure  bool    // something failed since they were listed
	result  Result
}

func (u *upload) run(ctx context.Context) error {
	steps := []step{{"check tag " + u.release.Tag, u.checkTag}, {"find release " + u.release.Tag, u.find}, {"list files of release " + u.release.Tag, u.list}}
	for _, file := range u.release.Files {
		steps = append(steps, step{"upload " + file.Name, func(ctx context.Context) error { return u.bring(ctx, file) }})
	}
	for _, s := range append(steps, step{"publish release " + u.release.Tag, u.publish}) {
		if err := u.try(ctx, s.what, s.do); err != nil {
			return err
		}
	}
	return nil
}

// step is one thing that is tried until it succeeds.
type step struct {
	what string
	do   func(context.Context) error
}

func (u *upload) checkTag(ctx context.Context) error {
	commit, err := u.forge.TagCommit(ctx, u.release.Tag)
	if err == nil && commit != "" && commit != u.release.Commit {
		return &TagError{Tag: u.release.Tag, Want: u.release.Commit, Have: commit}
	}
	return err
}

// find takes the release that is there, or makes a draft. It looks first at
// every try: one that failed may have made it.
func (u *upload) find(ctx context.Context) error {
	found, err := u.forge.Find(ctx, u.release.Tag)
	if err != nil {
		return err
	}
	if found != nil {
		u.state = *found
	} else {
		if u.state, err = u.forge.Create(ctx, u.release); err != nil {
			return err
		}
		u.result.Created = true
		u.options.Observe(Event{Text: "made a draft"})
	}
	u.result.URL = u.state.URL
	return nil
}

func (u *upload) list(ctx context.Context) (err error) {
	u.assets, err = u.forge.Assets(ctx, u.state.ID)
	u.unsure = err != nil
	return err
}

// bring makes a file be there. When it fails, nobody knows what the forge has
// of it, so the next try begins with a look.
func (u *upload) bring(ctx context.Context, file File) error {
	if u.unsure {
		if err := u.list(ctx); err != nil {
			return err
		}
	}
	have := find(file.Name, u.assets)
	choice := decide(file, have, u.state.Draft)
	if choice == compare {
		digest, err := u.forge.Digest(ctx, *have)
		if err != nil {
			return err
		}
		have.Digest = digest
		choice = decide(file, have, u.state.Draft)
	}
	switch choice {
	case skip:
		u.result.There = append(u.result.There, file.Name)
		u.options.OnFile(file)
		return nil
	case refuse:
		return &ConflictError{Tag: u.release.Tag, File: file.Name, Want: file.Digest, Have: cmp.Or(have.Digest, fmt.Sprintf("%d bytes", have.Size))}
	case replace:
		u.unsure = true
		if err := u.forge.Remove(ctx, have.ID); err != nil {
			return err
		}
		if !slices.Contains(u.result.Replaced, file.Name) {
			u.result.Replaced = append(u.result.Replaced, file.Name)
		}
	}
	u.unsure = true
	return u.send(ctx, file)
}

func (u *upload) send(ctx context.Context, file File) error {
	u.options.Observe(Event{File: file.Name, Text: "sending"})
	content, err := open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	asset, err := u.forge.Send(ctx, u.state.ID, file.Name, file.Size, io.LimitReader(content, file.Size))
	if err != nil {
		return err
	}
	if choice := decide(file, &asset, false); choice != skip && choice != compare || asset.Name != file.Name {
		return &TemporaryError{Cause: fmt.Errorf("the forge has %q with %d bytes and digest %q, not what was sent (%d bytes, %s)", asset.Name, asset.Size, asset.Digest, file.Size, file.Digest)}
	}
	u.assets, u.unsure = append(u.assets, asset), false
	u.result.Sent = append(u.result.Sent, file.Name)
	u.options.OnFile(file)
	return nil
}

// publish is the last request. A release that is visible stays as it is.
func (u *upload) publish(ctx context.Context) error {
	u.result.Others = others(u.release.Files, u.assets)
	if u.state.Draft {
		state, err := u.forge.Publish(ctx, u.state.ID, u.release)
		if err != nil {
			return err
		}
		u.state, u.result.Published, u.result.URL = state, true, state.URL
	}
	return nil
}

// try repeats an attempt until it succeeds, fails for good, or the deadline
// comes.
func (u *upload) try(ctx context.Context, what string, attempt func(context.Context) error) error {
	end := u.began.Add(u.options.Deadline)
	limited, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	var last error // that says more than "the time is over"
	for n := 1; ; n++ {
		err := attempt(limited)
		var temporary *TemporaryError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case limited.Err() != nil:
			return &DeadlineError{What: what, Tries: n, After: u.options.Deadline, Cause: cmp.Or(last, err)}
		case !errors.As(err, &temporary):
			return fmt.Errorf("%s: %w", what, err)
		}
		last = err
		wait := u.options.wait(n, temporary.After)
		if time.Now().Add(wait).After(end) {
			return &DeadlineError{What: what, Tries: n, After: u.options.Deadline, Cause: err}
		}
		u.options.Observe(Event{Text: what + ": " + err.Error(), Try: n + 1, Wait: wait})
		if pause(ctx, wait) != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}

// wait is the time before another try: what the forge asks for, and a random
// part of a bound that doubles.
func (o Options) wait(n int, asked time.Duration) time.Duration {
	bound := min(o.Backoff<<min(n-1, 20), o.MaxBackoff)
	return min(asked, o.MaxRetryAfter) + time.Duration(rand.Float64()*float64(bound)) //nolint:gosec // only spreads load
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
