package ship

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
)

// EnvironmentOptions name an environment to look at.
type EnvironmentOptions struct {
	Options
	Environment string
	Lines       func(target, line string) // what logs print
}

// Status is what runs in an environment.
type Status struct {
	Environment string         `json:"environment"`
	Service     string         `json:"service"`
	Well        bool           `json:"well"` // the same release runs everywhere, healthy, and nothing is different from how it was left
	Targets     []TargetStatus `json:"targets"`
}

// TargetStatus is what runs on a target. Releases are named by version and the beginning of their digest.
type TargetStatus struct {
	Name      string           `json:"name"`
	Well      bool             `json:"well"`
	Committed string           `json:"committed,omitempty"`
	Slots     []InstanceStatus `json:"instances"`
	Keeps     []rollout.Kept   `json:"keeps"`
	Lease     string           `json:"lease,omitempty"` // who rolls out at the moment
	Drift     []string         `json:"drift,omitempty"`
	Unseen    string           `json:"unseen,omitempty"`
}

// InstanceStatus is one instance.
type InstanceStatus struct {
	Slot    string `json:"slot"`
	Release string `json:"release"`
	Health  string `json:"health"`
	Weight  int    `json:"weight"`
}

// look opens an environment without anything to roll out.
func look(ctx context.Context, o *EnvironmentOptions) (fleet, project.Environment, error) {
	var err error
	if o.Options, err = o.settled(); err != nil {
		return nil, project.Environment{}, err
	}
	_, e, err := environmentOf(ctx, o.Options, o.Environment)
	if err != nil {
		return nil, e, err
	}
	quiet := report.NewRecorder(report.Run{}, nil, time.Now)
	lines := o.Lines
	if lines == nil {
		lines = func(string, string) {}
	}
	f, err := wiring{options: o.Options, stage: quiet.Stage("look"), lines: lines}.open(ctx, e, nil)
	return f, e, err
}

// Look says what runs in an environment now.
func Look(ctx context.Context, o EnvironmentOptions) (Status, error) {
	f, e, err := look(ctx, &o)
	if err != nil {
		return Status{}, err
	}
	defer f.close()
	return statusOf(e, f.standings(ctx)), nil
}

func statusOf(e project.Environment, all []Standing) Status {
	s := Status{Environment: e.Name, Service: e.Service, Targets: statusesOf(all, versionsOf(all)), Well: len(all) > 0}
	for i, t := range s.Targets {
		s.Well = s.Well && t.Well && all[i].Target.Committed == all[0].Target.Committed
	}
	return s
}

func (s Status) rolling() bool {
	return slices.ContainsFunc(s.Targets, func(t TargetStatus) bool { return t.Lease != "" })
}

func statusesOf(all []Standing, known versions) []TargetStatus {
	statuses := []TargetStatus{}
	for _, s := range all {
		t := TargetStatus{Name: s.Target.Name, Committed: known.of(s.Target.Committed), Drift: s.Drift, Unseen: s.Target.Unseen, Slots: []InstanceStatus{}, Keeps: []rollout.Kept{},
			Well: s.Target.Committed != "" && s.Target.Serves(s.Target.Committed) && len(s.Drift) == 0 && s.Target.Unseen == ""}
		for _, slot := range s.Target.Slots {
			t.Slots = append(t.Slots, InstanceStatus{Slot: slot.Name, Release: known.of(slot.Release), Health: string(slot.Health), Weight: slot.Weight})
		}
		for _, r := range s.Kept {
			t.Keeps = append(t.Keeps, r.Kept)
		}
		if lease := s.Target.Lease; lease.Owner != "" {
			t.Lease = lease.Owner
		}
		statuses = append(statuses, t)
	}
	return statuses
}

// History is who released what, and when, as each target has it.
func History(ctx context.Context, o EnvironmentOptions) ([]Past, error) {
	f, _, err := look(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	past := f.history(ctx)
	for i := range past {
		if past[i].Records == nil {
			past[i].Records = []rollout.Record{}
		}
	}
	return past, nil
}

// Logs tells the last lines of the log of all targets, and with follow what comes after them, until ctx ends.
func Logs(ctx context.Context, o EnvironmentOptions, tail int, follow bool) error {
	f, _, err := look(ctx, &o)
	if err != nil {
		return err
	}
	defer f.close()
	return f.logs(ctx, tail, follow)
}

// watchWindow is how many looks a watch judges by.
const watchWindow = 60

// Watch looks again and again, with the gates of the environment, until ctx ends. Each time is told; who wants to know of rollouts is told
// when it stops to do well, and when it does well again.
func Watch(ctx context.Context, o EnvironmentOptions, every time.Duration, tell func(Status)) error {
	f, e, err := look(ctx, &o)
	if err != nil {
		return err
	}
	defer f.close()
	w := watcher{fleet: f, environment: e, gates: watchGates(e), samples: map[rollout.Place][]rollout.Sample{}}
	teller := newNotifier(ctx, o.Options, e)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	well, first := true, true
	for {
		now := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		tell(now)
		// While a rollout goes on, traffic is with what is not committed yet. It has gates, and tells how it ended, itself.
		if !now.rolling() {
			if now.Well != well && (!first || !now.Well) {
				teller.tell(ctx, statusMessage(now))
			}
			well, first = now.Well, false
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// watchGates are the gates for something that runs already: without requests, its health is all there is to say.
func watchGates(e project.Environment) rollout.Check {
	spec := e.Rollout
	spec.Gates.NoTraffic = rollout.PassOnHealth
	return rollout.Check{Kind: rollout.Watching, Gates: spec.Normalize().Gates}
}

type watcher struct {
	fleet       fleet
	environment project.Environment
	gates       rollout.Check
	samples     map[rollout.Place][]rollout.Sample
}

// look is one look: what runs, and what the gates say of it. Only what fails counts; what is not known was said before.
func (w *watcher) look(ctx context.Context) Status {
	all := w.fleet.standings(ctx)
	now := statusOf(w.environment, all)
	for i, s := range all {
		for _, slot := range s.Target.Slots {
			if slot.Weight == 0 {
				continue
			}
			verdict := w.judge(ctx, rollout.Place{Target: s.Target.Name, Slot: slot.Name, Release: slot.Release})
			if verdict.Decision == rollout.Fail {
				now.Well, now.Targets[i].Well = false, false
				now.Targets[i].Drift = append(now.Targets[i].Drift, fmt.Sprintf("%s: %s", slot.Name, verdict.Reason))
			}
		}
	}
	return now
}

func (w *watcher) judge(ctx context.Context, place rollout.Place) rollout.Verdict {
	sample, err := w.fleet.Probe(ctx, place)
	if err != nil {
		sample = rollout.Sample{Health: rollout.Unseen, Answer: err.Error()}
	}
	sample.Log = nil
	samples := append(w.samples[place], sample)
	w.samples[place] = samples[max(0, len(samples)-watchWindow):]
	return w.gates.Judge(w.samples[place])
}
