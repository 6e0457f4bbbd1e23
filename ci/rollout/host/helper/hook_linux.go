package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// hook is a command of a release that was asked for under the lease, and what became of it.
type hook struct {
	Key    string               `json:"key"`
	Unit   string               `json:"unit"`
	Result *protocol.HookResult `json:"result,omitempty"`
}

// hookTick is how often a command that runs is looked at.
const hookTick = 100 * time.Millisecond

// hook runs a command once, as a unit of its own with the account, the environment and the credentials of a release. The unit
// does not need this process: who asks again after the connection was cut gets the result of the one that ran.
func (s *service) hook(ctx context.Context, r protocol.Request, lines io.Writer) (*protocol.HookResult, error) {
	if len(r.Command) == 0 || r.TTL < 0 {
		return nil, refuse("", "hook: there is no command, or its time is negative")
	}
	found, err := s.release(r.Place.Release)
	if err != nil {
		return nil, err
	}
	asked, err := s.claim(ctx, r)
	if err != nil || asked.Result != nil {
		return asked.Result, err
	}
	if err := s.launch(ctx, r, asked, found); err != nil {
		return nil, err
	}
	result, err := s.await(ctx, asked, lines)
	if err != nil {
		return nil, err
	}
	// Only what is kept may be forgotten: others may wait for the same command.
	if err := s.update(ctx, func(st state) (state, error) { return st.ended(asked.Key, result) }); err != nil {
		return nil, err
	}
	return result, s.forget(ctx, asked.Unit)
}

// kept is what became of a command, nil while that is not known. Under another lease nobody knows of it.
func (s *service) kept(ctx context.Context, key string) (*protocol.HookResult, error) {
	st, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(st.Hooks, func(h hook) bool { return h.Key == key })
	if at < 0 {
		return nil, fenced()
	}
	return st.Hooks[at].Result, nil
}

// ended keeps what became of a hook.
func (st state) ended(key string, result *protocol.HookResult) (state, error) {
	at := slices.IndexFunc(st.Hooks, func(h hook) bool { return h.Key == key })
	if at < 0 || st.Hooks[at].Result != nil {
		return st, errUnchanged // another lease has begun, or somebody else waited too
	}
	st.Hooks = slices.Clone(st.Hooks)
	st.Hooks[at].Result = result
	return st, nil
}

// claim writes down that a command is about to run, or finds that it was.
func (s *service) claim(ctx context.Context, r protocol.Request) (hook, error) {
	var asked hook
	err := s.update(ctx, func(st state) (state, error) {
		now, err := s.now()
		if err != nil {
			return st, err
		}
		if err := st.holds(r.Fence, now); err != nil {
			return st, err
		}
		key := hookKey(r)
		for _, h := range st.Hooks {
			if h.Key == key {
				asked = h
				return st, errUnchanged
			}
		}
		asked = hook{Key: key, Unit: fmt.Sprintf("%s-hook-%d-%d.service", s.name, r.Fence, len(st.Hooks)+1)}
		st.Hooks = append(slices.Clone(st.Hooks), asked)
		return st, nil
	})
	return asked, err
}

