package rollout

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Gates are the limits of a release that may go on. The zero value of each
// means its default.
type Gates struct {
	Times     int       `json:"times"`     // healthy answers in a row before any traffic, and bad ones that are too many after it: 3
	Deadline  Duration  `json:"deadline"`  // for them to come: 60 seconds
	ErrorRate float64   `json:"errorRate"` // share of requests, 0.01
	P99       Duration  `json:"p99"`       // 500 ms
	Memory    float64   `json:"memory"`    // share of the limit, 0.85
	Restarts  int       `json:"restarts"`  // how many are too many: 1
	Requests  int       `json:"requests"`  // fewer say nothing: 1
	Every     Duration  `json:"every"`     // how often to look: 1 second
	NoTraffic NoTraffic `json:"noTraffic,omitempty"`
	// Synthetic are requests of ours, which count like all others. The zero value sends none.
	Synthetic Synthetic `json:"synthetic,omitzero"`
}

// NoTraffic is what a watch that saw too few requests comes to at its deadline.
type NoTraffic string

// The policies. Nothing else lets a release pass that nobody asked anything.
const (
	FailWithout  NoTraffic = "fail"           // it is not known whether it does well, so it goes back: the default
	PassOnHealth NoTraffic = "pass-on-health" // its health answers, restarts and memory are enough
)

// Synthetic are requests that a gate sends to each instance that it watches.
type Synthetic struct {
	Path string  `json:"path"`
	Rate float64 `json:"rate"` // a second, to each instance: 1
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
	if g.Synthetic.Path != "" {
		g.Synthetic.Rate = cmp.Or(g.Synthetic.Rate, 1)
	}
	return g
}

func (g Gates) validate() error {
	if g.Times < 0 || g.Restarts < 0 || g.Requests < 0 || g.Synthetic.Rate < 0 {
		return errors.New("gates: times, restarts, requests and rates are not negative")
	}
	if g.Deadline <= 0 || g.P99 <= 0 || g.Every <= 0 || g.ErrorRate < 0 || g.Memory < 0 {
		return errors.New("gates: times and shares are not negative")
	}
	if !slices.Contains([]NoTraffic{"", FailWithout, PassOnHealth}, g.NoTraffic) {
		return fmt.Errorf("gates: noTraffic %q: use fail or pass-on-health", g.NoTraffic)
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
	return fmt.Sprintf("%s: watch for %s, errors ≤ %g%%, p99 ≤ %s, memory ≤ %g%%%s",
		where, c.For, 100*c.Gates.ErrorRate, c.Gates.P99, 100*c.Gates.Memory, c.Gates.own())
}

// own says what is different from the default about requests that are missing.
func (g Gates) own() string {
	var text string
	if g.Synthetic.Path != "" {
		text = fmt.Sprintf(", %g requests of ours a second to %s", g.Synthetic.Rate, g.Synthetic.Path)
	}
	if g.NoTraffic == PassOnHealth {
		text += ", without requests its health is enough"
	}
	return text
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
	Seen     []Sample `json:"seen,omitempty"`    // the last ones before it, without their logs
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

// with is the sample and what requests of ours brought.
func (s Sample) with(ours Answers) Sample {
	s.Requests, s.Errors, s.P99 = s.Requests+len(ours.Took), s.Errors+ours.Errors, max(s.P99, ours.p99())
	return s
}

// kept is how many samples a verdict shows.
const kept = 10

// Judge decides from what was seen of one instance, oldest first. What was
// before the first sample does not count.
func (c Check) Judge(samples []Sample) Verdict {
	for len(samples) > 0 && samples[0].Health == Unseen {
		samples = samples[1:]
	}
	if len(samples) == 0 {
		return Verdict{Decision: Unknown, Reason: "nothing was seen"}
	}
	decision, reason := c.Gates.healthy(samples)
	if c.Kind == Watching {
		decision, reason = c.Gates.judge(samples)
	}
	last := len(samples) - 1
	return Verdict{Decision: decision, Reason: reason, Evidence: evidence(samples), Seen: history(samples[max(0, last-kept):last])}
}

// evidence is the last sample, with the last log that was seen.
func evidence(samples []Sample) Sample {
	last := samples[len(samples)-1]
	for i := len(samples) - 1; i >= 0 && len(last.Log) == 0; i-- {
		last.Log = samples[i].Log
	}
	return last
}

// history is samples without what is long.
func history(samples []Sample) []Sample {
	samples = slices.Clone(samples)
	for i := range samples {
		samples[i].Log = nil
	}
	return samples
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

// judge looks at what happened since the first sample. One bad health answer
// may be the network, and keeps the watch from passing now; several are too many,
// in a row or not.
func (g Gates) judge(samples []Sample) (Decision, string) {
	first, last := samples[0], samples[len(samples)-1]
	requests, failed := last.Requests-first.Requests, last.Errors-first.Errors
	bad := count(samples, Unhealthy)
	switch {
	case bad >= g.Times:
		return Fail, fmt.Sprintf("it was unhealthy %d times", bad)
	case last.Restarts-first.Restarts >= g.Restarts:
		return Fail, fmt.Sprintf("it was restarted %d times", last.Restarts-first.Restarts)
	case last.Memory > g.Memory:
		return Fail, fmt.Sprintf("memory is at %.0f%% of its limit", 100*last.Memory)
	case last.Health != Healthy || requests < 0:
		return Unknown, "it could not be seen to be healthy"
	case requests < g.Requests && g.NoTraffic == PassOnHealth:
		return g.healthy(samples)
	case requests < g.Requests:
		return Unknown, fmt.Sprintf("%d requests are too few to tell, %d are needed", requests, g.Requests)
	case float64(failed) > g.ErrorRate*float64(requests):
		return Fail, fmt.Sprintf("%d of %d requests failed", failed, requests)
	case last.P99 > g.P99:
		return Fail, fmt.Sprintf("p99 is %s", last.P99)
	}
	return Pass, fmt.Sprintf("%d requests, %d failed, p99 %s", requests, failed, last.P99)
}

func count(samples []Sample, health Health) (n int) {
	for _, sample := range samples {
		if sample.Health == health {
			n++
		}
	}
	return n
}
