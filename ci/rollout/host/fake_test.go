package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
	"github.com/slipway-ci/slipway/ci/rollout/host/sshtest"
	"github.com/slipway-ci/slipway/ci/rollout/rollouttest"
)

const app = "greeter-prod"

// hosts are SSH servers with helpers in memory: each is a target of one fleet.
type hosts struct {
	*rollouttest.Fleet
	servers []*sshtest.Server
	names   []string
	home    sshtest.Home
	helper  Program
	system  string

	mu        sync.Mutex
	installed map[string]bool
	blobs     map[string]map[string]bool
	staged    map[string][]protocol.Release
	needs     map[string]protocol.Needs
	history   map[string][]protocol.Entry
	hooks     map[string]protocol.HookResult // by ID
	calls     map[string]int
	order     []string
	machine   protocol.Machine
	hello     string
	slow      time.Duration // what a heartbeat takes
	fault     func(call string) sshtest.Fault
}

func newHosts(t testing.TB, release string, names ...string) *hosts {
	t.Helper()
	h := &hosts{Fleet: rollouttest.New(release, names...), names: names, system: t.TempDir(), installed: map[string]bool{}, blobs: map[string]map[string]bool{},
		staged: map[string][]protocol.Release{}, needs: map[string]protocol.Needs{}, history: map[string][]protocol.Entry{}, hooks: map[string]protocol.HookResult{}, calls: map[string]int{},
		hello: "slipway Linux x86_64 systemd deploy"}
	file := filepath.Join(t.TempDir(), "slipway-host")
	require.NoError(t, os.WriteFile(file, []byte("a helper"), 0o755))
	h.helper = Program{Path: file, SHA256: contentBlob([]byte("a helper")).SHA256, Size: 8}
	for _, name := range names {
		h.blobs[name] = map[string]bool{}
		h.servers = append(h.servers, sshtest.Start(t, sshtest.Options{
			Exec:  func(ctx context.Context, call sshtest.Call) int { return h.exec(ctx, name, call) },
			Fault: func(call sshtest.Call) sshtest.Fault { return h.named(name, call) },
		}))
	}
	h.home = sshtest.NewHome(t, h.servers...)
	return h
}

// driver is the way of one deployer to the hosts.
func (h *hosts) driver(t testing.TB, change ...func(*Options)) *Driver {
	t.Helper()
	o := Options{Service: app, Helpers: map[string]Program{"amd64": h.helper},
		Remote: remote.Options{Home: h.home.Dir, User: "me", System: h.system, KeepAlive: 150 * time.Millisecond, Timeout: 5 * time.Second}}
	for i, name := range h.names {
		o.Hosts = append(o.Hosts, Host{Name: name, Address: h.servers[i].Address()})
	}
	for _, apply := range change {
		apply(&o)
	}
	d, err := New(o)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// named names a call, such as "shift web1 2". Renew and Probe have no name: how many there are of those depends on time.
func (h *hosts) named(host string, call sshtest.Call) sshtest.Fault {
	kind := "hello"
	var request protocol.Request
	switch {
	case strings.Contains(call.Command, "sha256sum"):
		kind = "install"
	case strings.Contains(call.Command, "slipway-host"):
		if err := json.Unmarshal(call.Line, &request); err != nil {
			kind = "unreadable"
		} else {
			kind = string(request.Verb)
		}
	}
	if kind == string(protocol.Renew) || kind == string(protocol.Probe) {
		return sshtest.None
	}
	h.mu.Lock()
	kind += " " + host
	h.calls[kind]++
	name := fmt.Sprintf("%s %d", kind, h.calls[kind])
	h.order = append(h.order, name)
	fault := h.fault
	h.mu.Unlock()
	if fault == nil {
		return sshtest.None
	}
	return fault(name)
}

func (h *hosts) called() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.order)
}

