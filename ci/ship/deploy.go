package ship

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/git"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
)

// DeployOptions say what is rolled out, and where to. Options.Force lets an older commit replace a newer one.
type DeployOptions struct {
	Options
	Environment string
	Variables   []string // NAME=value, which win over those of slipway.yaml
	Release     string   // a published version or digest; "" ships the project and takes that
	Trust       Trust    // with Release, whose signature counts where slipway.yaml signs without a key
}

// Deploy ships the project, which is cached, and rolls out exactly what was shipped. With Release it takes a published one, and
// builds nothing. Running it again after anything, a crash too, goes on from what is there; when nothing is to do, nothing is done.
func Deploy(ctx context.Context, o DeployOptions, observer report.Observer) (report.Run, error) {
	return rolling(ctx, o, verbDeploy, observer, func(ctx context.Context, r *roller) int { return r.deploy(ctx) })
}

// Planned is what a deploy would do.
type Planned struct {
	Environment string         `json:"environment"`
	Service     string         `json:"service"`
	Release     rollout.Kept   `json:"release"`
	Steps       []rollout.Step `json:"steps"`
	Text        string         `json:"text"` // the steps, for people
	Targets     []TargetStatus `json:"targets"`
	Warnings    []string       `json:"warnings"`
}

// Plan says what Deploy would do, from what is observed now. It builds what it has to, in a directory of its own, and changes
// nothing on the targets but that our helper is there.
func Plan(ctx context.Context, o DeployOptions, observer report.Observer) (Planned, report.Run, error) {
	var plan Planned
	run, err := rolling(ctx, o, verbPlan, observer, func(ctx context.Context, r *roller) int {
		var code int
		plan, code = r.plan(ctx)
		return code
	})
	return plan, run, err
}

// roller is what a verb that rolls out has in hand, once there is something to roll out.
type roller struct {
	DeployOptions
	environment project.Environment
	project     project.Project
	report      *report.Recorder
	content     content
}

// rolling prepares what is to be rolled out, built or published, and hands it on.
func rolling(ctx context.Context, o DeployOptions, verb Verb, observer report.Observer, then func(context.Context, *roller) int) (report.Run, error) {
	started := time.Now()
	var err error
	if o.Options, err = o.settled(); err == nil {
		err = o.bar(verb)
	}
	if err != nil {
		return refusal(ctx, verb, started, err)
	}
	p, e, err := environmentOf(ctx, o.Options, o.Environment)
	if err != nil {
		return refusal(ctx, verb, started, err)
	}
	c, err := told(ctx, o.Options, e, o.Variables)
	if err != nil {
		return refusal(ctx, verb, started, err)
	}
	r := &roller{DeployOptions: o, environment: e, project: p, content: c}
	if o.Release != "" {
		return r.published(ctx, verb, started, observer, then)
	}
	if verb == verbPlan {
		o.Options.Dist = filepath.Join(o.Cache, "plan", partDigest(o.Source)[len("sha256:"):][:16]) // a plan leaves dist as it is
		if err := os.MkdirAll(filepath.Dir(o.Options.Dist), 0o700); err != nil {
			return refusal(ctx, verb, started, fmt.Errorf("make a directory for the plan: %w", err))
		}
	}
	return runThen(ctx, verb, o.Options, observer, afterwards{hidden: c.hidden(), do: func(ctx context.Context, run *run) (int, error) {
		r.report = run.report
		var err error
		if r.content.programs, err = run.builtPrograms(e.App); err != nil {
			return ExitUsage, err
		}
		r.content.version, r.content.commit, r.content.binary = run.project.Version.Version, run.project.Version.Commit, e.App.Binary
		return then(ctx, r), nil
	}})
}

// environmentOf loads the project and finds one of its environments.
func environmentOf(ctx context.Context, o Options, name string) (project.Project, project.Environment, error) {
	p, err := project.Load(ctx, project.Options{Source: o.Source, Config: o.Config, Dist: o.Dist, PinnedGo: PinnedGo, Getenv: o.Getenv})
	if err != nil {
		return p, project.Environment{}, err
	}
	e, ok := p.Environment(name)
	if ok {
		return p, e, nil
	}
	var names []string
	for _, each := range p.Environments {
		names = append(names, each.Name)
	}
	if len(names) == 0 {
		return p, e, &UsageError{fmt.Sprintf("there is no environment %q: slipway.yaml has none; write one, such as\n\n"+
			"  environments:\n    %s:\n      hosts: [ssh://deploy@web1.example.org]\n\nand run it again", name, name)}
	}
	return p, e, &UsageError{fmt.Sprintf("there is no environment %q in slipway.yaml: there is %s", name, strings.Join(names, ", "))}
}

// wire is how the fleet is made.
func (r *roller) wire(stage *report.StageRecorder) wiring {
	return wiring{options: r.Options, stage: stage, lines: func(target, line string) { r.report.Note(target + " | " + line) }}
}

