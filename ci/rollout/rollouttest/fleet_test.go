package rollouttest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
)

var (
	before = rollout.Release{Artifact: "one"}
	after  = rollout.Release{Artifact: "two"}
	names  = []string{"a", "b", "c"}
)

func spec(strategy rollout.Strategy) rollout.Spec {
	return rollout.Spec{Environment: "prod", Release: after, Targets: names, Strategy: strategy, Batch: 2}
}

func strategies() []rollout.Strategy {
	return []rollout.Strategy{rollout.Rolling, rollout.BlueGreen, rollout.Canary}
}

// eachStart is each strategy, on targets that serve and on empty ones, as a bubble of its own.
func eachStart(t *testing.T, body func(t *testing.T, spec rollout.Spec, fleet func() *Fleet)) {
	for _, strategy := range strategies() {
		for name, release := range map[string]string{"serving": before.Digest(), "empty": ""} {
			t.Run(fmt.Sprintf("%s/%s", strategy, name), func(t *testing.T) {
				body(t, spec(strategy), func() *Fleet { return New(release, names...) })
			})
		}
	}
}

func run(ctx context.Context, driver rollout.Driver, spec rollout.Spec) rollout.Result {
	return rollout.Runner{Driver: driver, Owner: fmt.Sprintf("%p", driver)}.Run(ctx, spec)
}

func requireLive(t *testing.T, fleet *Fleet) {
	t.Helper()
	for _, target := range fleet.State().Targets {
		require.True(t, target.Live(after.Digest()), "%+v", target)
	}
}

func traffic(observed rollout.Observed) map[string]rollout.Split {
	splits := map[string]rollout.Split{}
	for _, target := range observed.Targets {
		splits[target.Name] = target.Split()
	}
	return splits
}

func TestRun_TwiceChangesNothingTheSecondTime(t *testing.T) {
	eachStart(t, func(t *testing.T, spec rollout.Spec, fleet func() *Fleet) {
		synctest.Test(t, func(t *testing.T) {
			f := fleet()
			result := run(t.Context(), f.Driver(), spec)
			require.NoError(t, result.Cause)
			assert.Equal(t, 0, result.Outcome.ExitCode())
			requireLive(t, f)
			writes := len(f.Writes())
			assert.Equal(t, rollout.Done, run(t.Context(), f.Driver(), spec).Outcome)
			assert.Len(t, f.Writes(), writes)
			assert.Empty(t, f.Broken())
		})
	})
}

func TestPlan_EachPrefixServesAndCanBeUndone(t *testing.T) {
	eachStart(t, func(t *testing.T, spec rollout.Spec, fleet func() *Fleet) {
		first := fleet().State()
		steps, err := rollout.Plan(spec, first)
		require.NoError(t, err)
		now, served := first, map[string]bool{}
		for i, step := range steps {
			now = rollout.After(now, step)
			for _, target := range now.Targets {
				served[target.Name] = served[target.Name] || len(target.Split()) > 0
				require.True(t, !served[target.Name] || well(target), "after %s: %+v", step, target)
			}
			back, err := rollout.Undo(steps[:i+1], now)
			if step.Verb == rollout.Prune || step.Verb == rollout.Stop {
				require.ErrorIs(t, err, rollout.ErrCommitted)
				continue
			}
			require.NoError(t, err)
			undone := now
			for _, step := range back {
				undone = rollout.After(undone, step)
				for _, target := range undone.Targets {
					require.True(t, len(target.Split()) == 0 && first.Target(target.Name).Committed == "" || well(target), "undo %s: %+v", step, target)
				}
			}
			require.Equal(t, traffic(first), traffic(undone))
			for _, target := range undone.Targets {
				require.Len(t, target.Slots, len(first.Target(target.Name).Slots))
			}
		}
	})
}

func TestRun_BadReleaseGoesBack(t *testing.T) {
	for name, manner := range map[string]Manner{
		"never healthy": {NeverHealthy: true},
		"errors":        {Errors: 0.5},
		"slow":          {P99: time.Second},
		"no traffic":    {Quiet: true},
		"probe hangs":   {Mute: true},
	} {
		for _, strategy := range strategies() {
			t.Run(fmt.Sprintf("%s/%s", name, strategy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := New(before.Digest(), names...)
					f.Set(after.Digest(), manner)
					first := f.State()
					result := run(t.Context(), f.Driver(), spec(strategy))
					assert.Equal(t, 4, result.Outcome.ExitCode(), result.Cause)
					require.NotNil(t, result.Verdict)
					assert.NotEqual(t, rollout.Pass, result.Verdict.Decision)
					assert.Equal(t, first, f.State())
					assert.Empty(t, f.Broken())
				})
			})
		}
	}
}

