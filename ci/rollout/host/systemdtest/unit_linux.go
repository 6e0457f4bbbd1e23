package systemdtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// unit is one that was named.
type unit struct {
	name     string
	loaded   bool
	sections map[string][]string // Service/ExecStart → values, in order
	active   string
	sub      string
	result   string
	status   int
	restarts int
	starts   []time.Time
	cmd      *exec.Cmd
	stopping bool
	late     bool // it ran longer than RuntimeMaxSec
	timer    *time.Timer
	gone     bool // the machine was turned off
	// listeners are those of a socket unit.
	listeners []*net.TCPListener
}

// unit finds a unit, loading it. The caller has the lock.
func (m *Machine) unit(name string) *unit {
	u := m.units[name]
	if u == nil {
		u = &unit{name: name, active: "inactive", sub: "dead", result: "success"}
		u.read(m.file(name))
		m.units[name] = u
	}
	if !u.loaded && u.active == "inactive" {
		u.read(m.file(name)) // what was not there is looked for again
	}
	return u
}

// read loads a unit's file.
func (u *unit) read(file string) {
	u.loaded, u.sections = false, map[string][]string{}
	data, err := os.ReadFile(file)
	if err != nil {
		return
	}
	u.loaded = true
	section := ""
	for text := range strings.Lines(string(data)) {
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, "[") {
			section = strings.Trim(text, "[]")
			continue
		}
		if key, value, ok := strings.Cut(text, "="); ok && !strings.HasPrefix(text, "#") {
			u.sections[section+"/"+key] = append(u.sections[section+"/"+key], value)
		}
	}
}

func (u *unit) values(section, key string) []string { return u.sections[section+"/"+key] }

func (u *unit) value(key string) string {
	list := u.values("Service", key)
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

func (u *unit) pid() int {
	if u.cmd == nil {
		return 0
	}
	return u.cmd.Process.Pid
}

func (u *unit) set(active, sub, result string) { u.active, u.sub, u.result = active, sub, result }

func (m *Machine) start(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for u := m.unit(name); u.active == "deactivating"; u = m.unit(name) {
		m.changed.Wait()
	}
	u := m.unit(name)
	if !u.loaded {
		return fmt.Errorf("unit %s not found", name)
	}
	if u.active == "active" || u.active == "activating" {
		return nil
	}
	defer m.changed.Broadcast()
	if strings.HasSuffix(name, ".socket") {
		return m.listen(u)
	}
	u.restarts = 0
	m.launch(u)
	return nil
}

func (m *Machine) listen(u *unit) error {
	for _, address := range u.values("Socket", "ListenStream") {
		if !strings.Contains(address, ":") {
			address = ":" + address
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		u.listeners = append(u.listeners, l.(*net.TCPListener))
	}
	u.set("active", "listening", "success")
	return nil
}

// launch starts a unit's process. The caller has the lock.
func (m *Machine) launch(u *unit) {
	if u.gone {
		return
	}
	u.starts = append(u.starts, time.Now())
	if u.tooOften() {
		u.set("failed", "failed", "start-limit-hit")
		return
	}
	cmd, err := m.command(u)
	if err == nil {
		err = m.begin(u, cmd)
	}
	if err != nil {
		m.journal = append(m.journal, line{unit: u.name, text: u.name + ": failed to execute: " + err.Error()})
		u.status = 203
		m.ended(u, "exit-code")
	}
}

// tooOften is systemd's limit of starts.
func (u *unit) tooOften() bool {
	burst, err := strconv.Atoi(strings.Join(u.values("Unit", "StartLimitBurst"), ""))
	within := duration(strings.Join(u.values("Unit", "StartLimitIntervalSec"), ""), 10*time.Second)
	if err != nil {
		burst = 5
	}
	if within == 0 || len(u.starts) <= burst {
		return false
	}
	return time.Since(u.starts[len(u.starts)-1-burst]) < within
}

func (m *Machine) begin(u *unit, cmd *exec.Cmd) error {
	output, input, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = input, input
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	input.Close()
	if err != nil {
		output.Close()
		return err
	}
	u.cmd, u.stopping, u.late = cmd, false, false
	m.limit(u, cmd)
	u.set("active", "running", "success")
	if u.value("Type") == "oneshot" {
		u.set("activating", "start", "success")
	}
	read := make(chan struct{})
	go func() { defer close(read); m.collect(u.name, output) }()
	go func() {
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind
		select {
		case <-read:
		case <-time.After(time.Second): // somebody else has its output
		}
		m.exited(u, cmd)
	}()
	return nil
}

// limit ends a process that runs longer than its unit lets it.
func (m *Machine) limit(u *unit, cmd *exec.Cmd) {
	longest := duration(u.value("RuntimeMaxSec"), 0)
	if longest == 0 {
		return
	}
	time.AfterFunc(longest, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if u.cmd == cmd {
			u.late = true
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		}
	})
}

func (m *Machine) collect(name string, output io.ReadCloser) {
	defer output.Close()
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m.write(name, lines.Text())
	}
}

