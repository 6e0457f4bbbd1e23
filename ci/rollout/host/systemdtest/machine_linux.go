// Package systemdtest gives tests a machine in a directory: systemctl, journalctl and systemd-run that run real processes, and
// the helper built and installed as on a real one. It is for tests alone.
//
//	machine := systemdtest.New(t)
//	cmd := exec.Command(machine.Program, "call")
//	cmd.Env = machine.Environ()
//
// It needs no root and no systemd. What it knows of units is what Slipway's have: services that run, are started again, stop in
// time, get environment, credentials and sockets, and start with the machine. As with the real one, a unit that was changed on
// disk is not seen before daemon-reload.
package systemdtest

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

const module = "github.com/slipway-ci/slipway/ci/rollout/host/"

// Machine is a machine in a directory. It ends with its test.
type Machine struct {
	Root    string // its file system
	Program string // the helper's path, as it is called
	bin     string // its commands

	mu       sync.Mutex
	changed  *sync.Cond // tells that a unit changed its state, or a line was written
	units    map[string]*unit
	journal  []line
	accounts map[string]bool
	answers  map[string]string
	watch    func(Command)
	boots    int
	closed   bool
}

// Command is one that was run on the machine.
type Command struct {
	Name   string
	Args   []string
	Caller int  // the process that ran it
	Done   bool // it has had its effect
}

// String is the command as people read it.
func (c Command) String() string { return c.Name + " " + strings.Join(c.Args, " ") }

type line struct {
	unit string
	text string
}

// built are the programs that all machines of a test's process share. They are in the test's own temporary directory, so the
// directory of the first machine must not end before the last one: they are read into memory.
var built = sync.OnceValues(func() (map[string][]byte, error) { //nolint:gochecknoglobals // built once, and never changed
	dir, err := os.MkdirTemp("", "systemdtest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	programs := map[string][]byte{}
	for _, name := range []string{"helper", "systemdtest/shim", "systemdtest/service"} {
		file := filepath.Join(dir, filepath.Base(name))
		cmd := exec.Command("go", "build", "-o", file, module+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		if programs[name], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return programs, nil
})

// Programs are the helper and the small service, built for this machine's architecture.
func Programs(t testing.TB) (helper, service []byte) {
	t.Helper()
	programs, err := built()
	require.NoError(t, err)
	return programs["helper"], programs["systemdtest/service"]
}

// New starts a machine.
func New(t testing.TB) *Machine {
	t.Helper()
	programs, err := built()
	require.NoError(t, err)
	// Sockets have short paths, and the name of a test may be long.
	dir, err := os.MkdirTemp("", "machine-")
	require.NoError(t, err)
	m := &Machine{Root: filepath.Join(dir, "root"), bin: filepath.Join(dir, "bin"), units: map[string]*unit{}, accounts: map[string]bool{}, answers: map[string]string{}}
	m.changed = sync.NewCond(&m.mu)
	m.install(t, programs)
	listener, err := net.Listen("unix", filepath.Join(m.bin, "manager.sock"))
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { m.serve(listener, &serving) })
	t.Cleanup(func() {
		m.close()
		listener.Close()
		serving.Wait()
		m.killAll()
		require.NoError(t, os.RemoveAll(dir))
	})
	return m
}

func (m *Machine) install(t testing.TB, programs map[string][]byte) {
	t.Helper()
	sum := sha256.Sum256(programs["helper"])
	m.Program = filepath.Join(m.Root, protocol.HelperDir, hex.EncodeToString(sum[:]), "slipway-host")
	for _, dir := range []string{m.bin, filepath.Dir(m.Program), m.path(protocol.UnitDir), m.path("run/systemd/system"), m.path("proc/sys/kernel/random"), m.path("etc"), m.path("var/lib")} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	require.NoError(t, os.WriteFile(m.Program, programs["helper"], 0o755))
	require.NoError(t, os.WriteFile(m.path("etc/os-release"), []byte("PRETTY_NAME=\"A machine in a directory\"\n"), 0o644))
	require.NoError(t, os.Symlink("/proc/net", m.path("proc/net")))
	m.newBoot()
	shim := filepath.Join(m.bin, "shim")
	require.NoError(t, os.WriteFile(shim, programs["systemdtest/shim"], 0o755))
	for _, name := range []string{"systemctl", "journalctl", "systemd-run", "systemd-sysusers", "getent", "useradd", "ufw", "firewall-cmd", "iptables", "nft"} {
		require.NoError(t, os.Link(shim, filepath.Join(m.bin, name)))
	}
}

func (m *Machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.Root}, parts...)...)
}

func (m *Machine) newBoot() {
	m.boots++
	_ = os.WriteFile(m.path("proc/sys/kernel/random/boot_id"), fmt.Appendf(nil, "boot-%d\n", m.boots), 0o644)
}

