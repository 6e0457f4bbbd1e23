package rollout

import (
	"context"
	"sync"
	"time"
)

// gate looks again and again until it is known whether to go on, or until its
// deadline. It is nil when all places pass.
func (r *running) gate(ctx context.Context, check Check) error {
	begin := time.Now()
	within, cancel := context.WithTimeout(ctx, time.Duration(check.Deadline))
	defer cancel()
	seen := make([][]Sample, len(check.On))
	ticker := time.NewTicker(time.Duration(check.Gates.Every))
	defer ticker.Stop()
	for {
		r.look(within, check, seen)
		verdict := check.all(seen)
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
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// look takes a sample of each place, at once. What gives an error was not seen.
func (r *running) look(ctx context.Context, check Check, seen [][]Sample) {
	within, cancel := context.WithTimeout(ctx, 5*time.Duration(check.Gates.Every))
	defer cancel()
	var looks sync.WaitGroup
	for i, place := range check.On {
		looks.Go(func() {
			sample, err := r.Driver.Probe(within, place)
			if err != nil {
				sample = Sample{Health: Unseen, Answer: err.Error()}
			}
			seen[i] = append(seen[i], sample)
		})
	}
	looks.Wait()
}

// all is the worst verdict of all places: the first that fails, else the first
// that is unknown.
func (c Check) all(seen [][]Sample) Verdict {
	worst := Verdict{Decision: Pass}
	for i, samples := range seen {
		verdict := c.Judge(samples)
		verdict.Place = c.On[i]
		if verdict.Decision == Fail {
			return verdict
		}
		if verdict.Decision == Unknown && worst.Decision == Pass {
			worst = verdict
		}
	}
	return worst
}
