package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
)

const (
	// ExitRolledBack: the rollout failed, and everything is back as it was. ExitStuck: a person is needed.
	ExitRolledBack = 4
	ExitStuck      = 5

	recordTime = 20 * time.Second // for writing the history
)

// delivery is one rollout, whether of something new or of something old.
type delivery struct {
	options     Options
	environment project.Environment
	report      *report.Recorder
	fleet       fleet
	action      rollout.Action
	wanted      release
	allow       func(context.Context, rollout.Observed) error
}

// spec is what is wanted. A rollback runs no hooks: they belong to what is deployed, and a migration has no way back.
func (d *delivery) spec() rollout.Spec {
	s := d.environment.Rollout
	s.Targets, s.Release = d.fleet.targets(), d.wanted.parts
	if d.action == rollout.Rollback {
		s.Hooks = rollout.Hooks{}
	}
	return s
}

// carryOut rolls out, writes down how it ended, tells who wants to know, and returns the exit code.
func (d *delivery) carryOut(ctx context.Context, stage *report.StageRecorder) int {
	before := d.fleet.standings(ctx)
	teller := &teller{stage: stage, report: d.report, steps: map[string]*report.StepRecorder{}}
	step := stepDeadline(d.environment)
	runner := rollout.Runner{Driver: d.fleet, Owner: d.options.actor(), Notify: teller.tell, Allow: d.allow, StepDeadline: step, UndoDeadline: 2 * step}
	result := runner.Run(ctx, d.spec())
	if result.Outcome == rollout.Interrupted && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		result.Outcome = rollout.RolledBack // nobody asked for it: the time was over
	}
	d.explain(stage, teller, result)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	outcome := d.report.Rollout(d.outcome(before, result))
	d.writeDown(after, result)
	d.notify(after, outcome)
	stage.Done(summaryOf(outcome, result))
	return result.Outcome.ExitCode()
}

// commandDeadline is for one command of a user's: it may be a playbook that uploads what it starts.
const commandDeadline = 15 * time.Minute

// stepDeadline is how long one step may take: to stop an instance takes as long as its requests and its own end.
func stepDeadline(e project.Environment) time.Duration {
	if e.Driver == project.CommandDriver {
		return commandDeadline
	}
	deadline := rollout.DefaultStepDeadline + e.Drain
	if service := e.App.Service; service != nil {
		deadline += service.Grace
	}
	return deadline
}

// writeDown records a rollout that did something.
func (d *delivery) writeDown(ctx context.Context, result rollout.Result) {
	if len(result.Steps) == 0 || result.Outcome == rollout.Refused {
		return
	}
	record := rollout.Record{Actor: d.options.actor(), Action: d.action, Release: d.wanted.Digest, Version: d.wanted.Version, Commit: d.wanted.Commit,
		Outcome: result.Outcome, Parts: d.wanted.parts}
	if result.Cause != nil {
		record.Reason, _, _ = strings.Cut(result.Cause.Error(), "\n")
	}
	if err := d.fleet.record(ctx, d.fleet.targets(), record); err != nil {
		d.report.Warn("the history was not written everywhere: " + err.Error())
	}
}

// outcome is the rollout as the report keeps it: with what runs on each target, whatever was wanted.
func (d *delivery) outcome(before []Standing, result rollout.Result) report.Rollout {
	out := report.Rollout{
		Environment: d.environment.Name, Service: d.environment.Service, Action: string(d.action), Strategy: string(d.environment.Rollout.Strategy),
		Release: d.wanted.Digest, Version: d.wanted.Version, Outcome: string(result.Outcome), Changed: len(result.Steps) > 0,
	}
	for _, step := range result.Steps {
		out.Plan = append(out.Plan, step.String())
	}
	if result.Cause != nil {
		out.Reason = result.Cause.Error()
	}
	versions := versionsOf(before, d.wanted)
	for _, name := range d.fleet.targets() {
		target := result.Observed.Target(name)
		row := report.RolloutTarget{Name: name, Unseen: target.Unseen, Committed: versions.of(target.Committed), Wanted: target.Committed == d.wanted.Digest && target.Serves(d.wanted.Digest)}
		if result.Outcome == rollout.Refused {
			row.Unseen = "" // nothing was changed, and nothing was looked at again
			target = standing(before, name).Target
			row.Committed = versions.of(target.Committed)
		}
		for _, slot := range target.Slots {
			row.Running = append(row.Running, report.RolloutInstance{Slot: slot.Name, Version: versions.of(slot.Release), Release: slot.Release, Health: string(slot.Health), Weight: slot.Weight})
		}
		out.Targets = append(out.Targets, row)
	}
	return out
}

func standing(all []Standing, name string) Standing {
	for _, s := range all {
		if s.Target.Name == name {
			return s
		}
	}
	return Standing{}
}