// exited decides what comes after a process.
func (m *Machine) exited(u *unit, cmd *exec.Cmd) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.changed.Broadcast()
	u.cmd = nil
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	result := "success"
	u.status = status.ExitStatus()
	if status.Signaled() {
		u.status, result = int(status.Signal()), "signal"
	} else if u.status != 0 {
		result = "exit-code"
	}
	if u.late {
		result = "timeout"
	}
	if u.stopping {
		u.set("inactive", "dead", "success")
		return
	}
	m.ended(u, result)
}

// ended is what a unit is after its process ended by itself, or could not start.
func (m *Machine) ended(u *unit, result string) {
	policy := u.value("Restart")
	switch {
	case result == "success" && u.value("RemainAfterExit") == "yes":
		u.set("active", "exited", result)
	case policy == "always" || (policy == "on-failure" && result != "success"):
		u.set("activating", "auto-restart", result)
		u.timer = time.AfterFunc(duration(u.value("RestartSec"), 100*time.Millisecond), func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			defer m.changed.Broadcast()
			if u.sub == "auto-restart" && !u.gone {
				u.restarts++
				m.launch(u)
			}
		})
	case result == "success":
		u.set("inactive", "dead", result)
	default:
		u.set("failed", "failed", result)
	}
}

func (m *Machine) stop(name string, block bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.unit(name)
	if !u.loaded && u.cmd == nil {
		return fmt.Errorf("unit %s not loaded", name)
	}
	if u.timer != nil {
		u.timer.Stop()
	}
	for _, l := range u.listeners {
		l.Close()
	}
	u.listeners = nil
	if u.cmd == nil {
		if u.active != "failed" {
			u.set("inactive", "dead", "success")
		}
		m.changed.Broadcast()
		return nil
	}
	process := u.cmd.Process.Pid
	u.stopping = true
	u.set("deactivating", "stop-sigterm", "success")
	_ = syscall.Kill(process, syscall.SIGTERM)
	killer := time.AfterFunc(duration(u.value("TimeoutStopSec"), grace), func() { _ = syscall.Kill(-process, syscall.SIGKILL) })
	if !block {
		return nil
	}
	defer killer.Stop()
	for u.cmd != nil && u.cmd.Process.Pid == process {
		m.changed.Wait()
	}
	return nil
}

func (m *Machine) resetFailed(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.unit(name)
	if !u.loaded {
		return fmt.Errorf("unit %s not loaded", name)
	}
	u.starts, u.restarts = nil, 0
	if u.active == "failed" {
		u.set("inactive", "dead", "success")
	}
	return nil
}

