package rollout

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Answers are what requests of ours to an instance brought.
type Answers struct {
	Errors int        `json:"errors"` // no answer, or one of 500 and more
	Took   []Duration `json:"took"`   // each of them
}

// p99 is what all but one of a hundred took at most.
func (a Answers) p99() Duration {
	if len(a.Took) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(a.Took))[len(a.Took)*99/100]
}

// Asker is a driver that can send requests of ours to an instance. Where it
// cannot, Gates.Synthetic is refused.
type Asker interface {
	Ask(ctx context.Context, place Place, path string, times int) (Answers, error)
}

// watched is one instance that a gate looks at.
type watched struct {
	place   Place
	samples []Sample
	ours    Answers
	due     float64 // requests of ours that are to be sent
}

// gate looks again and again until it is known whether to go on, or until its
// deadline. It is nil when all places pass.
func (r *running) gate(ctx context.Context, step Step) error {
	check, begin := *step.Check, time.Now()
	on := make([]watched, len(check.On))
	for i, place := range check.On {
		on[i].place = place
	}
	ticker := time.NewTicker(time.Duration(check.Gates.Every))
	defer ticker.Stop()
	said := ""
	for {
		r.look(ctx, check, on) // not cut by the deadline: the last look is evidence
		verdict := check.all(on)
		elapsed := Duration(time.Since(begin))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if verdict.Decision == Pass && elapsed >= check.For {
			return nil
		}
		if verdict.Decision == Fail || elapsed >= check.Deadline {
			return &GateError{Verdict: verdict}
		}
		if text := verdict.Place.Target + ": " + verdict.Reason; text != said {
			said = text
			r.tell(Event{Phase: Looking, Step: step, Text: text})
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// look takes a sample of each place, at once. What gives an error was not seen.
func (r *running) look(ctx context.Context, check Check, on []watched) {
	var looks sync.WaitGroup
	for i := range on {
		looks.Go(func() {
			w := &on[i]
			r.ask(ctx, check, w)
			sample, err := r.probe(ctx, check, w.place)
			if err != nil {
				sample = Sample{Health: Unseen, Answer: err.Error()}
			}
			w.samples = append(w.samples, sample.with(w.ours))
		})
	}
	looks.Wait()
}

// patience is how long a gate waits for one answer of a driver.
func (g Gates) patience() time.Duration { return 5 * time.Duration(g.Every) }

// probe has a time of its own: requests of ours that take long are no reason not to look.
func (r *running) probe(ctx context.Context, check Check, at Place) (Sample, error) {
	within, cancel := context.WithTimeout(ctx, check.Gates.patience())
	defer cancel()
	return r.Driver.Probe(within, at)
}

// mostDue is how many requests of ours one look sends at most.
const mostDue = 1000

// ask sends the requests of ours that are due. Those that could not be sent say
// nothing of the instance: without any the watch remains without an answer.
func (r *running) ask(ctx context.Context, check Check, w *watched) {
	asker, ok := r.Driver.(Asker)
	synthetic := check.Gates.Synthetic
	if !ok || check.Kind != Watching || synthetic.Path == "" {
		return
	}
	w.due = min(w.due+synthetic.Rate*time.Duration(check.Gates.Every).Seconds(), mostDue)
	times := int(w.due)
	if times == 0 {
		return
	}
	w.due -= float64(times)
	ctx, cancel := context.WithTimeout(ctx, check.Gates.patience())
	defer cancel()
	if got, err := asker.Ask(ctx, w.place, synthetic.Path, times); err == nil {
		w.ours = Answers{Errors: w.ours.Errors + got.Errors, Took: append(w.ours.Took, got.Took...)}
	}
}

// all is the worst verdict of all places: the first that fails, else the first
// that is unknown.
func (c Check) all(on []watched) Verdict {
	worst := Verdict{}
	for i, w := range on {
		verdict := c.Judge(w.samples)
		verdict.Place = w.place
		if verdict.Decision == Fail {
			return verdict
		}
		if i == 0 || verdict.Decision == Unknown && worst.Decision == Pass {
			worst = verdict
		}
	}
	return worst
}