func hookKey(r protocol.Request) string {
	if r.ID != "" {
		return r.ID
	}
	sum := sha256.Sum256([]byte(r.Place.Release + "\x00" + strings.Join(r.Command, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// launch starts the unit of a command, unless it was started. One of an earlier rollout is waited for first: two never run at
// once.
func (s *service) launch(ctx context.Context, request protocol.Request, asked hook, r manifest) error {
	unit := asked.Unit
	if err := s.alone(ctx, unit); err != nil {
		return err
	}
	return s.step(ctx, request.Fence, func() error {
		units, err := s.systemd.show(ctx, unit)
		if err != nil || units[unit]["ActiveState"] != "inactive" {
			return err // one that ended is active or failed until its result is kept
		}
		// It was forgotten if its result is kept by now, by somebody who waited for the same command. So this comes second.
		if result, err := s.kept(ctx, asked.Key); err != nil || result != nil {
			return err
		}
		if err := s.account(ctx, r.User); err != nil {
			return err
		}
		if err := s.writeHook(unit, r, request); err != nil {
			return err
		}
		if err := s.systemd.reload(ctx); err != nil {
			return err
		}
		return s.systemd.start(ctx, unit)
	})
}

// transient is where units are that go when the machine does.
const transient = "run/systemd/system"

func (s *service) writeHook(unit string, r manifest, request protocol.Request) error {
	d, err := openDisk(s.path(transient))
	if err != nil {
		return err
	}
	defer d.Close()
	return replace(d, unit, 0o644, []byte(hookUnit(s.name, r.Slots[rollout.Blue].Unit, s.program(r, request.Command), time.Duration(request.TTL))))
}

// hookUnit is the unit of a command: the service's, with another program that runs once and stays to be asked how it ended. One
// that hangs is ended by systemd, also when nobody waits for it any more: it would keep the hooks of later rollouts waiting.
func hookUnit(name, unit string, argv []string, longest time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=hook of %s\n\n[Service]\nType=exec\nRemainAfterExit=yes\nExecStart=%s\n", name, words(argv))
	if longest > 0 {
		fmt.Fprintf(&b, "RuntimeMaxSec=%dms\n", max(1, longest.Milliseconds()))
	}
	within := false
	for line := range strings.Lines(unit) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "[") {
			within = line == "[Service]"
			continue
		}
		key, _, ok := strings.Cut(line, "=")
		if within && ok && carried(key) && !strings.HasPrefix(line, "#") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// words are an argv as systemd reads it: in quotes, with the escapes of C, and without specifiers or variables.
func words(argv []string) string {
	quoted := make([]string, len(argv))
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`, "%", "%%", "$", "$$")
	for i, word := range argv {
		quoted[i] = `"` + escape.Replace(word) + `"`
	}
	return strings.Join(quoted, " ")
}

// alone waits until no other hook of the service runs.
func (s *service) alone(ctx context.Context, unit string) error {
	for {
		out, err := s.systemd.run(ctx, "systemctl", "list-units", "--no-pager", "--plain", "--no-legend", "--state=active,activating,deactivating", "--", s.name+"-hook-*.service")
		if err != nil {
			return fmt.Errorf("look for other hooks: %w", err)
		}
		busy := false
		for line := range strings.Lines(out) {
			fields := strings.Fields(line)
			// One that ended stays active, as its result is to be read.
			busy = busy || len(fields) > 3 && fields[0] != unit && fields[3] != "exited"
		}
		if !busy {
			return nil
		}
		if err := sleep(ctx, hookTick); err != nil {
			return err
		}
	}
}

// carried are the settings of a service that its hooks have too.
func carried(key string) bool {
	switch key {
	case "Type", "NotifyAccess", "TimeoutStartSec", "TimeoutStopSec", "KillMode", "Restart", "RestartSec", "RemainAfterExit", "RuntimeMaxSec", "RuntimeDirectory",
		"StandardOutput", "StandardError": // what a hook prints is shown, also where the service writes to a file
		return false
	}
	return !strings.HasPrefix(key, "Exec")
}

// await waits for a command's end, and shows what it prints.
func (s *service) await(ctx context.Context, asked hook, lines io.Writer) (*protocol.HookResult, error) {
	unit := asked.Unit
	following, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		cmd := exec.CommandContext(following, "journalctl", "--no-pager", "--quiet", "--output=cat", "--follow", "--lines=all", written(unit))
		cmd.Env, cmd.Stdout = append(os.Environ(), "LC_ALL=C"), lines
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		_ = cmd.Run() // it is for people, and the last lines come with the result
	}()
	defer func() { stop(); <-shown }()
	for {
		units, err := s.systemd.show(ctx, unit)
		if err != nil {
			return nil, err
		}
		if result, ended := ending(units[unit]); ended {
			result.Output = s.log(ctx, written(unit))
			if units[unit]["Result"] == "timeout" {
				result.Output = append(result.Output, "slipway: it was ended: it took longer than its timeout")
			}
			return result, nil
		}
		if !units[unit].runs() { // its result is kept by who waited too, or it is lost
			if result, err := s.kept(ctx, asked.Key); err != nil || result != nil {
				return result, err
			}
		}
		if err := sleep(ctx, hookTick); err != nil {
			return nil, err
		}
	}
}

// tookTooLong is the exit code of a command that was ended because of its timeout, as that of timeout(1).
const tookTooLong = 124

// ending reads how a command ended. One that was killed has no exit code of its own: it gets a shell's, 128 and the signal.
func ending(u unitState) (*protocol.HookResult, bool) {
	switch {
	case u["ActiveState"] == "active" && u["SubState"] == "exited":
		return &protocol.HookResult{}, true
	case u["ActiveState"] == "failed":
		code, _ := strconv.Atoi(u["ExecMainStatus"])
		switch {
		case u["Result"] == "timeout":
			code = tookTooLong
		case u["Result"] == "signal" || u["Result"] == "core-dump":
			code += 128
		case code == 0:
			code = 1 // it could not be started, or ran into a limit
		}
		return &protocol.HookResult{ExitCode: code}, true
	}
	return nil, false
}

// forget lets systemd forget a unit whose result is kept.
func (s *service) forget(ctx context.Context, unit string) error {
	if err := s.systemd.stop(ctx, unit, 0); err != nil {
		return err
	}
	if err := s.systemd.do(ctx, "reset-failed", "--", unit); err != nil && !strings.Contains(err.Error(), "not loaded") {
		return fmt.Errorf("forget %s: %w", unit, err)
	}
	if err := os.Remove(s.path(transient, unit)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("forget %s: %w", unit, err)
	}
	return nil
}
