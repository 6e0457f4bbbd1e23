package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// What a Runner gets where it says nothing.
const (
	DefaultTTL          = 30 * time.Second
	DefaultStepDeadline = time.Minute
	DefaultUndoDeadline = 2 * time.Minute
	DefaultGrace        = 2 * time.Second
)

// beats is how many times a lease is renewed while it lasts.
const beats = 6

// Runner carries plans out. Driver and Owner must be set.
type Runner struct {
	Driver Driver
	Owner  string // who rolls out, as others are told: user, machine, process
	// Notify is told what happens, if it is set. It is called by one goroutine at a time.
	Notify func(Event)
	// Allow is asked once, with what was observed under the leases, if it is set: an error refuses before anything is changed.
	Allow func(context.Context, Observed) error
	// TTL is how long a lease lasts without a heartbeat. The default is 30 seconds.
	TTL time.Duration
	// StepDeadline ends a step that hangs. The default is a minute.
	StepDeadline time.Duration
	// UndoDeadline ends going back. The default is 2 minutes.
	UndoDeadline time.Duration
	// Grace is what a step gets to end after an interrupt. The default is 2 seconds.
	Grace time.Duration
}

// Run observes, plans and carries out, under a lease of each target. When ctx
// ends it goes back, as after a failed gate or an error. Running it again after
// anything at all, a crash too, goes on from what is there.
func (r Runner) Run(ctx context.Context, spec Spec) Result {
	r, spec = r.normalize(), spec.Normalize()
	if err := errors.Join(spec.Validate(), r.able(spec)); err != nil {
		return Result{Outcome: Refused, Cause: err}
	}
	run := &running{Runner: r, spec: spec}
	result := run.all(ctx)
	result.Steps = run.planned
	run.tell(Event{Phase: Finished, Text: string(result.Outcome), Err: result.Cause})
	return result
}

func (r Runner) normalize() Runner {
	r.TTL = cmp.Or(r.TTL, DefaultTTL)
	r.StepDeadline = cmp.Or(r.StepDeadline, DefaultStepDeadline)
	r.UndoDeadline = cmp.Or(r.UndoDeadline, DefaultUndoDeadline)
	r.Grace = cmp.Or(r.Grace, DefaultGrace)
	if r.Notify == nil {
		r.Notify = func(Event) {}
	}
	return r
}

// able says what is wanted and the driver cannot do.
func (r Runner) able(spec Spec) error {
	_, hooks := r.Driver.(Hooker)
	_, asks := r.Driver.(Asker)
	switch {
	case spec.Hooks.Any() && !hooks:
		return errors.New("hooks: this driver runs none: remove them")
	case spec.Gates.Synthetic.Path != "" && !asks:
		return errors.New("gates: synthetic: this driver sends no requests of ours: remove it")
	}
	return nil
}

// running is one rollout.
type running struct {
	Runner
	spec    Spec
	leases  *leases
	first   Observed // before anything
	settled Observed // what going back leads to
	planned []Step
	done    []Step // begun, the last ones perhaps without effect
	telling sync.Mutex
}

func (r *running) all(ctx context.Context) Result {
	held, err := r.acquire(ctx)
	if err != nil {
		return refuse(ctx, err)
	}
	r.leases = held
	defer r.giveBack(ctx)
	beating, stop := r.heartbeat(ctx)
	defer stop()
	steps, err := r.plan(beating)
	if err != nil {
		return refuse(ctx, err)
	}
	if err := r.execute(beating, steps); err != nil {
		return r.back(ctx, err)
	}
	return r.conclude(ctx, nil)
}

// refuse ends before anything was changed.
func refuse(ctx context.Context, cause error) Result {
	if ctx.Err() != nil {
		return Result{Outcome: Interrupted, Cause: cause}
	}
	return Result{Outcome: Refused, Cause: cause}
}