// versions are those of releases, by digest.
type versions map[string]string

func versionsOf(all []Standing, more ...release) versions {
	known := versions{}
	for _, s := range all {
		for _, r := range s.Kept {
			known[r.Digest] = r.Version
		}
	}
	for _, r := range more {
		known[r.Digest] = r.Version
	}
	return known
}

// of names a release for people: its version, and the beginning of its digest, because one version may have several configurations.
func (v versions) of(digest string) string {
	if digest == "" {
		return ""
	}
	if version := v[digest]; version != "" {
		return version + " (" + rollout.Short(digest) + ")"
	}
	return rollout.Short(digest)
}

func summaryOf(out report.Rollout, result rollout.Result) string {
	where := plural(len(out.Targets), "target")
	switch result.Outcome {
	case rollout.Done:
		if !out.Changed {
			return fmt.Sprintf("%s runs on %s already", out.Version, where)
		}
		return fmt.Sprintf("%s runs on %s", out.Version, where)
	case rollout.Refused:
		return "nothing was changed"
	}
	return string(result.Outcome)
}

// explain makes the cards of a rollout that did not go well, and warnings of what is left of one that did.
func (d *delivery) explain(stage *report.StageRecorder, teller *teller, result rollout.Result) {
	switch result.Outcome {
	case rollout.Done:
		if result.Cause != nil {
			d.report.Warn("it is live everywhere, but something is left, which the next rollout tidies up: " + result.Cause.Error())
		}
	case rollout.Interrupted:
	case rollout.Stuck:
		stage.Fail(d.stuckCard(result))
	default:
		if !teller.failed {
			stage.Fail(causeCard(d.environment.Name, result))
		}
	}
}

func causeCard(environment string, result rollout.Result) report.Failure {
	text := "it did not end"
	if result.Cause != nil {
		text = result.Cause.Error()
	}
	title, more, _ := strings.Cut(text, "\n")
	f := report.Failure{Title: title}
	if more != "" {
		f.Tail = strings.Split(more, "\n")
	}
	var held *rollout.HeldError
	switch {
	case errors.As(result.Cause, &held):
		f.Next = "run the same command again when it is done; a lease ends by itself, and needs no unlocking"
	case result.Outcome == rollout.Refused:
		f.Next = "nothing was changed: put it right, and run the same command again"
	default:
		f.Next = "everything is back as it was: slipway status " + environment + " shows it"
	}
	return f
}

// stuckCard says what is where, so that a person can decide.
func (d *delivery) stuckCard(result rollout.Result) report.Failure {
	f := report.Failure{Title: "a person is needed", Next: fmt.Sprintf("look at the targets (slipway status %[1]s, slipway logs %[1]s), then run the same command again: it goes on from what is there", d.environment.Name)}
	if result.Cause != nil {
		f.Tail = strings.Split(result.Cause.Error(), "\n")
	}
	if result.Unseen {
		f.Tail = append(f.Tail, "the targets could not be looked at: those that can go back by themselves, once their lease is over")
	}
	return f
}

// teller puts what happens into the report.
type teller struct {
	stage  *report.StageRecorder
	report *report.Recorder
	mu     sync.Mutex
	steps  map[string]*report.StepRecorder
	failed bool
}

func (t *teller) tell(e rollout.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Phase {
	case rollout.Planned:
		if strings.Contains(e.Text, "left by another rollout") {
			t.report.Note("an interrupted rollout was found: it is settled first")
		}
	case rollout.Beginning:
		t.steps[e.Step.String()] = t.stage.Step(stepName(e.Step))
	case rollout.Looking:
		if step := t.steps[e.Step.String()]; step != nil {
			step.Progress(e.Text)
		}
	case rollout.Undoing:
		t.steps["back "+e.Step.String()] = t.stage.Step("back: " + stepName(e.Step))
	case rollout.Ended:
		if e.Step.Verb == "" {
			t.report.Note(e.Text)
			return
		}
		t.end(e.Step.String(), e)
	case rollout.Undone:
		t.end("back "+e.Step.String(), e)
	}
}

func (t *teller) end(key string, e rollout.Event) {
	step := t.steps[key]
	if step == nil {
		return
	}
	delete(t.steps, key)
	switch {
	case e.Err == nil:
		step.Done(report.Result{Summary: stepSummary(e.Step)})
	case errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, context.DeadlineExceeded) && e.Step.Verb == rollout.Gate:
		step.Cancel()
	case t.failed:
		step.Done(report.Result{Status: report.Warned, Summary: e.Err.Error()})
	default:
		t.failed = true
		step.Fail(stepCard(e))
	}
}