// exec does what the command does on a real host.
func (h *hosts) exec(ctx context.Context, host string, call sshtest.Call) int {
	h.mu.Lock()
	installed, hello := h.installed[host], h.hello
	h.mu.Unlock()
	switch {
	case strings.Contains(call.Command, "sha256sum"):
		content, err := io.ReadAll(call.Stdin)
		if err != nil || contentBlob(content).SHA256 != h.helper.SHA256 {
			return damaged
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.installed[host] = true
		return 0
	case !strings.Contains(call.Command, "slipway-host"):
		fmt.Fprintln(call.Stdout, hello)
		return 0
	case !installed:
		return noHelper
	}
	input := bufio.NewReader(call.Stdin)
	line, err := input.ReadBytes('\n')
	var request protocol.Request
	if err != nil || json.Unmarshal(line, &request) != nil {
		return 1
	}
	response, err := h.answer(ctx, host, request, input, call.Stderr)
	if err != nil {
		response.Error = failure(err)
	}
	fmt.Fprintln(call.Stdout, "a login's shell says this")
	if err := json.NewEncoder(call.Stdout).Encode(response); err != nil {
		return 1
	}
	return 0
}

func failure(err error) *protocol.Error {
	var held *rollout.HeldError
	var refused *remote.RefusedError
	switch {
	case errors.Is(err, rollout.ErrFenced):
		return &protocol.Error{Kind: protocol.Fenced, Message: err.Error()}
	case errors.As(err, &held):
		return &protocol.Error{Kind: protocol.Held, Message: err.Error(), Lease: &held.Lease}
	case errors.As(err, &refused):
		return &protocol.Error{Kind: protocol.Refused, Message: refused.What, Next: refused.Next}
	}
	return &protocol.Error{Kind: protocol.Failed, Message: err.Error()}
}

func (h *hosts) answer(ctx context.Context, host string, r protocol.Request, body io.Reader, lines io.Writer) (response protocol.Response, err error) {
	fleet := h.Driver()
	switch r.Verb {
	case protocol.Acquire:
		lease, err := fleet.Acquire(ctx, host, r.Owner, time.Duration(r.TTL))
		return protocol.Response{Lease: &lease}, err
	case protocol.Renew:
		time.Sleep(h.slow)
		return response, fleet.Renew(ctx, host, r.Fence, time.Duration(r.TTL))
	case protocol.Return:
		return response, fleet.Return(ctx, host, r.Fence)
	case protocol.Observe:
		observed, err := fleet.Observe(ctx, []string{host})
		return protocol.Response{State: &protocol.State{Target: observed.Target(host)}}, err
	case protocol.Probe:
		sample, err := fleet.Probe(ctx, r.Place)
		return protocol.Response{Sample: &sample}, err
	case protocol.Start:
		return response, fleet.Start(ctx, r.Fence, *r.Step)
	case protocol.Shift:
		return response, fleet.Shift(ctx, r.Fence, *r.Step)
	case protocol.Stop:
		return response, fleet.Stop(ctx, r.Fence, *r.Step)
	case protocol.Prune:
		return response, fleet.Prune(ctx, r.Fence, *r.Step)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r.Verb {
	case protocol.Facts:
		h.needs[host] = *r.Needs
		return protocol.Response{Machine: &h.machine}, nil
	case protocol.Missing:
		return protocol.Response{Missing: slices.DeleteFunc(r.Blobs, func(sum string) bool { return h.blobs[host][sum] })}, nil
	case protocol.Put:
		content, err := io.ReadAll(io.LimitReader(body, r.Size))
		if got := contentBlob(content).SHA256; err != nil || got != r.Blobs[0] {
			return response, fmt.Errorf("%d bytes came: %w", len(content), err)
		}
		h.blobs[host][r.Blobs[0]] = true
		return response, nil
	case protocol.Stage:
		h.staged[host] = append(h.staged[host], *r.Release)
		return response, nil
	case protocol.Record:
		if !slices.ContainsFunc(h.history[host], func(e protocol.Entry) bool { return e.ID == r.ID }) {
			entry := *r.Entry
			entry.ID = r.ID
			h.history[host] = append(h.history[host], entry)
		}
		return response, nil
	case protocol.History:
		return protocol.Response{Entries: h.history[host]}, nil
	case protocol.Hook:
		result, ok := h.hooks[r.ID]
		if !ok {
			fmt.Fprintln(lines, "migrating")
			result = protocol.HookResult{ExitCode: len(h.hooks), Output: []string{strings.Join(r.Command, " "), "within " + r.TTL.String()}}
			h.hooks[r.ID] = result
		}
		return protocol.Response{Hook: &result}, nil
	case protocol.Logs:
		fmt.Fprintf(lines, "one\ntwo of %s", host)
		return response, nil
	}
	return response, fmt.Errorf("there is no verb %q", r.Verb)
}

func (h *hosts) hookRuns() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.hooks) }

func (h *hosts) recorded() map[string][]protocol.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.history)
}
