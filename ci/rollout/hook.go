package rollout

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// DefaultHookTimeout ends a hook that hangs: a migration may take its time.
const DefaultHookTimeout = Duration(10 * time.Minute)

// When says at which moment a hook runs.
type When string

// The moments.
const (
	BeforeSwitch When = "before"     // once, from the new release, before it starts anywhere: migrations
	AfterCommit  When = "after"      // once, when all targets have committed
	OnFailure    When = "on failure" // once, after everything went back
)

// Hook is a command that runs once in a rollout, on one target, from the new release and with its environment, under the lease.
// It is an argv, and no shell reads it. Run again after an interruption it may run again.
type Hook struct {
	When    When     `json:"when"`
	Command []string `json:"command"`
	Timeout Duration `json:"timeout"`
}

// Hooks are the commands of a rollout. Empty ones do not run.
type Hooks struct {
	Before    []string `json:"before,omitempty"`
	After     []string `json:"after,omitempty"`
	OnFailure []string `json:"onFailure,omitempty"`
	Timeout   Duration `json:"timeout,omitempty"` // of each: 10 minutes
}

// Any says whether there is one.
func (h Hooks) Any() bool { return len(h.Before)+len(h.After)+len(h.OnFailure) > 0 }

// at is the step of a moment, or none. It runs on the first target that is changed.
func (h Hooks) at(when When, command []string, moves []move) []Step {
	if len(command) == 0 {
		return nil
	}
	first := moves[0].place()
	return []Step{{Verb: RunHook, Place: Place{Target: first.Target, Release: first.Release},
		Hook: &Hook{When: when, Command: command, Timeout: cmp.Or(h.Timeout, DefaultHookTimeout)}}}
}

// String is the hook as a line of text.
func (h Hook) String() string {
	text := strings.Join(h.Command, " ")
	if h.When == OnFailure {
		return text + ", only if it fails"
	}
	return text + ", " + string(h.When) + " the switch"
}

// Hooker is a driver that can run hooks. A spec with hooks is refused by others.
type Hooker interface {
	// Hook runs step.Hook on step.Target, from step.Release. It is a *HookError when the command ran and failed.
	Hook(ctx context.Context, fence uint64, step Step) error
}

// HookError says that a hook ran and failed.
type HookError struct {
	When     When
	Target   string
	ExitCode int
	Output   []string // its last lines
}

// Error says which, and how it ended.
func (e *HookError) Error() string {
	return fmt.Sprintf("the hook %s the switch ended with exit code %d on %s", e.When, e.ExitCode, e.Target)
}
