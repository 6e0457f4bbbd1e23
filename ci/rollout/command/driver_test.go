package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/rollouttest"
)

// script keeps a target as files: one for each slot, the weights, what is committed.
const script = `#!/bin/sh
set -eu
here="$STORE/$SLIPWAY_TARGET"
mkdir -p "$here"
weight() { cat "$here/weight.$1" 2>/dev/null || echo 0; }
case "$SLIPWAY_VERB" in
observe)
	printf '{"committed":"%s","slots":[' "$(cat "$here/committed" 2>/dev/null || true)"
	comma=
	for slot in blue green; do
		[ -f "$here/$slot" ] || continue
		printf '%s{"name":"%s","release":"%s","health":"healthy","weight":%s}' "$comma" "$slot" "$(cat "$here/$slot")" "$(weight $slot)"
		comma=,
	done
	printf ']}\n' ;;
start) printf %s "$SLIPWAY_RELEASE" >"$here/$SLIPWAY_SLOT" ;;
shift)
	rm -f "$here"/weight.*
	for slot in blue green; do
		w=$(printf %s "$SLIPWAY_SPLIT" | sed -n "s/.*\"$slot\":\([0-9]*\).*/\1/p")
		[ -z "$w" ] || printf %s "$w" >"$here/weight.$slot"
	done ;;
stop) [ "$(cat "$here/$SLIPWAY_SLOT" 2>/dev/null)" != "$SLIPWAY_RELEASE" ] || rm -f "$here/$SLIPWAY_SLOT" ;;
prune) printf %s "$SLIPWAY_RELEASE" >"$here/committed" ;;
probe)
	[ "$(cat "$here/$SLIPWAY_SLOT" 2>/dev/null)" = "$SLIPWAY_RELEASE" ] || { echo "nothing runs there" >&2; exit 3; }
	n=$(cat "$here/asked" 2>/dev/null || echo 0); n=$((n + 10)); printf %s "$n" >"$here/asked"
	printf '{"health":"healthy","requests":%s,"errors":0,"p99":"1ms","memory":0,"restarts":0}\n' "$n" ;;
hook) cat >"$here/request"; [ "$SLIPWAY_HOOK" != '["false"]' ] || { echo "no such column" >&2; exit 7; } ;;
esac
`

func driver(t *testing.T) *Driver {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "script")
	require.NoError(t, os.WriteFile(file, []byte(script), 0o755))
	argv := []string{file}
	return &Driver{
		Commands: Commands{Observe: argv, Start: argv, Shift: argv, Stop: argv, Prune: argv, Probe: argv, Hook: argv},
		Service:  "greeter-prod", State: filepath.Join(dir, "state"), Dir: dir, Environ: []string{"PATH=" + os.Getenv("PATH"), "STORE=" + filepath.Join(dir, "store")},
	}
}

var first, second = rollout.Release{Artifact: "one"}, rollout.Release{Artifact: "two"}

func TestConformance(t *testing.T) {
	rollouttest.Conformance(t, func(t *testing.T) rollouttest.Subject {
		d := driver(t)
		store := filepath.Join(d.Dir, "store", "a")
		require.NoError(t, os.MkdirAll(store, 0o755))
		for name, text := range map[string]string{"blue": first.Digest(), "committed": first.Digest(), "weight.blue": "100"} {
			require.NoError(t, os.WriteFile(filepath.Join(store, name), []byte(text), 0o644))
		}
		return rollouttest.Subject{Driver: d, Targets: []string{"a"}, First: first.Digest(), Second: second.Digest(), TTL: 5 * time.Second, Passive: true}
	})
}

func spec(release rollout.Release) rollout.Spec {
	return rollout.Spec{Environment: "prod", Release: release, Targets: []string{"a", "b"}, Strategy: rollout.Canary,
		Bake: rollout.Duration(time.Second), Interval: rollout.Duration(time.Second),
		Gates: rollout.Gates{Times: 1, Every: rollout.Duration(time.Second), Deadline: rollout.Duration(time.Minute)},
		Hooks: rollout.Hooks{Before: []string{"migrate", "a b"}}}
}

