package command_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/internal/hosttest"
)

// ownCache is a cache of the test's own: what was built for the user's engine, and an engine with a state of its own that
// may be killed.
func ownCache(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("it starts an engine: needs root")
	}
	users, err := ship.CacheDir(os.Getenv)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(users, "engine", "layers"), 0o755))
	cache, err := os.MkdirTemp(users, "test-")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(cache, "engine"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(users, "rootfs"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(users, "engine", "layers"), filepath.Join(cache, "engine", "layers")))
	require.NoError(t, os.Symlink(filepath.Join(users, "rootfs"), filepath.Join(cache, "rootfs")))
	t.Setenv("SLIPWAY_CACHE", cache) // before the cleanup, which must still see it
	t.Cleanup(func() {
		out, err := exec.Command("slipway", "engine", "stop").CombinedOutput()
		assert.NoError(t, err, string(out))
		assert.NoError(t, os.RemoveAll(cache))
	})
	startEngine(t)
	return cache
}

// saltedModule is a small module that is new each time its salt changes, so that there is something to do.
func saltedModule(t *testing.T) (dir string, salt func(string)) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "salted")
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write("go.mod", "module example.com/salted\n\ngo 1.25\n")
	write("slipway.yaml", "version: 1\nverify: {race: false}\napps:\n  - name: salted\n    targets: [linux/amd64, linux/arm64, windows/amd64]\n")
	write("main.go", "package main\n\nfunc main() { println(salt) }\n")
	write("slow/slow_test.go", "package slow\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nfunc TestSlow(t *testing.T) { t.Log(salt); time.Sleep(4 * time.Second) }\n")
	salt = func(grain string) {
		write("salt.go", fmt.Sprintf("package main\n\nconst salt = %q\n", grain))
		write("slow/salt.go", fmt.Sprintf("package slow\n\nconst salt = %q\n", grain))
	}
	salt("first")
	return dir, salt
}

// shipping is a run of the command that can be looked at while it goes on.
type shipping struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	text  strings.Builder
	lines []string
}

func startShipping(t *testing.T, dir string) *shipping {
	t.Helper()
	s := &shipping{done: make(chan struct{})}
	s.cmd = exec.Command("slipway", "ship", "-v", "-C", dir, "--engine", "embedded", "--skip", "staticcheck,vulnerabilities,vet,mod tidy,mod verify,gofmt")
	s.cmd.Env = append(os.Environ(), mark(dir), "CI=true")
	stderr, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.hear(lines.Text())
		}
		_ = s.cmd.Wait() // the exit code is looked at later
	}()
	return s
}

func (s *shipping) hear(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(line + "\n")
	s.lines = append(s.lines, line)
}

// says waits until a line with one of the words comes after those before; it returns when, or false when the run ended
// without or time was up.
func (s *shipping) says(patience time.Duration, words ...string) (time.Time, bool) {
	deadline := time.After(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if s.heard(words...) {
			return time.Now(), true
		}
		select {
		case <-deadline:
			return time.Now(), false
		case <-s.done:
			return time.Now(), s.heard(words...)
		case <-ticker.C:
		}
	}
}

func (s *shipping) heard(words ...string) bool {
	text := s.output()
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func (s *shipping) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// last is the last line so far, to say where a run was.
func (s *shipping) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		return "begins"
	}
	return strings.Join(strings.Fields(s.lines[len(s.lines)-1]), " ")
}

func (s *shipping) ends(t *testing.T, patience time.Duration) int {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		require.Fail(t, "the run hangs", "%s", s.output())
	}
	return s.cmd.ProcessState.ExitCode()
}

// What a run says when its engine died: the first time, and when that happened again.
const (
	saysAgain = "starting it again, once"
	saysTwice = "the engine died in the middle of the run, twice"
)

// runPatience is how long a run may take after the engine and with it the compiled standard library are gone, on a machine that has
// much else to do. A run that hangs never ends.
const runPatience = 15 * time.Minute

// overAlready is where a kill fell that came too late.
const overAlready = "it was over"