func TestRun_EveryFaultAtEveryCallConverges(t *testing.T) {
	injected, counted := 0, 0
	eachStart(t, func(t *testing.T, spec rollout.Spec, fleet func() *Fleet) {
		synctest.Test(t, func(t *testing.T) {
			calls := fleet().Driver()
			require.Equal(t, rollout.Done, run(t.Context(), calls, spec).Outcome)
			for call := range calls.Calls() {
				for _, fault := range Faults() {
					// All of them take some seconds. A short run tries each seventh.
					if counted++; testing.Short() && counted%7 != 0 {
						continue
					}
					injected++
					f := fleet()
					first := f.State()
					driver := f.Driver()
					driver.Inject(call, fault)
					result := run(t.Context(), driver, spec)
					truthful(t, f, driver, result, fmt.Sprintf("%s at call %d", fault, call))
					converges(t, f, first, spec)
				}
			}
		})
	})
	t.Logf("%d of %d faults", injected, counted)
	assert.GreaterOrEqual(t, counted, 300)
}

// truthful says that what a deployer that lives says is so.
func truthful(t *testing.T, f *Fleet, driver *Driver, result rollout.Result, what string) {
	t.Helper()
	if driver.Dead() {
		return
	}
	live := true
	for _, target := range f.State().Targets {
		live = live && target.Committed == after.Digest() && target.Serves(after.Digest())
	}
	require.False(t, result.Outcome == rollout.Done && !live, what)
	require.False(t, live && result.Outcome != rollout.Done && !result.Unseen, "%s: %s: %v", what, result.Outcome, result.Cause)
}

// converges waits until a lease is over, and runs the same command again.
func converges(t *testing.T, f *Fleet, first rollout.Observed, spec rollout.Spec) {
	t.Helper()
	time.Sleep(rollout.DefaultTTL)
	again := run(t.Context(), f.Driver(), spec)
	require.Equal(t, rollout.Done, again.Outcome, again.Cause)
	requireLive(t, f)
	for _, lost := range f.Broken() {
		// Only where nothing served before may nothing serve again.
		require.Contains(t, lost, ": none")
		require.Zero(t, first.Target(names[0]).Committed)
	}
}

func TestRun_InterruptAtEveryCallIsLeftSafe(t *testing.T) {
	for _, strategy := range strategies() {
		synctest.Test(t, func(t *testing.T) {
			calls := New(before.Digest(), names...).Driver()
			require.Equal(t, rollout.Done, run(t.Context(), calls, spec(strategy)).Outcome)
			for call := range calls.Calls() {
				f := New(before.Digest(), names...)
				first := f.State()
				ctx, cancel := context.WithCancel(t.Context())
				driver := f.Driver()
				driver.Hook(func(at int) {
					if at == call {
						cancel()
					}
				})
				result := run(ctx, driver, spec(strategy))
				cancel()
				if result.Outcome == rollout.Interrupted {
					require.Equal(t, traffic(first), traffic(f.State()), "call %d", call)
				} else {
					require.Equal(t, rollout.Done, result.Outcome, "call %d: %v", call, result.Cause)
				}
				require.Empty(t, f.Broken())
				converges(t, f, first, spec(strategy))
			}
		})
	}
}

func TestRun_InterruptWhileWatchingEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(before.Digest(), names...)
		first := f.State()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result := run(ctx, f.Driver(), spec(rollout.BlueGreen))
		assert.Equal(t, 130, result.Outcome.ExitCode())
		assert.NoError(t, t.Context().Err())
		assert.Equal(t, first, f.State())
	})
}

// A deployer that is cut off while it watches ends by itself, says that a person
// is needed, and the targets go back without it.
func TestRun_CutOffGoesBackByItself(t *testing.T) {
	for _, strategy := range strategies() {
		synctest.Test(t, func(t *testing.T) {
			f := New(before.Digest(), names...)
			first := f.State()
			driver := f.Driver()
			begin := time.Now()
			time.AfterFunc(time.Minute/2, driver.Cut)
			result := run(t.Context(), driver, spec(strategy))
			assert.Equal(t, 5, result.Outcome.ExitCode())
			assert.True(t, result.Unseen)
			assert.Less(t, time.Since(begin), 2*time.Minute)
			time.Sleep(rollout.DefaultTTL)
			assert.Equal(t, traffic(first), traffic(f.State()))
			converges(t, f, first, spec(strategy))
		})
	}
}

