package rollouttest

import (
	"context"
	"fmt"
	"strings"
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
	return rollout.Spec{Environment: "prod", Release: after, Targets: names, Strategy: strategy, Batch: 2, Hooks: rollout.Hooks{
		Before: []string{"migrate"}, After: []string{"announce"}, OnFailure: []string{"complain"}}}
}

// brisk looks less often: thousands of runs are tried.
func brisk(spec rollout.Spec) rollout.Spec {
	spec.Gates.Every = rollout.Duration(10 * time.Second)
	return spec
}

func strategies() []rollout.Strategy { return append(switching(), rollout.InPlace) }

// switching are the strategies with two instances.
func switching() []rollout.Strategy {
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
		now, served, committed := first, map[string]bool{}, false
		for i, step := range steps {
			now = rollout.After(now, step)
			for _, target := range now.Targets {
				served[target.Name] = served[target.Name] || len(target.Split()) > 0
				require.True(t, !served[target.Name] || well(target), "after %s: %+v", step, target)
			}
			back, err := rollout.Undo(steps[:i+1], now)
			if committed = committed || step.Verb == rollout.Prune; committed {
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
		"leaks":         {Memory: 0.86},
		"crash loop":    {Loops: true},
		"no traffic":    {Quiet: true},
		"probe hangs":   {Mute: true},
		"hook fails":    {Hooks: true},
	} {
		for _, strategy := range strategies() {
			if manner.unnoticed(strategy) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s", name, strategy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := New(before.Digest(), names...)
					f.Set(after.Digest(), manner)
					first := f.State()
					result := run(t.Context(), f.Driver(), spec(strategy))
					assert.Equal(t, 4, result.Outcome.ExitCode(), result.Cause)
					evidence(t, manner, result)
					assert.Equal(t, first, f.State())
					assert.Empty(t, f.Broken())
				})
			})
		}
	}
}

// unnoticed: where nothing counts requests, none of them can fail.
func (m Manner) unnoticed(strategy rollout.Strategy) bool {
	return m.Quiet && strategy == rollout.InPlace
}

func evidence(t *testing.T, manner Manner, result rollout.Result) {
	t.Helper()
	if manner.Hooks {
		var failed *rollout.HookError
		require.ErrorAs(t, result.Cause, &failed)
		assert.Equal(t, rollout.BeforeSwitch, failed.When)
		return
	}
	require.NotNil(t, result.Verdict)
	assert.NotEqual(t, rollout.Pass, result.Verdict.Decision)
}

// A release that fails, and on the way back something else does: at each call of
// the way back too, the hook for failures among them.
func TestRun_EveryFaultOnTheWayBackIsLeftSafe(t *testing.T) {
	injected := 0
	for _, strategy := range strategies() {
		synctest.Test(t, func(t *testing.T) {
			bad := func() *Fleet {
				f := New(before.Digest(), names...)
				f.Set(after.Digest(), Manner{Errors: 1})
				return f
			}
			calls := bad().Driver()
			require.Equal(t, rollout.RolledBack, run(t.Context(), calls, brisk(spec(strategy))).Outcome)
			require.Contains(t, calls.Calls(), "hook on failure a 1")
			for _, call := range calls.Calls() {
				for _, fault := range Faults() {
					injected++
					f := bad()
					first := f.State()
					driver := f.Driver()
					driver.Inject(call, fault)
					result := run(t.Context(), driver, brisk(spec(strategy)))
					require.NotEqual(t, rollout.Done, result.Outcome, "%s at %s", fault, call)
					time.Sleep(rollout.DefaultTTL)
					require.Equal(t, traffic(first), traffic(f.State()), "%s at %s", fault, call)
					require.Empty(t, f.Broken())
					again := run(t.Context(), f.Driver(), brisk(spec(strategy)))
					require.Equal(t, rollout.RolledBack, again.Outcome, "%s at %s: %v", fault, call, again.Cause)
				}
			}
		})
	}
	t.Logf("%d faults", injected)
}

func TestRun_HooksRunOnceAndInOrder(t *testing.T) {
	for _, strategy := range strategies() {
		synctest.Test(t, func(t *testing.T) {
			f := New(before.Digest(), names...)
			require.Equal(t, rollout.Done, run(t.Context(), f.Driver(), spec(strategy)).Outcome)
			var ran []string
			started, committed := false, 0
			for _, write := range f.Writes() {
				switch write.Step.Verb {
				case rollout.RunHook:
					ran = append(ran, write.Step.Hook.Command[0])
					assert.Equal(t, after.Digest(), write.Step.Release)
					assert.True(t, write.Step.Hook.When == rollout.AfterCommit || !started, "before anything is started")
					assert.True(t, write.Step.Hook.When != rollout.AfterCommit || committed == len(names), "after the last commit")
				case rollout.Prune:
					committed++
				default:
					started = true
				}
			}
			assert.Equal(t, []string{"migrate", "announce"}, ran)
		})
	}
}

func TestRun_AHookAfterTheCommitChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(before.Digest(), names...)
		driver := f.Driver()
		driver.Inject("hook after a 1", Before)
		result := run(t.Context(), driver, spec(rollout.BlueGreen))
		assert.Equal(t, 0, result.Outcome.ExitCode())
		require.ErrorIs(t, result.Cause, ErrInjected)
		requireLive(t, f)
	})
}

