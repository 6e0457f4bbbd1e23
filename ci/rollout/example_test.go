package rollout_test

import (
	"fmt"

	"github.com/slipway-ci/slipway/ci/rollout"
)

func ExamplePlan() {
	before, after := rollout.Release{Artifact: "one"}, rollout.Release{Artifact: "two"}
	observed := rollout.Observed{Targets: []rollout.Target{{Name: "web1", Committed: before.Digest(), Slots: []rollout.Slot{
		{Name: rollout.Blue, Release: before.Digest(), Health: rollout.Healthy, Weight: 100},
	}}}}
	steps, err := rollout.Plan(rollout.Spec{
		Environment: "prod", Release: after, Targets: []string{"web1"}, Strategy: rollout.Canary, Weights: []int{10},
	}, observed)
	fmt.Println(err)
	fmt.Print(rollout.Text(steps))
	// Output:
	// <nil>
	//  1. start web1: caf87f5c6990 in green
	//  2. gate web1: healthy 3 times in a row within 1m0s
	//  3. shift web1: blue 90%, green 10% (was blue 100%)
	//  4. gate web1: watch for 30s, errors ≤ 1%, p99 ≤ 500ms, memory ≤ 85%
	//  5. shift web1: green 100% (was blue 90%, green 10%)
	//  6. gate web1: watch for 5m0s, errors ≤ 1%, p99 ≤ 500ms, memory ≤ 85%
	//  7. prune web1: commit caf87f5c6990
	//  8. stop web1: a41f5402a83a in blue
}
