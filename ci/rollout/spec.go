// Package rollout decides how a release replaces another one on machines that
// serve requests, and carries it out through a driver.
//
// Plan is pure: from what is wanted and what was observed it makes steps, which
// are data. What is printed before a rollout is what is run.
//
//	steps, err := rollout.Plan(spec, observed)
//	result := rollout.Runner{Driver: driver, Owner: "me@laptop 4711"}.Run(ctx, spec)
//
// What is kept at every step:
//
//   - Traffic goes to instances that were seen healthy, and the old ones run
//     until the new release is committed.
//   - Prune is the commit point. Before it everything can go back, on all
//     targets. No gate comes after it.
//   - Missing data is Unknown, and Unknown never promotes.
//   - The only healthy instance of a target that served before is never taken
//     away, even if it is of the wrong release.
//   - Each write carries the fencing number of a lease, so that two deployers
//     never interleave. A target whose lease ends goes back to what it committed
//     last, by itself.
package rollout

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// What a Spec gets where it says nothing.
const (
	DefaultBake     = Duration(5 * time.Minute)
	DefaultInterval = Duration(30 * time.Second)
	DefaultBatch    = 1
)

// Strategy is the order in which targets and traffic are switched.
type Strategy string

// The strategies.
const (
	Rolling   Strategy = "rolling"    // batch by batch
	BlueGreen Strategy = "blue-green" // start everywhere, then shift everything
	Canary    Strategy = "canary"     // start everywhere, then shift in weights
	// InPlace ends the old instance and starts the new one in its place, batch by batch: for
	// programs without a proxy before them. Requests fail while nothing runs.
	InPlace Strategy = "restart"
)

func strategies() []Strategy { return []Strategy{Rolling, BlueGreen, Canary, InPlace} }

// Spec is what is wanted.
type Spec struct {
	Environment string   `json:"environment"`
	Release     Release  `json:"release"`
	Targets     []string `json:"targets"` // in the order in which they are switched
	Strategy    Strategy `json:"strategy"`
	// Batch is how many targets rolling and restart switch at once. The default is 1.
	Batch int `json:"batch,omitempty"`
	// Weights are canary's shares in percent, rising and below 100. The default is 10, 50.
	Weights []int `json:"weights,omitempty"`
	Gates   Gates `json:"gates"`
	Hooks   Hooks `json:"hooks,omitzero"`
	// Bake is how long the last switch is watched before the commit. The default is 5 minutes.
	Bake Duration `json:"bake"`
	// Interval is how long each batch or weight before the last is watched. The default is 30 seconds.
	Interval Duration `json:"interval"`
}

// Normalize fills in the defaults.
func (s Spec) Normalize() Spec {
	s.Strategy = cmp.Or(s.Strategy, BlueGreen)
	s.Batch = cmp.Or(s.Batch, DefaultBatch)
	s.Bake = cmp.Or(s.Bake, DefaultBake)
	s.Interval = cmp.Or(s.Interval, DefaultInterval)
	if len(s.Weights) == 0 {
		s.Weights = []int{10, 50}
	}
	s.Gates = s.Gates.normalize()
	if s.Strategy == InPlace && s.Gates.NoTraffic == "" {
		s.Gates.NoTraffic = PassOnHealth // nothing counts its requests
	}
	return s
}

// Validate says everything that is wrong with a normalized Spec.
func (s Spec) Validate() error {
	var wrong []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	require(s.Environment != "", "environment: it has no name")
	require(s.Release != Release{}, "release: there is none")
	require(len(s.Targets) > 0, "targets: name at least one")
	require(slices.Contains(strategies(), s.Strategy), "strategy %q: use rolling, blue-green, canary or restart", s.Strategy)
	require(s.Batch > 0, "batch %d: use at least 1", s.Batch)
	require(s.Bake > 0 && s.Interval > 0, "bake and interval: use positive times")
	for i, name := range s.Targets {
		require(name != "" && slices.Index(s.Targets, name) == i, "targets[%d] %q: each needs a name of its own", i, name)
	}
	for i, weight := range s.Weights {
		rises := i == 0 || weight > s.Weights[i-1]
		require(rises && weight > 0 && weight < 100, "weights[%d] %d: weights rise, between 1 and 99; 100 comes by itself", i, weight)
	}
	return errors.Join(append(wrong, s.Gates.validate())...)
}

// Duration is a time.Duration that is written as text, such as 5m0s.
type Duration time.Duration

// String is the time as time.Duration writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the time.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a time such as 5m.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