// command is a unit's process, with its environment, credentials and sockets.
func (m *Machine) command(u *unit) (*exec.Cmd, error) {
	argv, err := words(u.value("ExecStart"), true)
	if err != nil || len(argv) == 0 {
		return nil, errors.Join(errors.New("no command"), err)
	}
	env := m.Environ()
	for _, text := range u.values("Service", "Environment") {
		assignments, err := words(text, false)
		if err != nil {
			return nil, err
		}
		env = append(env, assignments...)
	}
	for _, file := range u.values("Service", "EnvironmentFile") {
		more, err := m.environmentFile(file)
		if err != nil {
			return nil, err
		}
		env = append(env, more...)
	}
	secrets, err := m.loadCredentials(u)
	if err != nil {
		return nil, err
	}
	env = append(env, "CREDENTIALS_DIRECTORY="+secrets)
	files, err := m.sockets(u)
	if err != nil {
		return nil, err
	}
	argv[0] = m.mapped(argv[0])
	if len(files) > 0 {
		// The process has to know its own number.
		env = append(env, fmt.Sprintf("LISTEN_FDS=%d", len(files)))
		argv = append([]string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.ExtraFiles, cmd.Dir = env, files, "/"
	return cmd, nil
}

func (m *Machine) sockets(u *unit) ([]*os.File, error) {
	var files []*os.File
	for _, name := range u.values("Service", "Sockets") {
		for _, l := range m.unit(name).listeners {
			f, err := l.File()
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}

func (m *Machine) environmentFile(file string) ([]string, error) {
	optional := strings.HasPrefix(file, "-")
	data, err := os.ReadFile(m.mapped(strings.TrimPrefix(file, "-")))
	if err != nil {
		if optional {
			return nil, nil
		}
		return nil, err
	}
	return parseEnvironment(string(data)), nil
}

func (m *Machine) loadCredentials(u *unit) (string, error) {
	dir := m.path("run/credentials", u.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for _, text := range u.values("Service", "LoadCredential") {
		name, file, _ := strings.Cut(text, ":")
		content, err := os.ReadFile(m.mapped(file))
		if err != nil {
			return "", err
		}
		target := filepath.Join(dir, name)
		_ = os.Remove(target)
		if err := os.WriteFile(target, content, 0o400); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// duration is a time as systemd writes it.
func duration(text string, otherwise time.Duration) time.Duration {
	if text == "" {
		return otherwise
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(n * float64(time.Second))
	}
	d, err := time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(text, "min", "m"), " ", ""))
	if err != nil {
		return otherwise
	}
	return d
}

// words takes a line apart as systemd does: quotes, the escapes of C, %% and, in a command, $$.
func words(text string, command bool) ([]string, error) {
	var list []string
	var word strings.Builder
	quoted, within := false, false
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		next := rune(0)
		if i+1 < len(runes) {
			next = runes[i+1]
		}
		switch {
		case r == '"':
			quoted, within = !quoted, true
		case r == ' ' && !quoted:
			if within {
				list = append(list, word.String())
			}
			word.Reset()
			within = false
		case r == '\\' && next == 'x' && i+3 < len(runes):
			n, err := strconv.ParseUint(string(runes[i+2:i+4]), 16, 8)
			if err != nil {
				return nil, err
			}
			word.WriteByte(byte(n))
			i += 3
		case r == '\\':
			word.WriteRune(unescaped(next))
			within = true
			i++
		case slices.Contains([]rune{'%', '$'}, r) && next == r && (r == '%' || command):
			word.WriteRune(r)
			within = true
			i++
		default:
			word.WriteRune(r)
			within = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is not closed in %q", text)
	}
	if within {
		list = append(list, word.String())
	}
	return list, nil
}

func unescaped(r rune) rune {
	switch r {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	}
	return r
}

// parseEnvironment reads an environment file as Slipway writes it: NAME="value", which may go over several lines.
func parseEnvironment(text string) []string {
	var list []string
	var entry strings.Builder
	quoted, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			entry.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case r == '\n' && !quoted:
			if strings.Contains(entry.String(), "=") {
				list = append(list, entry.String())
			}
			entry.Reset()
		default:
			entry.WriteRune(r)
		}
	}
	if strings.Contains(entry.String(), "=") {
		list = append(list, entry.String())
	}
	return list
}
