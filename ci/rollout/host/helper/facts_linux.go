package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// oldestSystemd is the first that knows all that our units say: Debian 11, RHEL 9, Ubuntu 22.04.
const oldestSystemd = 247

// fewInodes is when there are too few files left for a release.
const fewInodes = 1000

// facts says what the machine is and what stands in the way, and changes nothing.
func (m *machine) facts(ctx context.Context, r protocol.Request) (*protocol.Machine, error) {
	if err := checkName(r.Service); err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("ask for the host's name: %w", err)
	}
	found := &protocol.Machine{Hostname: hostname, OS: prettyName(m.read("etc/os-release")), Arch: runtime.GOARCH, Systemd: m.systemdVersion(ctx)}
	disk, err := m.statfs(protocol.StateDir)
	if err != nil {
		return nil, err
	}
	found.Free = int64(disk.Bavail) * int64(disk.Bsize) //nolint:unconvert // its type is another one on arm64
	needs := protocol.Needs{}
	if r.Needs != nil {
		needs = *r.Needs
	}
	found.Problems = slices.Concat(m.wrongMachine(found, needs), diskProblems(found, disk, needs), m.missingFiles(needs.Files), m.filebeatProblems(r.Service, needs.Filebeat))
	if found.Systemd == 0 {
		return found, nil // nothing else can be asked
	}
	more, err := m.taken(ctx, r.Service, needs)
	found.Problems = append(found.Problems, more...)
	return found, err
}

func prettyName(release string) string {
	for line := range strings.Lines(release) {
		if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}

// statfs asks for the disk of a directory that may not be there yet.
func (m *machine) statfs(dir string) (syscall.Statfs_t, error) {
	var disk syscall.Statfs_t
	for path := m.path(dir); ; path = filepath.Dir(path) {
		err := syscall.Statfs(path, &disk)
		if err == nil || path == "/" {
			return disk, err
		}
	}
}

func (m *machine) wrongMachine(found *protocol.Machine, needs protocol.Needs) []protocol.Problem {
	var problems []protocol.Problem
	if needs.Arch != "" && needs.Arch != found.Arch {
		problems = append(problems, protocol.Problem{What: fmt.Sprintf("the machine is linux/%s, and the program is built for linux/%s", found.Arch, needs.Arch),
			Next: "add linux/" + found.Arch + " to the app's targets"})
	}
	switch {
	case found.Systemd == 0:
		problems = append(problems, protocol.Problem{What: "systemd is not process 1 of this machine", Next: "deploy to a machine with systemd, or use driver: command"})
	case found.Systemd < oldestSystemd:
		problems = append(problems, protocol.Problem{What: fmt.Sprintf("systemd %d is too old for our units, which need %d", found.Systemd, oldestSystemd), Next: "upgrade the machine (Debian 11, RHEL 9 and Ubuntu 22.04 will do)"})
	}
	return problems
}

func diskProblems(found *protocol.Machine, disk syscall.Statfs_t, needs protocol.Needs) []protocol.Problem {
	var problems []protocol.Problem
	if wanted := 2 * needs.Bytes; found.Free < wanted {
		problems = append(problems, protocol.Problem{What: fmt.Sprintf("the disk with %s has %d MB free, and %d MB are needed (twice the upload)", protocol.StateDir, found.Free>>20, (wanted+1<<20-1)>>20), Next: "free some space, or make " + protocol.StateDir + " a link to a larger disk"})
	}
	if disk.Files > 0 && disk.Ffree < fewInodes {
		problems = append(problems, protocol.Problem{What: fmt.Sprintf("the disk with %s can take only %d more files", protocol.StateDir, disk.Ffree), Next: "remove files there"})
	}
	const noExecute = 0x8 // ST_NOEXEC
	if disk.Flags&noExecute != 0 {
		problems = append(problems, protocol.Problem{What: "the disk with " + protocol.StateDir + " is mounted noexec: no program starts from there", Next: "mount it without noexec"})
	}
	return problems
}

// missingFiles are those that a release names and does not bring. systemd reads them, as root.
func (m *machine) missingFiles(files []string) []protocol.Problem {
	var problems []protocol.Problem
	for _, name := range files {
		info, err := os.Stat(m.path(name))
		switch {
		case err != nil:
			problems = append(problems, protocol.Problem{What: fmt.Sprintf("the proxy needs %s, which cannot be read: %v", name, err), Next: "put the file there, or correct the path (proxy: tls)"})
		case !info.Mode().IsRegular():
			problems = append(problems, protocol.Problem{What: fmt.Sprintf("the proxy needs %s, which is no file", name), Next: "put the file there, or correct the path (proxy: tls)"})
		}
	}
	return problems
}

// taken is what belongs to somebody else: units, the account, ports.
func (m *machine) taken(ctx context.Context, name string, needs protocol.Needs) ([]protocol.Problem, error) {
	problems, err := m.foreignUnits(name)
	if err != nil {
		return nil, err
	}
	if err := m.foreignAccount(ctx, needs.User); err != nil {
		problems = append(problems, told(err))
	}
	units, err := m.systemd.show(ctx, name+"-"+rollout.Blue+".service", name+"-"+rollout.Green+".service", name+"-proxy.socket", name+"-proxy-a.service", name+"-proxy-b.service")
	if err != nil {
		return nil, err
	}
	for _, port := range needs.Ports {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if why := m.listens(ctx, address, units); why != "" {
			problems = append(problems, protocol.Problem{What: fmt.Sprintf("port %d, on which an instance is to listen, is taken by %s", port, why), Next: "stop that, or give the service other ports"})
		}
	}
	for _, address := range needs.Listen {
		if why := m.listens(ctx, address, units); why != "" {
			problems = append(problems, protocol.Problem{What: fmt.Sprintf("the proxy is to listen on %s, which is taken by %s", address, why),
				Next: "stop that, choose another address (proxy: listen), or keep it as the load balancer and tell it where traffic goes (switch: command)"})
		}
	}
	return append(problems, m.firewall(ctx, needs.Listen)...), nil
}

func told(err error) protocol.Problem {
	sent := answer(err)
	return protocol.Problem{What: sent.Message, Next: cmp.Or(sent.Next, "look at the machine")}
}

func (m *machine) foreignAccount(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	entry, err := m.passwd(ctx, name)
	if err != nil || entry == "" {
		return err
	}
	return checkAccount(name, entry)
}

// foreignUnits are those of our names that we did not write, or that were changed. Distributions have theirs elsewhere.
func (m *machine) foreignUnits(name string) ([]protocol.Problem, error) {
	var problems []protocol.Problem
	for _, suffix := range []string{"-blue.service", "-green.service", "-guard.service", "-proxy.socket", "-proxy-a.service", "-proxy-b.service"} {
		for _, dir := range []string{protocol.UnitDir, "usr/lib/systemd/system", "lib/systemd/system", "usr/local/lib/systemd/system"} {
			content, err := os.ReadFile(m.path(dir, name+suffix))
			if err != nil {
				continue
			}
			if err := parseUnit(string(content)).ours(name + suffix); err != nil {
				problems = append(problems, told(err))
				break // /lib is /usr/lib on most
			}
		}
	}
	return problems, nil
}

// listens says who listens on an address, "" when nobody does, or one of our units.
func (m *machine) listens(ctx context.Context, address string, ours map[string]unitState) string {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		listener.Close()
		return ""
	}
	_, port, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return "nobody, but it cannot be used: " + splitErr.Error()
	}
	pid, who := m.holder(port)
	if pid == 0 {
		return m.unseenHolder(port, ours, err)
	}
	for unit, state := range ours {
		if state["MainPID"] == strconv.Itoa(pid) || (state["ControlGroup"] != "" && strings.Contains(m.read(fmt.Sprintf("proc/%d/cgroup", pid)), state["ControlGroup"])) {
			return ""
		}
		// systemd itself holds the sockets of units.
		if pid == 1 && strings.HasSuffix(unit, ".socket") && state.up() && m.hasListen(unit, port) {
			return ""
		}
	}
	return who
}

