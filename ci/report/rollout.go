package report

import "slices"

// RolloutStage is the stage whose steps are those of a rollout.
const RolloutStage = "rollout"

// Rollout is what became of a rollout, and what runs on each target now.
type Rollout struct {
	Environment string          `json:"environment"`
	Service     string          `json:"service"`
	Action      string          `json:"action"` // deploy, rollback
	Strategy    string          `json:"strategy"`
	Release     string          `json:"release"` // digest of what was wanted
	Version     string          `json:"version"`
	Outcome     string          `json:"outcome"` // done, refused, rolled back, interrupted, stuck
	Reason      string          `json:"reason"`  // why it ended early
	Changed     bool            `json:"changed"` // there was something to do
	Plan        []string        `json:"plan"`
	Targets     []RolloutTarget `json:"targets"`
}

// RolloutTarget is what runs on one target.
type RolloutTarget struct {
	Name      string            `json:"name"`
	Wanted    bool              `json:"wanted"`    // the wanted release is committed there, and serves
	Committed string            `json:"committed"` // version and digest
	Running   []RolloutInstance `json:"running"`
	Unseen    string            `json:"unseen"` // why it could not be looked at
}

// RolloutInstance is one instance.
type RolloutInstance struct {
	Slot    string `json:"slot"`
	Version string `json:"version"` // and digest
	Release string `json:"release"`
	Health  string `json:"health"`
	Weight  int    `json:"weight"` // percent of the traffic
}

func (r Rollout) clone() Rollout {
	r.Plan, r.Targets = full(r.Plan), full(r.Targets)
	for i, t := range r.Targets {
		r.Targets[i].Running = full(t.Running)
	}
	return r
}

// Rollout adds a rollout, and returns it as the report keeps it.
func (r *Recorder) Rollout(rollout Rollout) Rollout {
	r.enter()
	defer r.mu.Unlock()
	rollout = r.rollout(rollout)
	if !r.closed {
		r.run.Rollouts = append(slices.Clone(r.run.Rollouts), rollout)
	}
	return rollout
}

// rollout hides what nobody may read.
func (r *Recorder) rollout(o Rollout) Rollout {
	o = o.clone()
	for _, s := range []*string{&o.Environment, &o.Service, &o.Action, &o.Strategy, &o.Release, &o.Version, &o.Outcome} {
		*s = r.line(*s)
	}
	o.Reason, o.Plan = r.text(o.Reason), r.lines(o.Plan)
	for i := range o.Targets {
		t := &o.Targets[i]
		t.Name, t.Committed, t.Unseen = r.line(t.Name), r.line(t.Committed), r.text(t.Unseen)
		for j := range t.Running {
			for _, s := range []*string{&t.Running[j].Slot, &t.Running[j].Version, &t.Running[j].Release, &t.Running[j].Health} {
				*s = r.line(*s)
			}
		}
	}
	return o
}
