package ship_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/ship"
)

// hog takes memory once its group has a limit, or is killed while there is none.
const hog = `package hog

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const salt = "SALT"

func limited() bool {
	for _, file := range []string{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"} {
		text, _ := os.ReadFile(file)
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n <= 256<<20 {
			return true
		}
	}
	return false
}

func TestHog(t *testing.T) {
	t.Log(salt)
	for begun := time.Now(); KILLED || !limited(); time.Sleep(50 * time.Millisecond) {
		if KILLED {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		if time.Since(begun) > time.Minute {
			t.Skip("nobody set a limit")
		}
	}
	var all [][]byte
	for range 1024 {
		all = append(all, []byte(strings.Repeat("hog ", 1<<18)))
	}
	t.Log(len(all))
}
`

func hogModule(t *testing.T, dir, killed string) module {
	t.Helper()
	text := strings.NewReplacer("SALT", time.Now().String(), "KILLED", killed).Replace(hog)
	return newModule(t, "tool", map[string]string{dir + "/hog_test.go": text, "slipway.yaml": "version: 1\nverify: {race: false}\n"})
}

func hogOptions(o *ship.Options) {
	o.Skip = append(o.Skip, "vet", "gofmt", "mod tidy", "mod verify", "vulnerabilities")
}

// E8: a command that ran out of memory is told apart from one that was killed, and the limit is named.
func TestOutOfMemory(t *testing.T) {
	needsEngine(t)
	if os.Geteuid() != 0 {
		t.Skip("it limits a control group: needs root")
	}
	m := hogModule(t, "hog", "false")
	limited := make(chan string, 1)
	go func() { limited <- limitHog(t, "268435456") }()
	run := m.fails(ship.Verify, hogOptions)
	if why := <-limited; why != "" {
		t.Skip(why)
	}
	assert.Equal(t, "it ran out of memory and the kernel killed it: its limit is 256 MiB", failureOf(t, run, "verify", "").Cause)
}

func TestKilledIsNotOutOfMemory(t *testing.T) {
	needsEngine(t)
	run := hogModule(t, "victim", "true").fails(ship.Verify, hogOptions)
	failure := failureOf(t, run, "verify", "")
	assert.NotContains(t, failure.Cause, "memory")
	assert.Contains(t, strings.Join(failure.Tail, "\n")+failure.Title, "killed")
}

// limitHog waits for the hog and limits the control group of its container. It returns why that cannot be done here.
func limitHog(t *testing.T, limit string) string {
	found := ""
	if !assert.Eventually(t, func() bool { found = findHog(); return found != "" }, 4*time.Minute, 50*time.Millisecond, "the hog runs") {
		return ""
	}
	groups, err := os.ReadFile(filepath.Join(found, "cgroup"))
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		file := filepath.Join("/sys/fs/cgroup", parts[2], "memory.max")
		if parts[1] == "memory" {
			file = filepath.Join("/sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes")
		}
		if _, err := os.Stat(file); err == nil && (parts[1] == "memory" || parts[0] == "0") {
			if err := os.WriteFile(file, []byte(limit), 0o644); err != nil {
				return err.Error()
			}
			return ""
		}
	}
	return "there is no memory controller here"
}

// findHog is the hog's directory in /proc.
func findHog() string {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is well-formed
	for _, name := range names {
		if comm, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(comm)) == "hog.test" {
			return filepath.Dir(name)
		}
	}
	return ""
}
