package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// local is this machine.
type local struct {
	lost chan struct{}
	once sync.Once
}

func newLocal() *local { return &local{lost: make(chan struct{})} }

func (l *local) Lost() <-chan struct{} { return l.lost }

func (l *local) Close() error {
	l.once.Do(func() { close(l.lost) })
	return nil
}

// Run runs a command with the shell. When ctx ends it is killed: nothing of ours would read its answer.
func (l *local) Run(ctx context.Context, command string, streams Streams) error {
	var last tail
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout, cmd.WaitDelay = streams.Stdin, streams.Stdout, time.Second
	cmd.Stderr = &last
	if streams.Stderr != nil {
		cmd.Stderr = io.MultiWriter(&last, streams.Stderr)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrBroken, context.Cause(ctx))
	case errors.As(err, &exit):
		return &ExitError{Code: exit.ExitCode(), Stderr: last.String()}
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}
