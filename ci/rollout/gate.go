package rollout

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Gates are the limits of a release that may go on. The zero value of each
// means its default.
type Gates struct {
	Times     int      `json:"times"`     // healthy answers in a row before any traffic: 3
	Deadline  Duration `json:"deadline"`  // for them to come: 60 seconds
	ErrorRate float64  `json:"errorRate"` // share of requests, 0.01
	P99       Duration `json:"p99"`       // 500 ms
	Memory    float64  `json:"memory"`    // share of the limit, 0.85
	Restarts  int      `json:"restarts"`  // how many are too many: 1
	Requests  int      `json:"requests"`  // fewer say nothing: 1
	Every     Duration `json:"every"`     // how often to look: 1 second
}

func (g Gates) normalize() Gates {
	g.Times = cmp.Or(g.Times, 3)
	g.Deadline = cmp.Or(g.Deadline, Duration(time.Minute))
	g.ErrorRate = cmp.Or(g.ErrorRate, 0.01)
	g.P99 = cmp.Or(g.P99, Duration(500*time.Millisecond))
	g.Memory = cmp.Or(g.Memory, 0.85)
	g.Restarts = cmp.Or(g.Restarts, 1)
	g.Requests = cmp.Or(g.Requests, 1)
	g.Every = cmp.Or(g.Every, Duration(time.Second))
	return g
}

func (g Gates) validate() error {
	if g.Times < 0 || g.Restarts < 0 || g.Requests < 0 {
		return errors.New("gates: times, restarts and requests are not negative")
	}
	if g.Deadline <= 0 || g.P99 <= 0 || g.Every <= 0 || g.ErrorRate < 0 || g.Memory < 0 {
		return errors.New("gates: times and shares are not negative")
	}
	return nil
}

// Kind is what a gate looks at.
type Kind string

// The kinds.
const (
	Starting Kind = "healthy" // it answers, several times in a row
	Watching Kind = "watch"   // it does well under traffic, for a while
)

// Check is what a gate wants to see, and where.
type Check struct {
	Kind     Kind     `json:"kind"`
	On       []Place  `json:"on"`
	For      Duration `json:"for,omitempty"` // Watching: how long
	Deadline Duration `json:"deadline"`      // what is not known by then fails
	Gates    Gates    `json:"limits"`
}

func (g Gates) start(on []Place) *Check {
	return &Check{Kind: Starting, On: on, Deadline: g.Deadline, Gates: g}
}

func (g Gates) watch(on []Place, long Duration) *Check {
	return &Check{Kind: Watching, On: on, For: long, Deadline: long + g.Deadline, Gates: g}
}

// String is the check as text.
func (c Check) String() string {
	var names []string
	for _, place := range c.On {
		names = append(names, place.Target)
	}
	where := strings.Join(names, ", ")
	if c.Kind == Starting {
		return fmt.Sprintf("%s: healthy %d times in a row within %s", where, c.Gates.Times, c.Deadline)
	}
	return fmt.Sprintf("%s: watch for %s, errors ≤ %g%%, p99 ≤ %s, memory ≤ %g%%",
		where, c.For, 100*c.Gates.ErrorRate, c.Gates.P99, 100*c.Gates.Memory)
}

// Decision is the answer of a gate. The zero value means that it is not known.
type Decision string

// The answers.
const (
	Unknown Decision = "unknown"
	Pass    Decision = "pass"
	Fail    Decision = "fail"
)

// Verdict is a decision and why.
type Verdict struct {
	Decision Decision `json:"decision"`
	Reason   string   `json:"reason"`
	Place    Place    `json:"place,omitzero"`
	Evidence Sample   `json:"evidence,omitzero"` // the last one
}

// Sample is what was seen of an instance. Counters are those since its start.
type Sample struct {
	Health   Health   `json:"health"`
	Requests int      `json:"requests"`
	Errors   int      `json:"errors"`
	P99      Duration `json:"p99"`
	Memory   float64  `json:"memory"`
	Restarts int      `json:"restarts"`
	Answer   string   `json:"answer,omitempty"` // the last one: status and head of its body
	Log      []string `json:"log,omitempty"`    // the last lines
}

// Judge decides from what was seen of one instance, oldest first. What was
// before the first sample does not count.
func (c Check) Judge(samples []Sample) Verdict {
	for len(samples) > 0 && samples[0].Health == Unseen {
		samples = samples[1:]
	}
	if len(samples) == 0 {
		return Verdict{Decision: Unknown, Reason: "nothing was seen"}
	}
	last := samples[len(samples)-1]
	decision, reason := c.Gates.healthy(samples)
	if c.Kind == Watching {
		decision, reason = c.Gates.judge(samples[0], last)
	}
	return Verdict{Decision: decision, Reason: reason, Evidence: last}
}

func (g Gates) healthy(samples []Sample) (Decision, string) {
	row := 0
	for i := len(samples) - 1; i >= 0 && samples[i].Health == Healthy; i-- {
		row++
	}
	if row < g.Times {
		return Unknown, fmt.Sprintf("healthy %d of %d times in a row", row, g.Times)
	}
	return Pass, fmt.Sprintf("healthy %d times in a row", row)
}

func (g Gates) judge(first, last Sample) (Decision, string) {
	requests, failed := last.Requests-first.Requests, last.Errors-first.Errors
	switch {
	case last.Health == Unhealthy:
		return Fail, "it is unhealthy"
	case last.Restarts-first.Restarts >= g.Restarts:
		return Fail, fmt.Sprintf("it was restarted %d times", last.Restarts-first.Restarts)
	case last.Memory > g.Memory:
		return Fail, fmt.Sprintf("memory is at %.0f%% of its limit", 100*last.Memory)
	case last.Health == Unseen || requests < 0:
		return Unknown, "it could not be seen"
	case requests < g.Requests:
		return Unknown, fmt.Sprintf("%d requests are too few to tell, %d are needed", requests, g.Requests)
	case float64(failed) > g.ErrorRate*float64(requests):
		return Fail, fmt.Sprintf("%d of %d requests failed", failed, requests)
	case last.P99 > g.P99:
		return Fail, fmt.Sprintf("p99 is %s", last.P99)
	}
	return Pass, fmt.Sprintf("%d requests, %d failed, p99 %s", requests, failed, last.P99)
}
