package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// Watch waits until the engine is gone or answers no more, and says why with a [*LostError]. It returns nil when ctx ends
// first. The engine's supervisor tells of its end at once; whether it still answers is asked every few seconds.
func Watch(ctx context.Context, opts Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := opts.layout()
	lost := make(chan *LostError, 2)
	go func() { lost <- hearEnd(ctx, l) }()
	go func() { lost <- missAnswers(ctx, l.engineSocket()) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-lost:
		if err == nil {
			return nil
		}
		err.Log = l.log()
		return err
	}
}

// hearEnd waits for the supervisor's word about the engine's end. A supervisor that was killed says nothing, but its
// connection and its lock go with it.
func hearEnd(ctx context.Context, l layout) *LostError {
	if state, err := lastWord(ctx, l.controlSocket()); err == nil && state.End != "" {
		return &LostError{Cause: state.End, Asked: state.Phase == PhaseStopping}
	}
	for { // it was killed, or it is of a version that does not tell
		if free, err := free(l.supervisorLock()); err == nil && free {
			return &LostError{Cause: "its supervisor was killed"}
		}
		if pause(ctx, time.Second) != nil {
			return nil
		}
	}
}

// lastWord is the second state that a supervisor sends to a watcher: the first comes at once, this one with the end.
func lastWord(ctx context.Context, socket string) (State, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return State{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(controlRequest{Op: opWatch}); err != nil {
		return State{}, err
	}
	decoder := json.NewDecoder(conn)
	var state State
	if err := decoder.Decode(&state); err != nil || state.End != "" {
		return state, err
	}
	err = decoder.Decode(&state)
	return state, err
}

// missAnswers asks the engine who it is until it has not answered several times in a row.
func missAnswers(ctx context.Context, socket string) *LostError {
	for missed := 0; missed < probeSilences; {
		attempt, cancel := context.WithTimeout(ctx, probePatience)
		err := handshake(attempt, socket, Version)
		cancel()
		missed++
		wait := lockPoll
		if err == nil {
			missed, wait = 0, probeEvery
		}
		if pause(ctx, wait) != nil {
			return nil
		}
	}
	return &LostError{Cause: fmt.Sprintf("it has not answered for %s", probeSilences*probePatience), Silent: true}
}

// endOf says in plain words how the engine's process ended. kills is how many processes of its group the kernel has ended
// for lack of memory.
func endOf(state *os.ProcessState, kills int64) string {
	if state == nil {
		return "it ended"
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled() && status.Signal() == syscall.SIGKILL && kills > 0:
		return "the kernel killed it for lack of memory"
	case ok && status.Signaled():
		return fmt.Sprintf("it was killed (signal %d, %s)", int(status.Signal()), status.Signal())
	}
	return fmt.Sprintf("it ended by itself with exit code %d", state.ExitCode())
}
