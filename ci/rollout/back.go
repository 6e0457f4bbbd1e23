package rollout

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// back undoes what was done, if that is still possible. Also after a lease was
// lost: that target refuses all writes and goes back by itself, the others do not.
func (r *running) back(ctx context.Context, cause error) Result {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.UndoDeadline)
	defer cancel()
	if err := r.undo(own); err != nil {
		cause = errors.Join(cause, err)
	}
	if err := r.lament(own); err != nil {
		cause = errors.Join(cause, err)
	}
	return r.conclude(ctx, cause)
}

// lament runs the hook for a rollout that failed.
func (r *running) lament(ctx context.Context) error {
	var failed error
	for _, step := range r.planned {
		if step.onFailure() {
			failed = errors.Join(failed, r.undoing(ctx, step, r.do))
		}
	}
	return failed
}

func (r *running) undo(ctx context.Context) error {
	now, err := r.observeInsisting(ctx)
	if err != nil {
		return err
	}
	steps, stuck := Undo(r.begun(now), now)
	failed := map[string]bool{}
	for _, wave := range waves(steps) {
		wave = slices.DeleteFunc(wave, func(s Step) bool { return failed[s.Target] })
		errs := make([]error, len(wave))
		var all sync.WaitGroup
		for i, step := range wave {
			all.Go(func() { errs[i] = r.undoing(ctx, step, r.insist) })
		}
		all.Wait()
		for i, step := range wave {
			failed[step.Target] = errs[i] != nil
		}
		stuck = errors.Join(append(errs, stuck)...)
	}
	return stuck
}

func (r *running) undoing(ctx context.Context, step Step, do func(context.Context, Step) error) error {
	r.tell(Event{Phase: Undoing, Step: step})
	err := do(ctx, step)
	r.tell(Event{Phase: Undone, Step: step, Err: err})
	return err
}

// begun leaves out a Prune that had no effect: it can still be undone around.
func (r *running) begun(now Observed) []Step {
	return slices.DeleteFunc(slices.Clone(r.done), func(s Step) bool {
		target := now.Target(s.Target)
		return s.Verb == Prune && target.Unseen == "" && target.Committed != s.Release
	})
}

func (r *running) observeInsisting(ctx context.Context) (Observed, error) {
	now, err := r.observe(ctx)
	if err != nil && ctx.Err() == nil {
		return r.observe(ctx)
	}
	return now, err
}

// insist does a step once more when it fails, as each is idempotent.
func (r *running) insist(ctx context.Context, step Step) error {
	err := r.do(ctx, step)
	if err != nil && ctx.Err() == nil {
		err = r.do(ctx, step)
	}
	return err
}

// conclude looks at what runs, which alone says how it ended.
func (r *running) conclude(ctx context.Context, cause error) Result {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.StepDeadline)
	defer cancel()
	result := Result{Outcome: Stuck, Cause: cause}
	var gate *GateError
	if errors.As(cause, &gate) {
		result.Verdict = &gate.Verdict
	}
	now, err := r.observeInsisting(own)
	if err != nil {
		result.Unseen, result.Cause = true, errors.Join(cause, err)
		return result
	}
	result.Observed, result.Outcome = now, r.outcome(now, ctx.Err() != nil)
	return result
}

func (r *running) outcome(now Observed, interrupted bool) Outcome {
	wanted, targets := r.spec.Release.Digest(), r.spec.Targets
	switch {
	case !slices.ContainsFunc(targets, func(name string) bool {
		target := now.Target(name)
		return target.Committed != wanted || !target.Serves(wanted)
	}):
		return Done
	case !sameTraffic(now, r.first, targets) && !sameTraffic(now, r.settled, targets):
		return Stuck
	case interrupted:
		return Interrupted
	}
	return RolledBack
}
