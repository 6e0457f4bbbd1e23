package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// runner runs a command and returns what it printed.
type runner func(ctx context.Context, argv ...string) (string, error)

// commandError says that a command failed, and how.
type commandError struct {
	argv []string
	code int // -1: it did not run to its end
	text string
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s: %s", strings.Join(e.argv[:min(len(e.argv), 4)], " "), e.text)
}

// commandDeadline ends a command that hangs, where its caller sets no time of its own.
const commandDeadline = 3 * time.Minute

func command(ctx context.Context, argv ...string) (string, error) {
	if _, ok := ctx.Deadline(); !ok {
		within, cancel := context.WithTimeout(ctx, commandDeadline)
		defer cancel()
		ctx = within
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	failed := &commandError{argv: argv, code: -1, text: strings.TrimSpace(stderr.String())}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		failed.code = exit.ExitCode()
	}
	if ctx.Err() != nil {
		failed.text = "no answer in time"
	}
	if failed.text == "" {
		failed.text = err.Error()
	}
	return stdout.String(), failed
}

// systemd is the machine's, by its commands.
type systemd struct{ run runner }

// properties of a unit that decisions need.
const properties = "Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,MemoryCurrent,MemoryMax,ControlGroup,DropInPaths,NeedDaemonReload,ExecMainStatus,Result"

// unitState is what systemd says of a unit.
type unitState map[string]string

// show asks for several units at once. One that systemd does not know is not found, and inactive.
func (s systemd) show(ctx context.Context, units ...string) (map[string]unitState, error) {
	out, err := s.run(ctx, append([]string{"systemctl", "show", "--no-pager", "--property=" + properties, "--"}, units...)...)
	if err != nil {
		return nil, fmt.Errorf("ask systemd: %w", err)
	}
	return parseShow(out), nil
}

func parseShow(out string) map[string]unitState {
	found := map[string]unitState{}
	for block := range strings.SplitSeq(out, "\n\n") {
		state := unitState{}
		for line := range strings.Lines(block) {
			if key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
				state[key] = value
			}
		}
		if state["Id"] != "" {
			found[state["Id"]] = state
		}
	}
	return found
}

// runs says whether there is an instance: also one that starts, or that is about to be started again.
func (u unitState) runs() bool {
	switch u["ActiveState"] {
	case "active", "activating", "reloading", "deactivating":
		return true
	}
	return false
}

func (u unitState) up() bool { return u["ActiveState"] == "active" || u["ActiveState"] == "reloading" }

func (u unitState) enabled() bool { return strings.HasPrefix(u["UnitFileState"], "enabled") }

func (u unitState) number(key string) int64 {
	n, err := strconv.ParseInt(u[key], 10, 64)
	if err != nil {
		return 0 // not set, infinity, or more than anybody has
	}
	return n
}

func (s systemd) do(ctx context.Context, args ...string) error {
	_, err := s.run(ctx, append([]string{"systemctl", "--no-pager", "--quiet"}, args...)...)
	return err
}

// start begins to start a unit, also one that failed too often. It does not wait: gates do.
func (s systemd) start(ctx context.Context, unit string) error {
	if err := s.do(ctx, "reset-failed", "--", unit); err != nil && !strings.Contains(err.Error(), "not loaded") {
		return fmt.Errorf("start %s: %w", unit, err)
	}
	if err := s.do(ctx, "start", "--no-block", "--", unit); err != nil {
		return fmt.Errorf("start %s: %w", unit, err)
	}
	return nil
}

// stop ends a unit and waits until it has, which may take its grace.
func (s systemd) stop(ctx context.Context, unit string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, commandDeadline+grace)
	defer cancel()
	if err := s.do(ctx, "stop", "--", unit); err != nil && !strings.Contains(err.Error(), "not loaded") {
		return fmt.Errorf("stop %s: %w", unit, err)
	}
	return nil
}

func (s systemd) enable(ctx context.Context, unit string) error {
	if err := s.do(ctx, "enable", "--", unit); err != nil {
		return fmt.Errorf("enable %s: %w", unit, err)
	}
	return nil
}

func (s systemd) disable(ctx context.Context, unit string) error {
	if err := s.do(ctx, "disable", "--", unit); err != nil {
		return fmt.Errorf("disable %s: %w", unit, err)
	}
	return nil
}

func (s systemd) reload(ctx context.Context) error {
	if err := s.do(ctx, "daemon-reload"); err != nil {
		return fmt.Errorf("tell systemd of changed units: %w", err)
	}
	return nil
}

// version is that of systemd when it is process 1, else 0.
func (m *machine) systemdVersion(ctx context.Context) int {
	if _, err := os.Stat(m.path("run/systemd/system")); err != nil {
		return 0
	}
	out, err := m.systemd.run(ctx, "systemctl", "--version")
	fields := strings.Fields(out)
	if err != nil || len(fields) < 2 {
		return 0
	}
	version, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return version
}