func TestRun(t *testing.T) {
	d := driver(t)
	runner := rollout.Runner{Driver: d, Owner: "me"}
	for _, release := range []rollout.Release{first, second} {
		d.Release, d.Version, d.Place = release.Digest(), "1.2.3", "/releases/here"
		result := runner.Run(t.Context(), spec(release))
		require.Equal(t, rollout.Done, result.Outcome, result.Cause)
		for _, target := range result.Observed.Targets {
			assert.True(t, target.Live(release.Digest()), "%+v", target)
		}
	}
	request, err := os.ReadFile(filepath.Join(d.Dir, "store", "a", "request"))
	require.NoError(t, err)
	assert.JSONEq(t, `{"verb":"hook","service":"greeter-prod","target":"a","release":"`+second.Digest()+`","version":"1.2.3","dir":"/releases/here","hook":["migrate","a b"],"fence":2}`, string(request))
	failing := spec(first)
	failing.Hooks.Before = []string{"false"}
	result := runner.Run(t.Context(), failing)
	assert.Equal(t, rollout.RolledBack, result.Outcome)
	var hook *rollout.HookError
	require.ErrorAs(t, result.Cause, &hook)
	assert.Equal(t, []string{"no such column"}, hook.Output)
	assert.Equal(t, 7, hook.ExitCode)
}

func TestErrors(t *testing.T) {
	d := driver(t)
	_, err := d.Probe(t.Context(), rollout.Place{Target: "a", Slot: "blue", Release: "x"})
	assert.EqualError(t, err, "probe a: "+d.Commands.Probe[0]+" ended with exit code 3: nothing runs there")
	d.Commands.Observe = []string{"echo", "hello"}
	observed, err := d.Observe(t.Context(), []string{"a"})
	require.NoError(t, err)
	assert.Contains(t, observed.Target("a").Unseen, "is no answer")
	d.Commands.Observe = []string{"/nowhere/at-all"}
	observed, err = d.Observe(t.Context(), []string{"a"})
	require.NoError(t, err)
	assert.Contains(t, observed.Target("a").Unseen, "no such file")
	d.Commands.Observe = []string{"yes", strings.Repeat("x", 1000)}
	observed, err = d.Observe(t.Context(), []string{"a"})
	require.NoError(t, err)
	assert.NotEmpty(t, observed.Target("a").Unseen, "an answer without end")
}

// What hangs is ended, with what it started.
func TestRun_EndsWhatHangs(t *testing.T) {
	d := driver(t)
	d.Commands.Probe = []string{"sh", "-c", "trap '' TERM; sleep 1000 & echo $! >child; wait; sleep 1000"}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := d.Probe(ctx, rollout.Place{Target: "a"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	child, err := os.ReadFile(filepath.Join(d.Dir, "child"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat")
		return err != nil || strings.Contains(string(state), ") Z ")
	}, 10*time.Second, 10*time.Millisecond)
}

func TestLock(t *testing.T) {
	d := driver(t)
	d.Commands.Lock = []string{"sh", "-c", `echo "$SLIPWAY_LOCK $SLIPWAY_TARGET $SLIPWAY_OWNER" >>locks`}
	lease, err := d.Acquire(t.Context(), "a", "me", time.Minute)
	require.NoError(t, err)
	require.NoError(t, d.Renew(t.Context(), "a", lease.Fence, time.Minute))
	require.NoError(t, d.Return(t.Context(), "a", lease.Fence))
	said, err := os.ReadFile(filepath.Join(d.Dir, "locks"))
	require.NoError(t, err)
	assert.Equal(t, "acquire a me\nrenew a me\nreturn a me\n", string(said))

	d.Commands.Lock = []string{"sh", "-c", `echo '{"owner":"ada@laptop"}'; exit 75`}
	_, err = d.Acquire(t.Context(), "a", "me", time.Minute)
	var held *rollout.HeldError
	require.ErrorAs(t, err, &held)
	assert.Equal(t, "ada@laptop", held.Lease.Owner)
	_, mine := d.lease("a")
	assert.False(t, mine, "what was not had everywhere is given back here")

	d.Commands.Lock = []string{"false"}
	_, err = d.Acquire(t.Context(), "a", "me", time.Minute)
	assert.False(t, errors.As(err, &held) && held.Lease.Owner == "somebody else", "one that is broken is nobody's")
	assert.ErrorContains(t, err, "exit code 1")
}

func TestHistory(t *testing.T) {
	d := driver(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		require.NoError(t, d.Record(rollout.Record{Action: rollout.Deploy, Version: version, Outcome: rollout.Done}))
	}
	file, err := os.OpenFile(d.historyFile(), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"seq":3,"ver`)
	require.NoError(t, errors.Join(err, file.Close()))
	history, err := d.History()
	require.NoError(t, err)
	require.Len(t, history, 2)
	assert.Equal(t, "1.1.0", history[1].Version)
	assert.EqualValues(t, 2, history[1].Seq)
	require.NoError(t, d.Record(rollout.Record{Version: "1.2.0"}))
	history, err = d.History()
	require.NoError(t, err)
	require.Len(t, history, 3, "a line that was cut off takes no other with it")
}