func TestRun_LostTargetDoesNotKeepTheOthersFromGoingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(before.Digest(), names...)
		first := f.State()
		driver := f.Driver()
		time.AfterFunc(time.Minute/2, func() { driver.Lose("b") })
		result := run(t.Context(), driver, spec(rollout.BlueGreen))
		assert.Equal(t, 5, result.Outcome.ExitCode())
		assert.NotEmpty(t, result.Observed.Target("b").Unseen)
		var stuck *rollout.StuckError
		require.ErrorAs(t, result.Cause, &stuck)
		assert.Equal(t, []string{"b"}, stuck.Targets)
		for _, name := range []string{"a", "c"} {
			assert.Equal(t, first.Target(name), f.State().Target(name))
		}
		time.Sleep(rollout.DefaultTTL)
		assert.Equal(t, traffic(first), traffic(f.State()))
		converges(t, f, first, spec(rollout.BlueGreen))
	})
}

func TestRun_OldReleaseBreaksWhileWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(before.Digest(), names...)
		time.AfterFunc(time.Minute, func() {
			f.Set(before.Digest(), Manner{NeverHealthy: true})
			f.Set(after.Digest(), Manner{Errors: 1})
		})
		result := run(t.Context(), f.Driver(), spec(rollout.BlueGreen))
		assert.Equal(t, 5, result.Outcome.ExitCode())
		var stuck *rollout.StuckError
		require.ErrorAs(t, result.Cause, &stuck)
		for _, target := range f.State().Targets {
			assert.True(t, target.Serves(after.Digest()), "the only healthy instance serves: %+v", target)
		}
	})
}

// Of three targets, calls 10 to 12 commit, and 13 to 15 stop the old instances.
func TestRun_AfterTheCommitItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(before.Digest(), names...)
		driver := f.Driver()
		driver.Inject(10, Before)
		result := run(t.Context(), driver, spec(rollout.BlueGreen))
		require.NoError(t, result.Cause, "a commit is asked for once more")
		requireLive(t, f)

		f = New(before.Digest(), names...)
		driver = f.Driver()
		driver.Inject(13, Before)
		result = run(t.Context(), driver, spec(rollout.BlueGreen))
		assert.Equal(t, rollout.Done, result.Outcome)
		require.ErrorIs(t, result.Cause, ErrInjected)
		assert.False(t, f.State().Target("a").Live(after.Digest()), "its old instance still runs")
		assert.True(t, f.State().Target("b").Live(after.Digest()) && f.State().Target("c").Live(after.Digest()))
	})
}

func TestRun_SecondDeployerIsToldWhoIsAtIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(before.Digest(), names...)
		first := make(chan rollout.Result)
		go func() { first <- run(t.Context(), f.Driver(), spec(rollout.Canary)) }()
		time.Sleep(time.Minute)
		second := run(t.Context(), f.Driver(), spec(rollout.Canary))
		var held *rollout.HeldError
		require.ErrorAs(t, second.Cause, &held)
		assert.Equal(t, rollout.Refused, second.Outcome)
		assert.Equal(t, rollout.Done, (<-first).Outcome)
	})
}

// A deployer that sleeps past its lease finds another one at work, at whatever
// call it falls asleep, and writes nothing more.
func TestRun_SleeperIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := New(before.Digest(), names...).Driver()
		require.Equal(t, rollout.Done, run(t.Context(), calls, spec(rollout.Rolling)).Outcome)
		for call := range calls.Calls() {
			f := New(before.Digest(), names...)
			sleeper := f.Driver()
			sleeper.Hook(func(at int) {
				if at == call {
					f.Expire()
					assert.Equal(t, rollout.Done, run(t.Context(), f.Driver(), spec(rollout.Rolling)).Outcome, "call %d", call)
				}
			})
			run(t.Context(), sleeper, spec(rollout.Rolling))
			requireLive(t, f)
			requireOneAfterTheOther(t, f.Writes())
			require.Empty(t, f.Broken())
		}
	})
}

func requireOneAfterTheOther(t *testing.T, writes []Write) {
	t.Helper()
	fences := map[string]uint64{}
	for _, write := range writes {
		require.GreaterOrEqual(t, write.Fence, fences[write.Step.Target], "%s by %s", write.Step, write.Owner)
		fences[write.Step.Target] = write.Fence
	}
}

func TestFleet_Conformance(t *testing.T) {
	Conformance(t, func(t *testing.T) Subject {
		f := New(before.Digest(), names...)
		return Subject{Driver: f.Driver(), Targets: names, First: before.Digest(), Second: after.Digest(), Bubble: true}
	})
}
