package systemdtest

import (
	"bufio"
	"slices"
	"strconv"
	"strings"
)

// lines are those of some units. The caller has the lock.
func (m *Machine) lines(units []string) []string {
	var found []string
	for _, l := range m.journal {
		if slices.Contains(units, l.unit) {
			found = append(found, l.text)
		}
	}
	return found
}

// write takes a line of a unit.
func (m *Machine) write(unit, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.journal = append(m.journal, line{unit: unit, text: text})
	m.changed.Broadcast()
}

func (m *Machine) journalctl(options map[string][]string, matches []string, caller *bufio.Reader, stream func(string) error) (out, failure string, code int) {
	if _, sync := options["--sync"]; sync {
		return "", "", 0
	}
	units := options["--unit"]
	for _, match := range matches {
		units = append(units, strings.TrimPrefix(match, "_SYSTEMD_UNIT="))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.lines(units)
	if n, err := strconv.Atoi(strings.Join(options["--lines"], "")); err == nil && n < len(found) {
		found = found[len(found)-n:]
	}
	out = text(found)
	if _, follow := options["--follow"]; !follow {
		return out, "", 0
	}
	left := false
	go func() { // the caller sends nothing more: this ends with it
		_, _ = caller.ReadByte()
		m.mu.Lock()
		defer m.mu.Unlock()
		left = true
		m.changed.Broadcast()
	}()
	shown := len(m.lines(units))
	if err := stream(out); err != nil {
		return "", "", 1
	}
	for !left && !m.closed {
		if all := m.lines(units); len(all) > shown {
			if err := stream(text(all[shown:])); err != nil {
				return "", "", 1
			}
			shown = len(all)
		}
		m.changed.Wait()
	}
	return "", "", 0
}

func text(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