func (r *running) plan(ctx context.Context) ([]Step, error) {
	observed, err := r.observe(ctx)
	if err != nil {
		return nil, err
	}
	if r.Allow != nil {
		if err := r.Allow(ctx, observed); err != nil {
			return nil, err
		}
	}
	steps, err := Plan(r.spec, observed)
	if err != nil {
		return nil, err
	}
	r.first, r.settled, r.planned = observed, observed, steps
	for _, step := range steps {
		switch {
		case step.Settles:
			r.settled = After(r.settled, step)
		case step.Verb == Restart:
			r.settled = After(r.settled, inverse(step))
		}
	}
	r.tell(Event{Phase: Planned, Text: Text(steps)})
	return steps, nil
}

func (r *running) observe(ctx context.Context) (Observed, error) {
	ctx, cancel := context.WithTimeout(ctx, r.StepDeadline)
	defer cancel()
	observed, err := r.Driver.Observe(ctx, r.spec.Targets)
	if err != nil {
		return Observed{}, fmt.Errorf("observe %s: %w", r.spec.Environment, err)
	}
	return observed, nil
}

// execute does steps until one fails or ctx ends, those that belong together at
// once. What does not work after the commit is no reason to leave the rest.
func (r *running) execute(ctx context.Context, steps []Step) error {
	var left error
	for _, wave := range waves(forward(steps)) {
		if ctx.Err() != nil && !r.committing(ctx, wave) {
			return errors.Join(left, context.Cause(ctx))
		}
		err := r.wave(ctx, wave)
		left = errors.Join(left, err)
		if err != nil && !wave[0].afterwards() {
			return left
		}
	}
	return left
}

// wave does steps at once, and waits for all of them.
func (r *running) wave(ctx context.Context, wave []Step) error {
	r.done = append(r.done, wave...)
	errs := make([]error, len(wave))
	var steps sync.WaitGroup
	for i, step := range wave {
		steps.Go(func() {
			r.tell(Event{Phase: Beginning, Step: step})
			errs[i] = r.attempt(ctx, step)
			r.tell(Event{Phase: Ended, Step: step, Err: errs[i]})
		})
	}
	steps.Wait()
	return errors.Join(errs...)
}

// tell notifies, one event at a time.
func (r *running) tell(event Event) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.Notify(event)
}

// committing says whether steps are some of several commits that have begun.
// These are not interrupted: to end between them would leave two releases.
func (r *running) committing(ctx context.Context, wave []Step) bool {
	begun := slices.ContainsFunc(r.done, func(s Step) bool { return s.Verb == Prune })
	return begun && wave[0].Verb == Prune && !errors.Is(context.Cause(ctx), ErrFenced)
}

// attempt does a step. A commit that fails is asked for once more: with some
// targets committed and some not, there is no way back.
func (r *running) attempt(ctx context.Context, step Step) error {
	if step.Verb == Prune {
		return r.insist(ctx, step)
	}
	return r.do(ctx, step)
}

// do carries one step out. A gate ends with ctx. Anything else gets some time to
// end, as it is better to know what became of it.
func (r *running) do(ctx context.Context, step Step) error {
	if step.Verb == Gate {
		return r.gate(ctx, step)
	}
	deadline := r.StepDeadline
	if step.Verb == RunHook {
		deadline = time.Duration(step.Hook.Timeout)
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(r.Grace, cancel) })()
	if err := r.call(patient, step); err != nil {
		return fmt.Errorf("%s %s: %w", step.Verb, step.Target, err)
	}
	return nil
}

func (r *running) call(ctx context.Context, step Step) error {
	fence := r.leases.fence(step.Target)
	switch step.Verb {
	case Start, Restart:
		return r.Driver.Start(ctx, fence, step)
	case Shift:
		return r.Driver.Shift(ctx, fence, step)
	case Stop:
		return r.Driver.Stop(ctx, fence, step)
	case Prune:
		return r.Driver.Prune(ctx, fence, step)
	case RunHook:
		return r.Driver.(Hooker).Hook(ctx, fence, step)
	}
	return fmt.Errorf("there is no verb %q", step.Verb)
}
