package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stop ends the engine cleanly and returns when it is gone. Without an engine it does nothing.
func Stop(ctx context.Context, opts Options) error {
	if err := opts.validate(); err != nil {
		return err
	}
	l := opts.layout()
	holder, _ := os.ReadFile(l.supervisorLock())
	for attempt := 0; ; attempt++ {
		free, err := free(l.supervisorLock())
		if free || err != nil {
			return err
		}
		if _, err := ask(ctx, l.controlSocket(), opStop); err == nil {
			break
		}
		if attempt == 20 { // it listens right after it has its lock
			return forceEnd(ctx, l)
		}
		if err := pause(ctx, lockPoll); err != nil {
			return err
		}
	}
	opts.progress("waiting for the engine to stop")
	return waitGone(ctx, l, holder)
}

// waitGone waits until the supervisor that the lock file named has gone. Another caller may have started the next one
// already: that is not ours to wait for.
func waitGone(ctx context.Context, l layout, holder []byte) error {
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	for {
		now, err := os.ReadFile(l.supervisorLock())
		if err != nil || !bytes.Equal(now, holder) {
			return nil //nolint:nilerr // the whole directory has gone
		}
		if free, err := free(l.supervisorLock()); err != nil || free {
			return err
		}
		if pause(ctx, lockPoll) != nil {
			return fmt.Errorf("the engine did not stop within %s, see %s", endPatience, l.log())
		}
	}
}

// Status says how the engine is. It never starts one.
func Status(ctx context.Context, opts Options) (State, error) {
	if err := opts.validate(); err != nil {
		return State{}, err
	}
	l := opts.layout()
	state, err := ask(ctx, l.controlSocket(), opStatus)
	if err != nil {
		state = State{Phase: PhaseStopped, Version: Version, Address: l.address(), Directory: l.dir(), Log: l.log()}
		if free, err := free(l.supervisorLock()); err == nil && !free {
			state.Phase = PhaseStarting
		}
	}
	state.Disk = diskUse(l.stateDir())
	return state, nil
}

// Prune empties the engine's cache: through the engine when it runs, else by removing its files.
func Prune(ctx context.Context, opts Options) (freed int64, err error) {
	if err := opts.validate(); err != nil {
		return 0, err
	}
	l := opts.layout()
	before := diskUse(l.stateDir())
	state, err := ask(ctx, l.controlSocket(), opJoin)
	if err == nil && state.Phase == PhaseRunning {
		err = pruneRunning(ctx, l, pruneAll)
	} else {
		err = pruneStopped(ctx, opts, l)
	}
	return max(0, before-diskUse(l.stateDir())), err
}

// prunePatience is how long removing a large cache may take.
const prunePatience = 10 * time.Minute

// What an engine that runs can be asked to remove.
const (
	pruneAll    = "{engine{localCache{prune}}}"
	pruneOldest = "{engine{localCache{prune(useDefaultPolicy:true)}}}" // until it is within its limits again
)

func pruneRunning(ctx context.Context, l layout, what string) error {
	record, err := readRun(l)
	if err != nil {
		return fmt.Errorf("find the dagger command: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, prunePatience, fmt.Errorf("the engine did not finish within %s", prunePatience))
	defer cancel()
	cmd := exec.CommandContext(ctx, record.CLI, "--silent", "query", "--no-mod") // a module in the current directory is none of its business
	cmd.Stdin = strings.NewReader(what)
	cmd.Env = append(inherited(), "_EXPERIMENTAL_DAGGER_RUNNER_HOST="+l.address(), "DO_NOT_TRACK=1", "DAGGER_NO_NAG=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("prune the engine's cache: %w: %s", err, lastLines(out.String(), 5))
	}
	return nil
}

// pruneStopped holds the start lock, so nobody starts an engine on what is being removed.
func pruneStopped(ctx context.Context, opts Options, l layout) error {
	if _, err := os.Stat(l.stateDir()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := waitLock(ctx, l.startLock(), func() { opts.progress("waiting for another slipway that is starting the engine") })
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := waitFree(ctx, l, endPatience); err != nil {
		return err
	}
	if err := openState(l.stateDir()); err != nil {
		return err
	}
	return emptyDir(filepath.Join(l.stateDir(), stateRoot), 0o700)
}

// forceEnd kills a supervisor that holds its lock and does not answer; the engine dies with it. The process is the one that
// wrote its id and its start time into the lock file, and a descriptor of it is held before that is compared: another
// process with the same id is never hit.
func forceEnd(ctx context.Context, l layout) error {
	content, err := os.ReadFile(l.supervisorLock())
	if err != nil {
		return err
	}
	pid, started, err := parseIdentity(string(content))
	if err != nil {
		return fmt.Errorf("the engine's supervisor does not answer, and %s does not name it: %w", l.supervisorLock(), err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return waitFree(ctx, l, previousEnds)
	}
	defer unix.Close(fd)
	if now, err := startTime(pid); err != nil || now != started {
		return fmt.Errorf("the engine's supervisor does not answer, and process %d is not it: see who holds %s", pid, l.supervisorLock())
	}
	if free, err := free(l.supervisorLock()); free || err != nil {
		return err
	}
	if err := unix.PidfdSendSignal(fd, syscall.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("kill the engine's supervisor %d: %w", pid, err)
	}
	return waitFree(ctx, l, previousEnds)
}

func writeIdentity(lock *os.File) error {
	started, err := startTime(os.Getpid())
	if err != nil {
		return err
	}
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err = lock.WriteString(identity(os.Getpid(), started))
	return err
}

func identity(pid int, started uint64) string { return fmt.Sprintf("%d %d\n", pid, started) }

func parseIdentity(text string) (pid int, started uint64, err error) {
	if _, err := fmt.Sscan(text, &pid, &started); err != nil {
		return 0, 0, err
	}
	if pid <= 1 {
		return 0, 0, fmt.Errorf("no process id: %q", text)
	}
	return pid, started, nil
}

// startTime is when a process started, in ticks since boot: with the id it names one process.
func startTime(pid int) (uint64, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	rest := content[bytes.LastIndexByte(content, ')')+1:] // the command's name before it may hold anything
	fields := strings.Fields(string(rest))
	if len(fields) < 20 {
		return 0, errors.New("read start time: short stat line")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// stopPatienceFor gives an engine that answers the time it asks for, and one that does not only a moment.
func stopPatienceFor(ctx context.Context, socket, version string) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if answers(ctx, socket, version) != nil {
		return 10 * time.Second
	}
	return stopPatience
}
