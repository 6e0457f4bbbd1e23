// Package embedded runs a Dagger engine of our own on a Linux machine that has no container runtime.
//
// [Ensure] builds what is missing, starts the engine or joins the one that runs, and returns once it really answers.
// It guarantees:
//
//   - The engine lives in mount, network, PID, IPC, UTS and cgroup namespaces of its own, with user-mode networking. The
//     host's resolv.conf, listeners, forwarding, firewall, mounts and links stay as they are.
//   - Killing the engine, its supervisor or its network helper, at any moment, takes all three and every container with
//     them. The next Ensure starts a new one on the same cache.
//   - Parallel callers start one engine. Who it is, is decided by file locks, never by a process id.
//   - It stops by itself after a while without a connection, and never while one is open.
//
// Everything is built from Go modules whose sums are part of this package, and from packages of the host's own Debian
// mirrors, which are unpacked into the cache and never installed.
//
// The program that uses this package must call [Main] before anything else: supervisor and engine start as copies of it.
package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"dagger.io/dagger/engineconn"
)

// Version is the engine's and the CLI's version: the one that the SDK in go.mod was made for.
const Version = "v" + engineconn.CLIVersion

const (
	// DefaultIdle is how long the engine stays without a connection before it stops by itself.
	DefaultIdle = 15 * time.Minute

	defaultMaxUsed  = "20GB"
	defaultMinFree  = "10%"
	defaultReserved = "2GB"
)

// ErrNeedsLinux is returned where an embedded engine cannot exist.
var ErrNeedsLinux = errors.New("the embedded engine needs Linux: use Docker or another container runtime, or point --engine at an engine on a Linux machine")

// Options say where the engine keeps its files and how it behaves. Cache is mandatory.
type Options struct {
	// Cache is slipway's cache directory, ~/.cache/slipway for instance.
	Cache string
	// Instance is "" for the users' engine. Another name is another engine with a state of its own, for tests.
	Instance string
	// InsecureRootCapabilities lets containers ask for all privileges. For tests alone: no flag leads here.
	InsecureRootCapabilities bool
	// Idle is how long the engine stays without a connection; 0 means DefaultIdle.
	Idle time.Duration
	// Self is the command that runs this program again; empty means the running executable.
	Self []string
	// Getenv reads the environment; nil means that it is empty.
	Getenv func(string) string
	// Progress is told in plain words what is being done now; nil means nobody is told.
	Progress func(text string)
	// GC limits the engine's cache.
	GC GC
}

// GC limits what the engine keeps on disk. Values are bytes, sizes ("20GB") or percentages of the disk ("75%").
type GC struct {
	MaxUsed  string
	MinFree  string
	Reserved string
}

// Endpoint is an engine that answers.
type Endpoint struct {
	Address string // unix:///…/engine.sock
	CLI     string // the dagger command of the same version
	Version string // v0.19.10
	Content string // directory of the images that the engine brings along: an OCI layout, and go-sdk, the digest of one of them
	Codegen string // the program that modules in Go are built with; "" when an older program started the engine, which looks for no image
	Started bool   // this call started it
	Built   bool   // this call built something
	Reset   bool   // its cache could not be read and was started anew
}

// Phase is where an engine is in its life.
type Phase string

// The phases of an engine, in their order.
const (
	PhaseStopped  Phase = "stopped"
	PhaseStarting Phase = "starting"
	PhaseRunning  Phase = "running"
	PhaseStopping Phase = "stopping"
)

// State is what is known about an engine now.
type State struct {
	Phase       Phase     `json:"phase"`
	Version     string    `json:"version"`
	Address     string    `json:"address"`
	Supervisor  int       `json:"supervisor,omitempty"` // process ids, for people to look at
	Engine      int       `json:"engine,omitempty"`
	Network     int       `json:"network,omitempty"`
	Since       time.Time `json:"since,omitzero"`
	Connections int       `json:"connections"`
	Idle        string    `json:"idle,omitempty"` // how long it stays without a connection
	Insecure    bool      `json:"insecure,omitempty"`
	End         string    `json:"end,omitempty"`  // how the engine ended; only who watches hears it
	Disk        int64     `json:"disk,omitempty"` // bytes in the state directory; only Status fills it
	Directory   string    `json:"directory,omitempty"`
	Log         string    `json:"log,omitempty"`
}

// Need is one thing that the embedded engine needs from the machine.
type Need struct {
	Name   string
	Found  bool
	Detail string
	Fix    string // a command to paste, or one sentence
}

func (o Options) getenv(key string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(key)
}

func (o Options) progress(text string) {
	if o.Progress != nil {
		o.Progress(text)
	}
}

func (o Options) idle() time.Duration {
	if o.Idle <= 0 {
		return DefaultIdle
	}
	return o.Idle
}

func (o Options) self() ([]string, error) {
	if len(o.Self) > 0 {
		return o.Self, nil
	}
	path, err := os.Executable()
	return []string{path}, err
}

func (o Options) validate() error {
	if o.Cache == "" || !filepath.IsAbs(o.Cache) {
		return errors.New("the cache directory must be an absolute path: set HOME or XDG_CACHE_HOME")
	}
	if !instanceName(o.Instance) {
		return errors.New("an engine's instance name is made of lower-case letters, digits and dashes")
	}
	return nil
}