// deploy rolls out what is in hand.
func (r *roller) deploy(ctx context.Context) int {
	stage := r.report.Stage(report.RolloutStage)
	d, err := r.deliver(ctx, stage)
	if err != nil {
		return r.fail(ctx, stage, err)
	}
	defer d.fleet.close()
	step := stage.Step("check")
	warnings, err := d.fleet.check(ctx)
	if err != nil {
		step.Cancel()
		return r.fail(ctx, stage, err)
	}
	step.Done(report.Result{})
	for _, warning := range warnings {
		r.report.Warn(warning)
	}
	step = stage.Step("upload")
	if err := d.fleet.bring(ctx, step.Progress); err != nil {
		step.Cancel()
		return r.fail(ctx, stage, err)
	}
	step.Done(report.Result{Summary: rollout.Short(d.wanted.Digest)})
	return d.carryOut(ctx, stage)
}

// deliver makes the fleet, and what is wanted of it.
func (r *roller) deliver(ctx context.Context, stage *report.StageRecorder) (*delivery, error) {
	f, err := r.wire(stage).open(ctx, r.environment, &r.content)
	if err != nil {
		return nil, err
	}
	parts := f.release()
	d := &delivery{options: r.Options, environment: r.environment, report: r.report, fleet: f, action: rollout.Deploy,
		wanted: release{rollout.Kept{Digest: parts.Digest(), Version: r.content.version, Commit: r.content.commit}, parts}}
	d.allow = func(ctx context.Context, now rollout.Observed) error {
		return r.newer(ctx, d.wanted, now, f.standings(ctx))
	}
	return d, nil
}

// fail ends a rollout that could not begin.
func (r *roller) fail(ctx context.Context, stage *report.StageRecorder, err error) int {
	if ctx.Err() != nil {
		return ExitCode(ctx, report.Run{}, err)
	}
	code := ExitCode(ctx, report.Run{}, err)
	title, more, _ := strings.Cut(err.Error(), "\n")
	f := report.Failure{Title: title, Next: "nothing was changed: put it right, and run the same command again"}
	if more != "" {
		f.Tail = strings.Split(more, "\n")
	}
	stage.Fail(f)
	stage.Done("nothing was changed")
	return code
}

// plan says what deploy would do.
func (r *roller) plan(ctx context.Context) (Planned, int) {
	stage := r.report.Stage(string(verbPlan))
	d, err := r.deliver(ctx, stage)
	if err != nil {
		return Planned{}, r.fail(ctx, stage, err)
	}
	defer d.fleet.close()
	step := stage.Step("observe")
	warnings, err := d.fleet.check(ctx)
	all := d.fleet.standings(ctx)
	if err = errors.Join(err, unseen(all)); err != nil {
		step.Cancel()
		return Planned{}, r.fail(ctx, stage, err)
	}
	now := observedOf(all)
	if err := r.newer(ctx, d.wanted, now, all); err != nil {
		warnings = append(warnings, err.Error())
	}
	steps, err := rollout.Plan(d.spec(), now)
	if err != nil {
		step.Cancel()
		return Planned{}, r.fail(ctx, stage, err)
	}
	step.Done(report.Result{Summary: plural(len(all), "target")})
	stage.Done(plural(len(steps), "step"))
	return Planned{Environment: r.environment.Name, Service: r.environment.Service, Release: d.wanted.Kept, Steps: steps, Text: rollout.Text(steps),
		Targets: statusesOf(all, versionsOf(all, d.wanted)), Warnings: warnings}, ExitOK
}

func observedOf(all []Standing) rollout.Observed {
	var now rollout.Observed
	for _, s := range all {
		now.Targets = append(now.Targets, s.Target)
	}
	return now
}

// newer refuses what is older than what some target has committed, unless it is forced. Two jobs of CI may come in the wrong order.
func (r *roller) newer(ctx context.Context, wanted release, now rollout.Observed, all []Standing) error {
	if r.Force {
		return nil
	}
	for _, target := range now.Targets {
		for _, there := range standing(all, target.Name).Kept {
			if there.Digest != target.Committed || there.Digest == wanted.Digest {
				continue
			}
			if older(ctx, r.Options, wanted.Kept, there.Kept) {
				return fmt.Errorf("%s runs %s, which is newer than %s: slipway rollback %s --to %s goes back, and --force deploys it all the same",
					target.Name, there.Version, wanted.Version, r.environment.Name, wanted.Version)
			}
		}
	}
	return nil
}

// older says whether a release was made before another one: by the history of git, and where that does not know both, by their versions.
func older(ctx context.Context, o Options, wanted, there rollout.Kept) bool {
	if wanted.Commit != "" && there.Commit != "" {
		if wanted.Commit == there.Commit {
			return false
		}
		if g, err := git.New(o.Source, o.Getenv); err == nil {
			text, err := g.Line(ctx, "rev-list", "--left-right", "--count", wanted.Commit+"..."+there.Commit)
			counts := strings.Fields(text)
			if err == nil && len(counts) == 2 {
				ours, _ := strconv.Atoi(counts[0])
				theirs, _ := strconv.Atoi(counts[1])
				return ours == 0 && theirs > 0
			}
		}
	}
	before, known := rollout.Older(wanted.Version, there.Version)
	return known && before
}
