//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

var (
	releaseA = rollout.Release{Artifact: "a"}.Digest()
	releaseB = rollout.Release{Artifact: "b"}.Digest()
)

// crashing is a disk whose machine loses its power before the n-th thing that is done to it.
type crashing struct {
	disk
	left int
}

type powerLoss struct{}

func (c *crashing) tick() {
	if c.left == 0 {
		panic(powerLoss{})
	}
	c.left--
}

func (c *crashing) OpenFile(name string, flag int, mode os.FileMode) (*os.File, error) {
	c.tick()
	return c.disk.OpenFile(name, flag, mode)
}
func (c *crashing) Link(from, to string) error   { c.tick(); return c.disk.Link(from, to) }
func (c *crashing) Rename(from, to string) error { c.tick(); return c.disk.Rename(from, to) }
func (c *crashing) Remove(name string) error     { c.tick(); return c.disk.Remove(name) }

// survives runs something on a disk, and says whether it came to its end.
func survives(do func()) (survived bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(powerLoss); !ok {
				panic(r)
			}
		}
	}()
	do()
	return true
}

// At every moment the state is the old one or the new one.
func TestStateSurvivesEveryCrash(t *testing.T) {
	crashes := 0
	for n := 0; ; n++ {
		root, err := openDisk(t.TempDir())
		require.NoError(t, err)
		require.NoError(t, root.Mkdir(app, 0o755))
		before := state{Version: stateVersion, Committed: releaseA, Fence: 1}
		require.NoError(t, saveState(root, app, before))
		before.Fence = 2
		require.NoError(t, saveState(root, app, before))
		after := before.commit(releaseB)
		ended := survives(func() { assert.NoError(t, saveState(&crashing{disk: root, left: n}, app, after)) })
		found, err := loadState(root, app)
		require.NoError(t, err)
		assert.Contains(t, []string{releaseA, releaseB}, found.Committed)
		assert.False(t, found.Torn)
		require.NoError(t, saveState(root, app, after), "it can be written again")
		found, err = loadState(root, app)
		require.NoError(t, err)
		assert.Equal(t, releaseB, found.Committed)
		if ended {
			break
		}
		crashes++
	}
	assert.Greater(t, crashes, 5)
}

func TestATornStateIsTheOneBefore(t *testing.T) {
	root, err := openDisk(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, root.Mkdir(app, 0o755))
	st := state{Version: stateVersion, Committed: releaseA, Fence: 7, Lease: &lease{Owner: "one"}}
	require.NoError(t, saveState(root, app, st))
	require.NoError(t, saveState(root, app, st.commit(releaseB)))
	for _, torn := range []string{"", "{", `{"version":1,"committed":"../../etc"}`, "\x00\x00"} {
		require.NoError(t, replace(root, app+"/"+stateFile, 0o600, []byte(torn)))
		found, err := loadState(root, app)
		require.NoError(t, err)
		assert.Equal(t, releaseA, found.Committed)
		assert.Greater(t, found.Fence, uint64(7), "a number that may have been given is not given again")
		assert.Nil(t, found.Lease)
	}
	require.NoError(t, root.Remove(app+"/"+olderFile))
	_, err = loadState(root, app)
	require.Error(t, err, "a state that is lost is not a new machine")
	require.NoError(t, replace(root, app+"/"+stateFile, 0o600, []byte(`{"version":2}`)))
	_, err = loadState(root, app)
	assert.ErrorContains(t, err, "version 2")
}

func TestLease(t *testing.T) {
	at := func(since time.Duration, boot string) moment {
		return moment{boot: boot, since: since, wall: time.Unix(1000, 0)}
	}
	st, err := state{}.acquire("one", 30*time.Second, at(100*time.Second, "b"))
	require.NoError(t, err)
	assert.Equal(t, uint64(1), st.Fence)
	assert.NoError(t, st.holds(1, at(129*time.Second, "b")))
	for name, now := range map[string]moment{"it is over": at(130*time.Second, "b"), "another boot": at(101*time.Second, "c"), "a clock that jumped back": at(1*time.Second, "b")} {
		assert.Error(t, st.holds(1, now), name)
	}
	assert.Error(t, st.holds(2, at(101*time.Second, "b")))
	_, err = st.acquire("two", time.Second, at(101*time.Second, "b"))
	var p *problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, protocol.Held, p.Kind)
	assert.Equal(t, "one", p.Lease.Owner)
	again, err := st.acquire("one", time.Second, at(101*time.Second, "b"))
	require.NoError(t, err)
	assert.Equal(t, uint64(2), again.Fence)
	assert.Error(t, again.holds(1, at(101*time.Second, "b")), "the number before is over")
	assert.NotNil(t, again.give(1).Lease, "an old owner ends nothing")
	assert.Nil(t, again.give(2).Lease)
}

func TestInitStart(t *testing.T) {
	assert.Equal(t, "/777", initStart("1 (sys (d) x) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000"))
	assert.Empty(t, initStart(""))
	assert.Empty(t, initStart("1 (systemd) S 0"))
}