// Only what the configuration says lets a release pass without requests of others.
func TestRun_NoTraffic(t *testing.T) {
	quiet, broken := Manner{Quiet: true}, Manner{Quiet: true, Errors: 1}
	for name, c := range map[string]struct {
		gates   rollout.Gates
		manner  Manner
		outcome rollout.Outcome
	}{
		"nothing said":             {rollout.Gates{}, quiet, rollout.RolledBack},
		"pass on health":           {rollout.Gates{NoTraffic: rollout.PassOnHealth}, quiet, rollout.Done},
		"unhealthy all the same":   {rollout.Gates{NoTraffic: rollout.PassOnHealth}, Manner{NeverHealthy: true}, rollout.RolledBack},
		"requests of ours":         {rollout.Gates{Synthetic: rollout.Synthetic{Path: "/hello", Rate: 2}}, quiet, rollout.Done},
		"requests of ours fail":    {rollout.Gates{Synthetic: rollout.Synthetic{Path: "/hello", Rate: 2}}, broken, rollout.RolledBack},
		"one in a hundred seconds": {rollout.Gates{Synthetic: rollout.Synthetic{Path: "/hello", Rate: 0.01}, Requests: 10}, quiet, rollout.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := New(before.Digest(), names...)
				f.Set(after.Digest(), c.manner)
				wanted := spec(rollout.BlueGreen)
				wanted.Gates = c.gates
				assert.Equal(t, c.outcome, run(t.Context(), f.Driver(), wanted).Outcome)
			})
		})
	}
}

func TestRun_RefusesWhatTheDriverCannot(t *testing.T) {
	type plain struct{ rollout.Driver }
	f := New(before.Digest(), names...)
	result := run(t.Context(), plain{f.Driver()}, spec(rollout.Rolling))
	assert.Equal(t, rollout.Refused, result.Outcome)
	assert.ErrorContains(t, result.Cause, "hooks")
	wanted := spec(rollout.Rolling)
	wanted.Hooks, wanted.Gates.Synthetic.Path = rollout.Hooks{}, "/"
	assert.ErrorContains(t, run(t.Context(), plain{f.Driver()}, wanted).Cause, "synthetic")
}

func TestRun_IsAllowedUnderTheLeases(t *testing.T) {
	f := New(before.Digest(), names...)
	result := rollout.Runner{Driver: f.Driver(), Owner: "me", Allow: func(_ context.Context, now rollout.Observed) error {
		for _, target := range now.Targets {
			assert.Equal(t, "me", target.Lease.Owner)
		}
		return ErrInjected
	}}.Run(t.Context(), spec(rollout.Rolling))
	assert.Equal(t, rollout.Refused, result.Outcome)
	require.ErrorIs(t, result.Cause, ErrInjected)
	assert.Empty(t, f.Writes())
}

// Another environment, unit or configuration alone is another release.
func TestRun_EachPartOfAReleaseCounts(t *testing.T) {
	for _, part := range []rollout.Release{
		{Artifact: "one", Configuration: "x"}, {Artifact: "one", Environment: "x"}, {Artifact: "one", Unit: "x"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := New(before.Digest(), names...)
			wanted := spec(rollout.Rolling)
			wanted.Release = part
			require.Equal(t, rollout.Done, run(t.Context(), f.Driver(), wanted).Outcome)
			for _, target := range f.State().Targets {
				assert.True(t, target.Live(part.Digest()))
			}
		})
	}
}

func TestRun_EveryFaultAtEveryCallConverges(t *testing.T) {
	injected, counted := 0, 0
	eachStart(t, func(t *testing.T, spec rollout.Spec, fleet func() *Fleet) {
		spec = brisk(spec)
		synctest.Test(t, func(t *testing.T) {
			calls := fleet().Driver()
			require.Equal(t, rollout.Done, run(t.Context(), calls, spec).Outcome)
			for _, call := range calls.Calls() {
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
					truthful(t, f, driver, result, fmt.Sprintf("%s at %s", fault, call))
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
			require.Equal(t, rollout.Done, run(t.Context(), calls, brisk(spec(strategy))).Outcome)
			for _, call := range calls.Calls() {
				f := New(before.Digest(), names...)
				first := f.State()
				ctx, cancel := context.WithCancel(t.Context())
				driver := f.Driver()
				driver.OnCall(func(at string) {
					if at == call {
						cancel()
					}
				})
				result := run(ctx, driver, brisk(spec(strategy)))
				cancel()
				if result.Outcome == rollout.Interrupted {
					require.Equal(t, traffic(first), traffic(f.State()), "%s", call)
				} else {
					require.Equal(t, rollout.Done, result.Outcome, "%s: %v", call, result.Cause)
				}
				require.Empty(t, f.Broken())
				converges(t, f, first, brisk(spec(strategy)))
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

func TestRun_AfterTheCommitItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(before.Digest(), names...)
		driver := f.Driver()
		driver.Inject("prune a 1", Before)
		result := run(t.Context(), driver, spec(rollout.BlueGreen))
		require.NoError(t, result.Cause, "a commit is asked for once more")
		requireLive(t, f)

		f = New(before.Digest(), names...)
		driver = f.Driver()
		driver.Inject("stop a 1", Before)
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
// call it falls asleep, and writes nothing more. While it is still at taking
// leases, it may have taken one that the other one wants: the next run does it.
func TestRun_SleeperIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := New(before.Digest(), names...).Driver()
		require.Equal(t, rollout.Done, run(t.Context(), calls, spec(rollout.Rolling)).Outcome)
		for _, call := range calls.Calls() {
			f := New(before.Digest(), names...)
			var other rollout.Result
			sleeper := f.Driver()
			sleeper.OnCall(func(at string) {
				if at == call {
					f.Expire()
					other = run(t.Context(), f.Driver(), spec(rollout.Rolling))
				}
			})
			run(t.Context(), sleeper, spec(rollout.Rolling))
			if strings.HasPrefix(call, "acquire ") && other.Outcome == rollout.Refused {
				other = run(t.Context(), f.Driver(), spec(rollout.Rolling))
			}
			assert.Equal(t, rollout.Done, other.Outcome, "%s: %v", call, other.Cause)
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