// blow is one kill of the engine in a run, and what came of it.
type blow struct {
	number  int
	moment  time.Duration // after the run's beginning
	where   string        // what the run had said last
	twice   bool          // the engine that it started again is killed too
	told    time.Duration // until the run said so; 0 when it was over already
	code    int           // of the run
	next    int           // of the next one
	nextFor time.Duration
	left    []string // what was left behind
}

// strike runs the command once, kills the engine at a moment, and runs the command again.
func strike(t *testing.T, dir string, b *blow) {
	t.Helper()
	startEngine(t)
	engine, group, processes := engineOf(t)
	before := litter(t)
	s := startShipping(t, dir)
	select {
	case <-time.After(b.moment):
	case <-s.done:
	}
	b.where = s.last()
	require.NoError(t, syscall.Kill(engine, syscall.SIGKILL))
	killed := time.Now()
	if at, heard := s.says(10*time.Second, saysAgain); heard {
		b.told = at.Sub(killed)
	}
	hosttest.RequireGone(t, processes)
	if b.twice && b.told > 0 {
		strikeAgain(t, s, b, engine)
	}
	b.code = s.ends(t, runPatience)
	if b.code == 0 && b.told == 0 {
		b.where = overAlready
	}
	begun := time.Now()
	next := startShipping(t, dir)
	b.next = next.ends(t, runPatience)
	b.nextFor = time.Since(begun)
	b.left = leftBehind(t, dir, group, before)
	if b.bad() {
		t.Logf("%+v\n%s\nnext:\n%s", *b, s.output(), next.output())
	}
}

// strikeAgain kills the engine that the run has started again.
func strikeAgain(t *testing.T, s *shipping, b *blow, before int) {
	t.Helper()
	var engine int
	require.Eventually(t, func() bool {
		state, err := embedded.Status(t.Context(), options())
		engine = state.Engine
		return err == nil && state.Phase == embedded.PhaseRunning && engine != before
	}, time.Minute, 20*time.Millisecond, "the run starts another engine")
	require.NoError(t, syscall.Kill(engine, syscall.SIGKILL))
	killed := time.Now()
	at, heard := s.says(10*time.Second, saysTwice, "no engine to build with")
	assert.True(t, heard, s.output())
	b.told = max(b.told, at.Sub(killed))
}

// wedge stops the engine's process in the middle of a run without ending it: it is there, and answers nobody.
func wedge(t *testing.T, dir string) {
	t.Helper()
	startEngine(t)
	engine, _, processes := engineOf(t)
	s := startShipping(t, dir)
	_, heard := s.says(time.Minute, "$ go test")
	require.True(t, heard, s.output())
	require.NoError(t, syscall.Kill(engine, syscall.SIGSTOP))
	begun := time.Now()
	_, heard = s.says(40*time.Second, "it has not answered for 20s; starting it again, once")
	assert.True(t, heard, s.output())
	t.Logf("a wedged engine was told after %s", time.Since(begun).Round(time.Millisecond))
	assert.Zero(t, s.ends(t, 3*time.Minute), s.output())
	hosttest.RequireGone(t, processes)
}

// bad tells whether something was not as it must be.
func (b blow) bad() bool {
	again := b.told > 0 || b.where == overAlready
	wanted := 0
	if b.twice && b.told > 0 {
		wanted = 1
	}
	return !again || b.told > 10*time.Second || b.next != 0 || len(b.left) > 0 || (b.code != wanted && b.code != 3*wanted)
}

func options() embedded.Options {
	return ship.EmbeddedOptions(os.Getenv("SLIPWAY_CACHE"), os.Getenv, func(string) {})
}

// startEngine starts it as a process: this one could not become a supervisor.
func startEngine(t *testing.T) {
	t.Helper()
	out, err := exec.Command("slipway", "engine", "start").CombinedOutput()
	require.NoError(t, err, string(out))
}

// engineOf is the engine that runs in the test's cache, its cgroup, and all of its processes.
func engineOf(t *testing.T) (engine int, group string, all []hosttest.Process) {
	t.Helper()
	state, err := embedded.Status(t.Context(), options())
	require.NoError(t, err)
	require.Equal(t, embedded.PhaseRunning, state.Phase)
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", state.Engine))
	require.NoError(t, err)
	_, group, _ = strings.Cut(string(groups), "/slipway-")
	group, _, _ = strings.Cut(group, "\n")
	group, _, _ = strings.Cut(group, "/")
	return state.Engine, "slipway-" + group, hosttest.Family(state.Supervisor)
}

