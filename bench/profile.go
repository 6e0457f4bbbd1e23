package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

// phase is a part of a run.
type phase struct {
	name string
	took time.Duration
	note string
}

// profiled is one run of ours, taken apart.
type profiled struct {
	state  string
	name   string
	wall   time.Duration
	phases []phase
}

// writeProfile takes runs of ours apart, in each state.
func (b *bench) writeProfile(ctx context.Context, doc *document) error {
	all := []contender{b.ours(slipwayBuild, "build")}
	if b.ship {
		all = append(all, b.ours(slipwayShip, "ship"))
	}
	l, err := b.findLine()
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := b.clone(ctx, c); err != nil {
			return err
		}
		states := []func(context.Context) (string, error){
			func(ctx context.Context) (string, error) { return cold, c.empty(ctx) },
			func(ctx context.Context) (string, error) { _, err := c.run(ctx); return nothing, err },
			func(context.Context) (string, error) { return oneLine, l.change(c.dir, unique(c.name, 0)) },
		}
		if b.cold == 0 {
			states = states[1:]
		}
		for _, set := range states {
			if err := b.profileOne(ctx, doc, c, set); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) profileOne(ctx context.Context, doc *document, c contender, set func(context.Context) (string, error)) error {
	state, err := set(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	u, err := c.run(ctx)
	if err != nil {
		return err
	}
	b.say("%-18s %-14s %8.2f s", state, c.name, u.wall.Seconds())
	var run report.Run
	if err := readJSON(filepath.Join(c.dir, "dist", "reports", "run.json"), &run); err != nil {
		return err
	}
	doc.profile(profiled{state: state, name: c.name, wall: u.wall, phases: phases(run, started, u.wall)})
	return nil
}

// phases takes a run apart. Stages run side by side: each is told from its own begin to its own end.
func phases(run report.Run, started time.Time, wall time.Duration) []phase {
	all := []phase{{"start, read the project", run.Started.Sub(started), "before the report begins"}}
	for _, stage := range run.Stages {
		if stage.Name == "build" {
			all = append(all, buildPhases(stage)...)
			continue
		}
		all = append(all, phase{stage.Name, stage.Duration.Std(), stage.Summary})
		for _, step := range stage.Steps {
			all = append(all, phase{"· " + step.Title(), stepTook(step), string(step.Status)})
		}
	}
	end := run.Started.Add(run.Duration.Std())
	return append(all, phase{"write the report, end", wall - end.Sub(started), "after the report's last word"})
}

// buildPhases takes the build stage apart: what is known of the time between its steps.
func buildPhases(stage report.Stage) []phase {
	if len(stage.Steps) == 0 {
		return []phase{{"build", stage.Duration.Std(), ""}}
	}
	first, last := stage.Steps[0].Started, stage.Steps[0].Started
	var commands time.Duration
	for _, step := range stage.Steps {
		if step.Started.Before(first) {
			first = step.Started
		}
		if end := step.Started.Add(stepTook(step)); end.After(last) {
			last = end
		}
		commands += stepTook(step)
	}
	all := []phase{
		{"build", stage.Duration.Std(), stage.Summary},
		{"· upload, inputs", first.Sub(stage.Started), "the tree, inbox, go list"},
	}
	for _, step := range stage.Steps {
		all = append(all, phase{"· " + step.Title(), stepTook(step), string(step.Status)})
	}
	rest := stage.Duration.Std() - first.Sub(stage.Started)
	return append(all,
		phase{"· from the first target to the end", rest, "commands, containers, export, checks"},
		phase{"· commands, all together", commands, "two at once on two cores"})
}

// stepTook is the time that a step's command took in this run.
func stepTook(step report.Step) time.Duration {
	return step.Duration.Std()
}