// unseenHolder decides where the holder's process cannot be seen, as in another namespace.
func (m *machine) unseenHolder(port string, ours map[string]unitState, err error) string {
	for unit, state := range ours {
		if state.runs() && m.hasListen(unit, port) {
			return ""
		}
	}
	return "something that cannot be seen (" + err.Error() + ")"
}

// hasListen says whether a unit of ours names a port.
func (m *machine) hasListen(unit, port string) bool {
	return hasListen(m.read(filepath.Join(protocol.UnitDir, unit)), port)
}

func hasListen(text, port string) bool {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "ListenStream=")
		if ok && (value == port || strings.HasSuffix(value, ":"+port)) {
			return true
		}
	}
	return strings.Contains(text, `Environment="PORT=`+port+`"`)
}

// holder finds the process that listens on a port, by its open files.
func (m *machine) holder(port string) (pid int, who string) {
	number, err := strconv.Atoi(port)
	if err != nil {
		return 0, ""
	}
	inodes := map[string]bool{}
	for _, table := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		for _, inode := range listeners(m.read(table), number) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	processes, err := filepath.Glob(m.path("proc/[0-9]*/fd/*"))
	if err != nil || len(inodes) == 0 {
		return 0, ""
	}
	for _, file := range processes {
		target, err := os.Readlink(file)
		if err != nil || !inodes[target] {
			continue
		}
		id := filepath.Base(filepath.Dir(filepath.Dir(file)))
		found, err := strconv.Atoi(id)
		if err != nil {
			continue
		}
		if pid == 0 || found > pid { // systemd holds what its services listen on
			pid, who = found, fmt.Sprintf("%s (process %s)", m.read("proc/"+id+"/comm"), id)
		}
	}
	return pid, who
}

// listeners are the inodes of sockets that listen on a port, from a table of proc_net(5).
func listeners(table string, port int) []string {
	var inodes []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		const listening, inode = "0A", 9
		if len(fields) <= inode || fields[3] != listening {
			continue
		}
		_, hexPort, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseInt(hexPort, 16, 32); err == nil && int(n) == port {
			inodes = append(inodes, fields[inode])
		}
	}
	return inodes
}