// stepName is a step in a few words: what is the same on each run.
func stepName(s rollout.Step) string {
	switch {
	case s.Verb == rollout.Gate && s.Check.Kind == rollout.Starting:
		return "healthy " + where(s.Check.On)
	case s.Verb == rollout.Gate:
		return "watch " + where(s.Check.On)
	case s.Verb == rollout.Prune:
		return "commit " + s.Target
	case s.Verb == rollout.RunHook:
		return "hook " + string(s.Hook.When)
	}
	return string(s.Verb) + " " + s.Target
}

func where(on []rollout.Place) string {
	names := make([]string, len(on))
	for i, place := range on {
		names[i] = place.Target
	}
	if len(names) > 3 {
		return fmt.Sprintf("%d targets", len(names))
	}
	return strings.Join(names, ", ")
}

func stepSummary(s rollout.Step) string {
	switch s.Verb {
	case rollout.Gate:
		if s.Check.Kind == rollout.Watching {
			return "for " + shortTime(time.Duration(s.Check.For))
		}
		return fmt.Sprintf("%d times in a row", s.Check.Gates.Times)
	case rollout.Shift:
		return s.To.String()
	case rollout.RunHook:
		return strings.Join(s.Hook.Command, " ")
	case rollout.Prune:
		return rollout.Short(s.Release)
	}
	return rollout.Short(s.Release) + " in " + s.Slot
}

// shortTime is 5m0s as 5m.
func shortTime(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// stepCard has the evidence: what was answered, what the log says.
func stepCard(e rollout.Event) report.Failure {
	var gate *rollout.GateError
	var hook *rollout.HookError
	switch {
	case errors.As(e.Err, &gate):
		return gateCard(e.Step.Check, gate.Verdict)
	case errors.As(e.Err, &hook):
		return report.Failure{Title: hook.Error(), Command: e.Step.Hook.Command, Tail: hook.Output, ExitCode: hook.ExitCode, Next: "traffic stays with the old release: put it right, and deploy again"}
	}
	title, more, _ := strings.Cut(e.Err.Error(), "\n")
	f := report.Failure{Title: title}
	if more != "" {
		f.Tail = strings.Split(more, "\n")
	}
	return f
}

func gateCard(c *rollout.Check, v rollout.Verdict) report.Failure {
	f := report.Failure{Title: fmt.Sprintf("%s: %s", v.Place.Target, v.Reason), Next: "the old release has the traffic: put the new one right, and deploy again"}
	switch {
	case c.Kind == rollout.Starting:
		f.Title = fmt.Sprintf("%s did not get healthy within %s: %s", v.Place.Target, shortTime(time.Duration(c.Deadline)), v.Reason)
	case v.Decision == rollout.Unknown:
		f.Cause = "it was not known in time whether the release does well, and what is not known is not taken for good"
		if strings.Contains(v.Reason, "too few") {
			f.Next = "send it traffic, or have gates.synthetic send some; or let its health decide: gates: {noTraffic: pass-on-health}"
		}
	}
	for _, sample := range append(slices.Clone(v.Seen), v.Evidence) {
		f.Tail = append(f.Tail, sampleText(sample))
	}
	if len(v.Evidence.Log) > 0 {
		f.Tail = append(f.Tail, "", "the last lines of its log:")
		f.Tail = append(f.Tail, v.Evidence.Log...)
	}
	return f
}

// sampleText is what was seen once, as a line.
func sampleText(s rollout.Sample) string {
	parts := []string{cmp.Or(string(s.Health), "not seen")}
	if s.Answer != "" {
		parts = append(parts, strings.ReplaceAll(s.Answer, "\n", " "))
	}
	if s.Requests > 0 {
		parts = append(parts, fmt.Sprintf("%d requests, %d failed, p99 %s", s.Requests, s.Errors, time.Duration(s.P99).Round(time.Millisecond)))
	}
	if s.Memory > 0 {
		parts = append(parts, fmt.Sprintf("memory %.0f%%", 100*s.Memory))
	}
	if s.Restarts > 0 {
		parts = append(parts, fmt.Sprintf("%d restarts", s.Restarts))
	}
	return strings.Join(parts, " · ")
}

// keepers is every release that all targets have.
func keepers(all []Standing) []release {
	count := map[string]int{}
	var known []release
	for _, s := range all {
		for _, r := range s.Kept {
			if count[r.Digest]++; count[r.Digest] == 1 {
				known = append(known, r)
			}
		}
	}
	return slices.DeleteFunc(known, func(r release) bool { return count[r.Digest] < len(all) })
}

// unseen says which targets could not be looked at, or nil.
func unseen(all []Standing) error {
	missing := map[string]string{}
	for _, s := range all {
		if s.Target.Unseen != "" {
			missing[s.Target.Name] = s.Target.Unseen
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		errs = append(errs, fmt.Errorf("%s cannot be seen: %s", name, missing[name]))
	}
	return errors.Join(errs...)
}
