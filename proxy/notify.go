package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ourNotify is where we keep NOTIFY_SOCKET.
const ourNotify = "SLIPWAY_NOTIFY_SOCKET"

// detachNotify starts this program anew without NOTIFY_SOCKET, as the same process. Caddy reads it before main does, and would
// tell systemd that we are ready when it is: before the control socket leads here.
func detachNotify(getenv func(string) string, environ []string) error {
	address := getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	environ = slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return strings.HasPrefix(kv, "NOTIFY_SOCKET=") })
	return fmt.Errorf("start again: %w", syscall.Exec(self, os.Args, append(environ, ourNotify+"="+address)))
}

// notifier tells systemd how the service is.
type notifier struct{ getenv func(string) string }

// tell sends a state. Without systemd there is nobody to tell.
func (n notifier) tell(state string) {
	address := n.getenv(ourNotify)
	if address == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		conn.Close()
	}
	if err != nil {
		slog.Warn("systemd cannot be told", "state", state, "error", err)
	}
}

// watch tells systemd again and again that the service answers, as long as it does. One that hangs is started anew.
func (n notifier) watch(ctx context.Context, healthy func(context.Context) error) {
	interval, err := strconv.ParseInt(n.getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || interval <= 0 {
		return
	}
	every := time.Duration(interval) * time.Microsecond / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		check, cancel := context.WithTimeout(ctx, every)
		err := healthy(check)
		cancel()
		if err != nil {
			slog.Warn("the proxy does not answer itself", "error", err)
			continue
		}
		n.tell("WATCHDOG=1")
	}
}