// bench is a machine in a directory whose commands do nothing.
func bench(t *testing.T) *machine {
	t.Helper()
	root := t.TempDir()
	m, err := newMachine(root + protocol.HelperDir + "/x/slipway-host")
	require.NoError(t, err)
	for _, dir := range []string{"proc/sys/kernel/random", protocol.UnitDir, protocol.StateDir} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "proc/sys/kernel/random/boot_id"), []byte("boot"), 0o600))
	m.systemd.run = func(context.Context, ...string) (string, error) { return "", nil }
	return m
}

// Twenty deployers at once: one has the lease, and no step is done beside another or under a number that is over.
func TestRacers(t *testing.T) {
	m := bench(t)
	var inside, highest, steps, wins, refusals atomic.Int64
	deployer := func(name string) {
		s, err := m.service(app)
		if !assert.NoError(t, err) {
			return
		}
		defer s.close()
		for range 25 {
			lease, err := s.acquire(t.Context(), name, 50*time.Millisecond)
			if err != nil {
				refusals.Add(1)
				continue
			}
			wins.Add(1)
			for range 3 {
				err := s.step(t.Context(), lease.Fence, func() error {
					assert.EqualValues(t, 1, inside.Add(1), "two steps at once")
					defer inside.Add(-1)
					before := highest.Swap(int64(lease.Fence))
					assert.LessOrEqual(t, before, int64(lease.Fence), "a step of an older lease came after one of a newer")
					steps.Add(1)
					return nil
				})
				if err != nil {
					var p *problem
					assert.ErrorAs(t, err, &p)
					assert.Equal(t, protocol.Fenced, p.Kind)
				}
			}
			assert.NoError(t, s.giveBack(t.Context(), lease.Fence))
		}
	}
	var racers sync.WaitGroup
	for i := range 20 {
		racers.Go(func() { deployer(fmt.Sprint("racer ", i)) })
	}
	racers.Wait()
	t.Logf("%d leases, %d steps, %d refusals", wins.Load(), steps.Load(), refusals.Load())
	assert.Positive(t, wins.Load())
	assert.Positive(t, steps.Load())
}

func TestPutTakesOnlyWhatWasAnnounced(t *testing.T) {
	s, err := bench(t).service(app)
	require.NoError(t, err)
	defer s.close()
	content := "the content"
	const digest = "6cf78d4dbf4d1f1e2c4d9f4f9d1d9d2d0a0c9b8b7f1f1f1f1f1f1f1f1f1f1f1f"
	require.Error(t, s.put(digest, int64(len(content)), strings.NewReader(content)))
	require.Error(t, s.put("../../etc/passwd", 1, strings.NewReader("x")))
	real := sumOf(content)
	require.ErrorContains(t, s.put(real, int64(len(content)), strings.NewReader(content[:4])), "4 of 11 bytes")
	left, err := names(s.store, blobs)
	require.NoError(t, err)
	assert.Empty(t, left, "nothing is left of what was cut off")
	require.NoError(t, s.put(real, int64(len(content)), strings.NewReader(content+"more")))
	missing, err := s.missing([]string{real, digest})
	require.NoError(t, err)
	assert.Equal(t, []string{digest}, missing)
	require.NoError(t, s.sweep(time.Now()))
	require.NoError(t, s.sweep(time.Now().Add(2*old)))
	missing, err = s.missing([]string{real})
	require.NoError(t, err)
	assert.NotEmpty(t, missing, "what nobody uses is swept after a while")
}

func TestStageRefusesWhatLeadsOut(t *testing.T) {
	s, err := bench(t).service(app)
	require.NoError(t, err)
	defer s.close()
	good := protocol.Release{Release: rollout.Release{Artifact: "a"}, Digest: releaseA, Service: app,
		Slots: map[string]protocol.Instance{rollout.Blue: {Unit: "[Service]\n", Port: 20001}}}
	require.NoError(t, s.stage(t.Context(), good))
	for name, change := range map[string]func(*protocol.Release){
		"another digest": func(r *protocol.Release) { r.Digest = releaseB },
		"other service":  func(r *protocol.Release) { r.Service = "other" },
		"path":           func(r *protocol.Release) { r.Files = []protocol.File{{Path: "../../x", SHA256: sumOf("")}} },
		"absolute":       func(r *protocol.Release) { r.Files = []protocol.File{{Path: "/etc/x", SHA256: sumOf("")}} },
		"manifest":       func(r *protocol.Release) { r.Files = []protocol.File{{Path: manifestFile, SHA256: sumOf("")}} },
		"setuid":         func(r *protocol.Release) { r.Files = []protocol.File{{Path: "x", SHA256: sumOf(""), Mode: 0o4755}} },
		"digest of file": func(r *protocol.Release) { r.Files = []protocol.File{{Path: "x", SHA256: "../x"}} },
		"slot":           func(r *protocol.Release) { r.Slots = map[string]protocol.Instance{"../red": {Unit: "x"}} },
		"no slot":        func(r *protocol.Release) { r.Slots = nil },
		"foreign unit": func(r *protocol.Release) {
			r.Traffic.Proxy = &protocol.Proxy{Binary: sumOf(""), Units: map[string]string{"sshd.service": ""}}
		},
	} {
		bad := good
		change(&bad)
		assert.Error(t, s.stage(t.Context(), bad), name)
	}
	list, err := s.releases()
	require.NoError(t, err)
	assert.Len(t, list, 1)
}

