// Package hosttest looks at this machine before and after a test: what an engine must leave alone, and which processes are
// there. It is for tests alone.
package hosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// State is what an engine must leave alone. Whoever else works on this machine changes it too, so it is compared until
// it agrees.
func State(t *testing.T) map[string]string {
	t.Helper()
	read := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(content)
	}
	return map[string]string{
		"resolv.conf": read("/etc/resolv.conf"),
		"hosts":       read("/etc/hosts"),
		"forwarding":  read("/proc/sys/net/ipv4/ip_forward") + read("/proc/sys/net/ipv4/conf/all/forwarding") + read("/proc/sys/net/ipv6/conf/all/forwarding"),
		"listeners":   listeners(),
		"links":       columns(read("/proc/net/dev"), 0),
		"routes":      columns(read("/proc/net/route"), 0, 1, 2),
		"mounts":      columns(read("/proc/self/mountinfo"), 3, 4),
		"firewall":    firewall(),
		"cgroups":     strings.Join(glob("/sys/fs/cgroup/slipway-*", "/sys/fs/cgroup/*/slipway-*"), "\n"),
		"temporary":   strings.Join(glob("/tmp/slipway-*"), "\n"),
	}
}

func glob(patterns ...string) []string {
	var all []string
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern)
		all = append(all, found...)
	}
	return all
}

func columns(table string, wanted ...int) string {
	var lines []string
	for line := range strings.Lines(table) {
		fields, kept := strings.Fields(line), ""
		for _, i := range wanted {
			if i < len(fields) {
				kept += fields[i] + " "
			}
		}
		lines = append(lines, kept)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// listeners are local addresses of listening TCP sockets and of UDP sockets, without ports that any client gets.
func listeners() string {
	var lines []string
	for table, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		content, _ := os.ReadFile("/proc/net/" + table)
		for line := range strings.Lines(string(content)) {
			if fields := strings.Fields(line); len(fields) > 3 && fields[3] == state && !ephemeral(table, fields[1]) {
				lines = append(lines, table+" "+fields[1])
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func firewall() string {
	for _, argv := range [][]string{{"nft", "list", "ruleset"}, {"iptables-save"}} {
		if out, err := exec.Command(argv[0], argv[1:]...).Output(); err == nil {
			return string(out)
		}
	}
	return "no command to list it"
}

// ephemeral ports are those of clients, and on the loopback those of other programs' sessions with their engines.
func ephemeral(table, address string) bool {
	host, port, _ := strings.Cut(address, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	return (strings.HasPrefix(table, "udp") || host == "0100007F") && err == nil && number >= 32768
}

// RequireSame: of what comes and goes with others' work (listeners, groups), nothing may be new; the rest is equal.
func RequireSame(t *testing.T, before map[string]string, except ...string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for name, now := range State(t) {
			switch {
			case slices.Contains(except, name):
			case name == "listeners" || name == "cgroups" || name == "temporary":
				assert.Subset(c, strings.Split(before[name]+"\n", "\n"), strings.Split(now, "\n"), name)
			default:
				assert.Equal(c, before[name], now, name)
			}
		}
	}, 15*time.Second, 100*time.Millisecond)
}

// Process is one Process, whatever happens to its id later.
type Process struct {
	PID     int
	Started string
}

func (p Process) InOtherNamespace() bool {
	mine, _ := os.Readlink("/proc/self/ns/pid")
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.PID))
	return err == nil && its != mine
}

type Stat struct {
	Process
	Name   string
	Parent int
	Zombie bool
}

func StatOf(pid int) (Stat, bool) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, false
	}
	end := strings.LastIndex(string(content), ")")
	fields := strings.Fields(string(content)[end+1:])
	parent, _ := strconv.Atoi(fields[1])
	name := string(content)[strings.Index(string(content), "(")+1 : end]
	return Stat{Process: Process{PID: pid, Started: fields[19]}, Name: name, Parent: parent, Zombie: fields[0] == "Z"}, true
}

// Family is a Process with all that descend from it.
func Family(root int) []Process {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	children := map[int][]Stat{}
	for _, entry := range entries {
		pid, _ := strconv.Atoi(filepath.Base(entry))
		if s, ok := StatOf(pid); ok {
			children[s.Parent] = append(children[s.Parent], s)
		}
	}
	var all []Process
	if s, ok := StatOf(root); ok {
		all = append(all, s.Process)
	}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			all = append(all, child.Process)
			queue = append(queue, child.PID)
		}
	}
	return all
}

// RequireGone fails when a process, or a zombie of it, is there after two seconds.
func RequireGone(t *testing.T, processes []Process) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, p := range processes {
			s, ok := StatOf(p.PID)
			orphan := s.Zombie && s.Parent == 1 // it has ended; when init takes note of that is init's business
			assert.False(c, ok && s.Process == p && !orphan, "%+v %+v", p, s)
		}
	}, 2*time.Second, 10*time.Millisecond)
}