// Environ is the environment of processes on the machine.
func (m *Machine) Environ() []string {
	return append(os.Environ(), "PATH="+m.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// Watch is told of each command before and after its effect. A test ends the caller there to see what becomes of a step that was
// cut off.
func (m *Machine) Watch(watch func(Command)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = watch
}

// Answer makes a command that the machine does not really have, such as iptables, print something.
func (m *Machine) Answer(name, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[name] = text
}

// Call runs the helper with one request, and returns its answer.
func (m *Machine) Call(t testing.TB, request protocol.Request, body []byte) protocol.Response {
	t.Helper()
	response, err := m.Try(request, body)
	require.NoError(t, err)
	return response
}

// Try is Call where the helper may be killed on the way.
func (m *Machine) Try(request protocol.Request, body []byte) (protocol.Response, error) {
	request.Version, request.Size = protocol.Version, int64(len(body))
	text, err := json.Marshal(request)
	if err != nil {
		return protocol.Response{}, err
	}
	cmd := exec.Command(m.Program, "call")
	cmd.Env = m.Environ()
	cmd.Stdin = strings.NewReader(string(text) + "\n" + string(body))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return protocol.Response{}, fmt.Errorf("%s: %w: %s", request.Verb, err, stderr.String())
	}
	var response protocol.Response
	err = json.Unmarshal([]byte(stdout.String()), &response)
	return response, err
}

// Reboot ends all processes without asking them, and starts the units that are enabled.
func (m *Machine) Reboot() {
	m.killAll()
	m.mu.Lock()
	m.units = map[string]*unit{}
	_ = os.RemoveAll(m.path("run"))
	_ = os.MkdirAll(m.path("run/systemd/system"), 0o755)
	m.newBoot()
	m.mu.Unlock()
	wanted, _ := filepath.Glob(m.path(protocol.UnitDir, "*.wants", "*"))
	for _, link := range wanted {
		m.start(filepath.Base(link))
	}
}

// Kill ends a unit's process without asking it.
func (m *Machine) Kill(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[name]; u != nil && u.cmd != nil {
		_ = syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// State is the unit's ActiveState.
func (m *Machine) State(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unit(name).active
}

// Journal is what units wrote.
func (m *Machine) Journal(names ...string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lines(names)
}

func (m *Machine) close() {
	m.mu.Lock()
	m.closed = true
	m.changed.Broadcast()
	m.mu.Unlock()
	m.killAll()
}

// killAll ends every process and waits for them.
func (m *Machine) killAll() {
	m.mu.Lock()
	var running []*unit
	for _, u := range m.units {
		u.gone = true
		if u.timer != nil {
			u.timer.Stop()
		}
		for _, l := range u.listeners {
			l.Close()
		}
		if u.cmd != nil {
			_ = syscall.Kill(-u.cmd.Process.Pid, syscall.SIGKILL)
			running = append(running, u)
		}
	}
	for _, u := range running {
		for u.cmd != nil {
			m.changed.Wait()
		}
	}
	m.mu.Unlock()
}

// serve answers the shims.
func (m *Machine) serve(listener net.Listener, serving *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		serving.Go(func() { defer conn.Close(); m.answer(conn) })
	}
}

type frame struct {
	Out  string `json:"out,omitempty"`
	Err  string `json:"err,omitempty"`
	Code *int   `json:"code,omitempty"`
}

func (m *Machine) answer(conn net.Conn) {
	reader := bufio.NewReader(conn)
	text, err := reader.ReadBytes('\n')
	if err != nil {
		return
	}
	var c Command
	if err := json.Unmarshal(text, &c); err != nil {
		return
	}
	frames := json.NewEncoder(conn)
	m.tell(c)
	out, failure, code := m.run(c, reader, func(out string) error { return frames.Encode(frame{Out: out}) })
	c.Done = true
	m.tell(c)
	_ = frames.Encode(frame{Out: out, Err: failure, Code: &code})
}

func (m *Machine) tell(c Command) {
	m.mu.Lock()
	watch := m.watch
	m.mu.Unlock()
	if watch != nil {
		watch(c)
	}
}

// run does what a command does.
func (m *Machine) run(c Command, caller *bufio.Reader, stream func(string) error) (out, failure string, code int) {
	options, args := parseArgs(c.Args)
	switch c.Name {
	case "systemctl":
		return m.systemctl(options, args)
	case "journalctl":
		return m.journalctl(options, args, caller, stream)
	case "systemd-run":
		return m.systemdRun(options, args)
	case "systemd-sysusers":
		fields := strings.Fields(strings.Join(args, " "))
		m.mu.Lock()
		defer m.mu.Unlock()
		m.accounts[fields[1]] = true
		return "", "", 0
	case "getent":
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.accounts[args[1]] {
			return "", "", 2
		}
		return args[1] + ":x:999:999::/:/usr/sbin/nologin\n", "", 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if text, ok := m.answers[c.Name]; ok {
		return text, "", 0
	}
	return "", c.Name + ": not on this machine\n", 1
}

// parseArgs takes options from arguments. After -- there are none.
func parseArgs(all []string) (options map[string][]string, args []string) {
	options = map[string][]string{}
	for i, arg := range all {
		if arg == "--" {
			return options, append(args, all[i+1:]...)
		}
		if !strings.HasPrefix(arg, "--") {
			args = append(args, arg)
			continue
		}
		key, value, _ := strings.Cut(arg, "=")
		options[key] = append(options[key], value)
	}
	return options, args
}

func (m *Machine) systemdRun(options map[string][]string, argv []string) (out, failure string, code int) {
	cmd := exec.Command(m.mapped(argv[0]), unescape(argv[1:])...)
	cmd.Env = append(m.Environ(), options["--setenv"]...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return stdout.String(), stderr.String(), exit.ExitCode()
	case err != nil:
		return "", err.Error() + "\n", 203
	}
	return stdout.String(), stderr.String(), 0
}

// unescape does what systemd does with the words of a command, for machines that have no variables.
func unescape(words []string) []string {
	plain := make([]string, len(words))
	for i, word := range words {
		plain[i] = strings.ReplaceAll(word, "$$", "$")
	}
	return plain
}

// mapped is where a path of the machine really is.
func (m *Machine) mapped(path string) string {
	if inside := m.path(path); filepath.IsAbs(path) && !strings.HasPrefix(path, m.Root) {
		if _, err := os.Stat(inside); err == nil {
			return inside
		}
	}
	return path
}

// grace is how long a process gets by default.
const grace = 10 * time.Second