// What has the same content has one copy, unless the modes differ: a secret is never readable because a file is.
func TestModesOfTheSameContent(t *testing.T) {
	s, err := bench(t).service(app)
	require.NoError(t, err)
	defer s.close()
	require.NoError(t, s.put(sumOf("x"), 1, strings.NewReader("x")))
	for i, files := range [][]protocol.File{
		{{Path: "share/x", SHA256: sumOf("x"), Mode: 0o644}, {Path: "credentials/X", SHA256: sumOf("x"), Mode: 0o644}},
		{{Path: "credentials/X", SHA256: sumOf("x"), Mode: 0o400}, {Path: "x", SHA256: sumOf("x"), Mode: 0o644}},
	} {
		r := protocol.Release{Release: rollout.Release{Artifact: fmt.Sprint(i)}, Service: app, Files: files, Slots: map[string]protocol.Instance{rollout.Blue: {Unit: "x"}}}
		r.Digest = r.Release.Digest()
		require.NoError(t, s.stage(t.Context(), r))
		sum, err := checkDigest(r.Digest)
		require.NoError(t, err)
		for _, f := range files {
			info, err := s.store.Stat(s.releaseFile(sum, f.Path))
			require.NoError(t, err)
			wanted := os.FileMode(f.Mode)
			if strings.HasPrefix(f.Path, credentials) {
				wanted = 0o400
			}
			assert.Equal(t, wanted, info.Mode().Perm(), f.Path)
		}
	}
}

func TestSurplus(t *testing.T) {
	var list []manifest
	digests := make([]string, 10)
	for i := range digests {
		digests[i] = rollout.Release{Artifact: fmt.Sprint(i)}.Digest()
		list = append(list, manifest{Release: protocol.Release{Digest: digests[i]}, Order: i})
	}
	v := view{state: state{Committed: digests[0], Previous: digests[1], Slots: map[string]string{rollout.Blue: digests[2]}},
		slots: []slot{{name: rollout.Blue}, {name: rollout.Green, release: digests[3], unit: unitState{"ActiveState": "activating"}}}}
	assert.Equal(t, digests[4:8], surplus(v, list, 2))
	assert.Empty(t, surplus(v, list, 6))
	assert.Equal(t, digests[4:], surplus(v, list, 0))
	assert.Empty(t, surplus(v, nil, 5))
}

func TestHistory(t *testing.T) {
	s, err := bench(t).service(app)
	require.NoError(t, err)
	defer s.close()
	record := func(id, version string) {
		require.NoError(t, s.record(t.Context(), protocol.Request{ID: id, Entry: &protocol.Entry{Actor: "me", Action: "deploy", Version: version, Steps: []byte(`[{"verb": "start"}]`)}}))
	}
	record("1", "1.0.0")
	record("2", "1.1.0")
	record("2", "1.1.0")
	entries, broken, err := s.history()
	require.NoError(t, err)
	assert.Empty(t, broken)
	require.Len(t, entries, 2)
	assert.Equal(t, uint64(2), entries[1].Seq)
	info, err := s.store.Stat(s.file(historyFile))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())

	require.NoError(t, s.append(historyFile, []byte(`{"seq":3,"act`)), "the power goes in the middle of a line")
	record("3", "1.2.0")
	entries, broken, err = s.history()
	require.NoError(t, err)
	assert.Empty(t, broken)
	require.Len(t, entries, 3)
	assert.Equal(t, "1.2.0", entries[2].Version)

	data, err := s.store.ReadFile(s.file(historyFile))
	require.NoError(t, err)
	require.NoError(t, replace(s.store, s.file(historyFile), 0o640, []byte(strings.Replace(string(data), "1.1.0", "6.6.6", 1))))
	_, broken, err = s.history()
	require.NoError(t, err)
	assert.Contains(t, broken, "entry 2")
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256Of(text)) }

func TestParseUnit(t *testing.T) {
	text := "[Service]\nExecStart=/bin/true\n"
	whole := parseUnit(mark(releaseA, text))
	assert.True(t, whole.whole())
	assert.Equal(t, releaseA, whole.release)
	assert.Equal(t, text, whole.text)
	assert.NoError(t, whole.ours("x.service"))
	edited := parseUnit(mark(releaseA, text) + "Nice=5\n")
	assert.True(t, edited.edited)
	assert.ErrorContains(t, edited.ours("x.service"), "changed by hand")
	for _, foreign := range []string{"", text, marker, marker + "release=x sha256=y\n", "# managed by somebody else\n"} {
		assert.ErrorContains(t, parseUnit(foreign).ours("x.service"), "did not write it", foreign)
	}
	assert.NoError(t, unitFile{}.ours("x.service"), "what is not there is nobody's")
	assert.True(t, slices.Contains(strings.Split(mark("", text), "\n"), "[Service]"))
}
