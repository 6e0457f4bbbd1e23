package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// Operations of the control socket, by which callers talk to a supervisor.
const (
	opStatus = "status"
	opJoin   = "join"  // like status, and the idle time starts again
	opStop   = "stop"  // the answer comes at once, the lock is released at the end
	opWatch  = "watch" // like status, and once more with the engine's end
)

// controlPatience is how long a supervisor may take to answer. It does nothing else, so that is long.
const controlPatience = 5 * time.Second

type controlRequest struct {
	Op string `json:"op"`
}

// ask sends one operation to the supervisor and returns its state. Who answers owns the socket's directory, so is ours.
func ask(ctx context.Context, socket, op string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, controlPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return State{}, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return State{}, err
	}
	if err := json.NewEncoder(conn).Encode(controlRequest{Op: op}); err != nil {
		return State{}, fmt.Errorf("ask the supervisor: %w", err)
	}
	var state State
	if err := json.NewDecoder(conn).Decode(&state); err != nil {
		return State{}, fmt.Errorf("hear the supervisor: %w", err)
	}
	return state, nil
}
