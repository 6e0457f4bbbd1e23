package ship

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
)

// RollbackOptions say what is gone back to.
type RollbackOptions struct {
	Options
	Environment string
	To          string // a version or digest; "" is the good release before the last that was deployed
}

// Rollback goes back to a release that all targets still have: its program, configuration, environment and unit. It is a rollout like
// any other, with gates, and asking twice changes nothing the second time. Hooks do not run: a migration has no way back.
func Rollback(ctx context.Context, o RollbackOptions, observer report.Observer) (report.Run, error) {
	started := time.Now()
	var err error
	if o.Options, err = o.settled(); err == nil {
		err = o.bar(verbRollback)
	}
	if err != nil {
		return refusal(ctx, verbRollback, started, err)
	}
	p, e, err := environmentOf(ctx, o.Options, o.Environment)
	if err != nil {
		return refusal(ctx, verbRollback, started, err)
	}
	recorder := report.NewRecorder(opening(verbRollback, o.Options, p, started), observer, time.Now)
	return recorder.Finish(o.carryOut(ctx, e, recorder)), nil
}

func (o RollbackOptions) carryOut(ctx context.Context, e project.Environment, recorder *report.Recorder) int {
	stage := recorder.Stage(report.RolloutStage)
	r := &roller{DeployOptions: DeployOptions{Options: o.Options, Environment: o.Environment}, environment: e, report: recorder}
	f, err := r.wire(stage).open(ctx, e, nil)
	if err != nil {
		return r.fail(ctx, stage, err)
	}
	defer f.close()
	step := stage.Step("find release")
	wanted, err := goal(ctx, f, o.To)
	if err != nil {
		step.Cancel()
		return r.fail(ctx, stage, err)
	}
	step.Done(report.Result{Summary: wanted.Version + " (" + rollout.Short(wanted.Digest) + ")"})
	if len(e.Rollout.Hooks.Before) > 0 {
		recorder.Warn("hooks do not run in a rollback: data stays as the newer release has left it")
	}
	d := &delivery{options: o.Options, environment: e, report: recorder, fleet: f, action: rollout.Rollback, wanted: wanted}
	return d.carryOut(ctx, stage)
}

// goal is the release to go back to. All targets must have it.
func goal(ctx context.Context, f fleet, to string) (release, error) {
	all := f.standings(ctx)
	if err := unseen(all); err != nil {
		return release{}, err
	}
	if to == "" {
		last, err := lastGood(f.history(ctx), committed(all))
		if err != nil {
			return release{}, err
		}
		to = last.Release
	}
	everywhere := keepers(all)
	kept := make([]rollout.Kept, len(everywhere))
	for i, r := range everywhere {
		kept[i] = r.Kept
	}
	found, err := rollout.Find(kept, to)
	if err != nil {
		return release{}, fmt.Errorf("%w on all targets: slipway history shows what there was, and slipway deploy --release VERSION takes a published one", err)
	}
	for _, r := range everywhere {
		if r.Digest == found.Digest {
			return r, nil
		}
	}
	return release{}, errors.New("the release was there a moment ago")
}

// lastGood asks the histories, which agree unless targets were added: then the longest knows most. What runs may have been committed
// by a deployer that died before it wrote that down: then it counts as the last record. What the history knows was gone back to.
func lastGood(all []Past, runs string) (rollout.Record, error) {
	var longest Past
	for _, past := range all {
		if len(past.Records) > len(longest.Records) {
			longest = past
		}
	}
	good := slices.DeleteFunc(slices.Clone(longest.Records), func(r rollout.Record) bool { return r.Outcome != rollout.Done })
	if runs != "" && (len(good) == 0 || good[len(good)-1].Release != runs) {
		unwritten := rollout.Record{Release: runs, Action: rollout.Deploy, Outcome: rollout.Done}
		if slices.ContainsFunc(good, func(r rollout.Record) bool { return r.Release == runs }) {
			unwritten.Action = rollout.Rollback
		}
		good = append(good, unwritten)
	}
	return rollout.LastGood(good)
}

// committed is the release that all targets have committed, "" where they differ.
func committed(all []Standing) string {
	for _, s := range all {
		if s.Target.Committed != all[0].Target.Committed {
			return ""
		}
	}
	return all[0].Target.Committed
}