// litter is what may lie around on a machine, of whatever origin.
func litter(t *testing.T, more ...string) (all []string) {
	t.Helper()
	for _, pattern := range append(more, "/run/netns/*", "/tmp/slipway-*[0-9]") {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

// leftBehind lists what a run and an engine that was killed should have taken with them. Before is the litter of others.
func leftBehind(t *testing.T, dir, group string, before []string) (left []string) {
	t.Helper()
	left = slices.DeleteFunc(litter(t, "/sys/fs/cgroup/"+group, "/sys/fs/cgroup/*/"+group), func(path string) bool { return slices.Contains(before, path) })
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	if strings.Contains(string(mounts), os.Getenv("SLIPWAY_CACHE")) {
		left = append(left, "a mount in the cache")
	}
	return append(append(left, staging(t, dir)...), lasting(dir)...)
}

// E1: wherever the engine is killed, the run says so within ten seconds, goes on with a new one, and nothing stays behind.
// When that one is killed too, the run ends with a card, and the next run succeeds. "make soak" does it thirty times.
func TestEngineKilledInARun(t *testing.T) {
	ownCache(t)
	blows := 3
	if text := os.Getenv("SLIPWAY_SOAK"); text != "" {
		var err error
		blows, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	dir, salt := saltedModule(t)
	require.Zero(t, startShipping(t, dir).ends(t, 2*runPatience), "the caches are warm then")
	salt("measured")
	begun := time.Now()
	require.Zero(t, startShipping(t, dir).ends(t, 2*runPatience))
	length := time.Since(begun)

	before := hosttest.State(t)
	var table []blow
	missed := 0 // that came when the run was over: they count for nothing
	for len(table) < blows && missed < 2*blows {
		b := blow{number: len(table) + 1, moment: rand.N(length * 9 / 10), twice: len(table)%3 == 2}
		salt(fmt.Sprint("blow ", b.number, missed))
		strike(t, dir, &b)
		t.Logf("%+v", b)
		assert.False(t, b.bad(), "%+v", b)
		if b.told == 0 && b.where == overAlready {
			missed++
			length = min(length, b.moment) // caches have become warmer
			continue
		}
		table = append(table, b)
		writeTable(t, "kill.md", killTable(table, missed))
	}
	assert.Len(t, table, blows)
	salt("wedged")
	wedge(t, dir)
	out, err := exec.Command("slipway", "engine", "stop").CombinedOutput()
	require.NoError(t, err, string(out))
	hosttest.RequireSame(t, before, "cgroups", "mounts", "listeners") // others' too; ours were looked for above
	t.Log("\n" + killTable(table, missed))
}

// killTable is the table in docs/soak.md.
func killTable(table []blow, missed int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d kills fell into a run; %d more came when the run was over, and are not counted:\n\n", len(table), missed)
	b.WriteString("| # | killed after | while it said | told after | exit code | next run | left behind |\n|---|---|---|---|---|---|---|\n")
	for _, each := range table {
		told, where := fmt.Sprintf("%d ms", each.told.Milliseconds()), strings.ReplaceAll(each.where, "|", " ")
		if each.told == 0 {
			told = "-"
		}
		if each.twice && each.told > 0 {
			where += " (and the second engine too)"
		}
		left := "nothing"
		if len(each.left) > 0 {
			left = strings.Join(each.left, " ")
		}
		fmt.Fprintf(&b, "| %d | %.1f s | %.60s | %s | %d | %d, %.1f s | %s |\n", each.number, each.moment.Seconds(), where, told, each.code, each.next, each.nextFor.Seconds(), left)
	}
	return b.String()
}

// writeTable writes a part of docs/soak.md, where "make soak" asks for it.
func writeTable(t *testing.T, name, text string) {
	t.Helper()
	if dir := os.Getenv("SLIPWAY_SOAK_TABLES"); dir != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}
