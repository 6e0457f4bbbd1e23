// Package protocol is what the program and its helper on a host say to each other.
//
// The helper is started for one request: "slipway-host call", under sudo where the login is not root. It reads one Request,
// a line of JSON, from its standard input, then Request.Size raw bytes where the verb takes a body, and writes one Response as JSON to its
// standard output. Nothing that a request holds is ever part of a command line. Two verbs, Logs and Hook, stream: what
// they write before the Response are lines for people, on standard error.
//
// All durations are measured on the host's own monotonic clock: no two machines need to agree on the time.
package protocol

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// Version is that of this protocol. The helper is named by its digest and comes with the program, so they always agree; the
// number tells a state file of another version.
const Version = 1

// Where things are on a host. Only root may write there.
const (
	HelperDir = "/opt/slipway/helper" // HelperDir/<sha256>/slipway-host
	ProxyDir  = "/opt/slipway/proxy"  // ProxyDir/<sha256>/slipway-proxy
	StateDir  = "/var/lib/slipway"    // StateDir/<service>/{state.json,history.jsonl,releases/<hex>/…}, StateDir/blobs/<sha256>
	RunDir    = "/run/slipway"        // admin sockets
	UnitDir   = "/etc/systemd/system"
)

// ReleaseDir is where a release of a service is: StateDir/<service>/releases/<hexadecimal>. Units name files in it, and a unit
// can hold no colon in a path, so the digest's "sha256:" is not in it.
func ReleaseDir(service, digest string) string {
	return path.Join(StateDir, service, "releases", strings.TrimPrefix(digest, "sha256:"))
}

// FilebeatMark begins the first line of each input for Filebeat that is ours. What has it may be replaced and removed.
func FilebeatMark(service string) string { return "# written by slipway for " + service + ":" }

// Verb is what is asked for.
type Verb string

// The verbs. Those that write take Fence, and are refused with Fenced when it is not that of the lease.
const (
	Facts   Verb = "facts"   // what the machine is, and what stands in the way; changes nothing
	Missing Verb = "missing" // which of Blobs are not there
	Put     Verb = "put"     // the body becomes the blob Blobs[0], when it has that digest
	Stage   Verb = "stage"   // Release becomes a release on disk, not started; its blobs must be there
	Acquire Verb = "acquire" // Owner, TTL
	Renew   Verb = "renew"   // Fence, TTL
	Return  Verb = "return"  // Fence
	Observe Verb = "observe"
	Start   Verb = "start" // Fence, Step
	Shift   Verb = "shift"
	Stop    Verb = "stop"
	Prune   Verb = "prune"
	Probe   Verb = "probe"   // Place
	Hook    Verb = "hook"    // Fence, Command, TTL: run once, from the release Place.Release, with its environment, and ended after TTL
	Record  Verb = "record"  // Entry is appended to the history
	History Verb = "history" // the entries, the newest last
	Logs    Verb = "logs"    // Tail, Follow: the last lines of the service's journal, all slots. To follow ends with the connection
	Ask     Verb = "ask"     // Place, Path, Times: requests of ours to an instance, past the proxy
)

// Request is one question.
type Request struct {
	Version int    `json:"version"`
	Service string `json:"service,omitempty"` // greeter-prod: app and environment
	Verb    Verb   `json:"verb"`
	// ID names a Hook or a Record. A connection can break before the answer: what is asked for again with the same ID is not
	// done again, and its answer is told, once it has one.
	ID      string           `json:"id,omitempty"`
	Fence   uint64           `json:"fence,omitempty"`
	Step    *rollout.Step    `json:"step,omitempty"`
	Place   rollout.Place    `json:"place,omitzero"`
	Owner   string           `json:"owner,omitempty"`
	TTL     rollout.Duration `json:"ttl,omitempty"`
	Blobs   []string         `json:"blobs,omitempty"` // sha256 in hexadecimal
	Size    int64            `json:"size,omitempty"`  // of the body
	Release *Release         `json:"release,omitempty"`
	Needs   *Needs           `json:"needs,omitempty"`
	Command []string         `json:"command,omitempty"`
	Entry   *Entry           `json:"entry,omitempty"`
	Tail    int              `json:"tail,omitempty"`
	Follow  bool             `json:"follow,omitempty"`
	Path    string           `json:"path,omitempty"`
	Times   int              `json:"times,omitempty"`
}

// Response is its answer: Error, or the field that belongs to the verb.
type Response struct {
	Error   *Error           `json:"error,omitempty"`
	Machine *Machine         `json:"machine,omitempty"` // Facts
	Missing []string         `json:"missing,omitempty"`
	Lease   *rollout.Lease   `json:"lease,omitempty"` // Acquire
	State   *State           `json:"state,omitempty"` // Observe
	Sample  *rollout.Sample  `json:"sample,omitempty"`
	Entries []Entry          `json:"entries,omitempty"`
	Broken  string           `json:"broken,omitempty"` // History: where the chain of hashes does not hold, "" when it does
	Hook    *HookResult      `json:"hook,omitempty"`
	Answers *rollout.Answers `json:"answers,omitempty"` // Ask
}

// Kind tells errors apart.
type Kind string

// The kinds of errors.
const (
	Fenced  Kind = "fenced"  // rollout.ErrFenced
	Held    Kind = "held"    // rollout.HeldError: Lease says by whom
	Refused Kind = "refused" // nothing was changed; Next is what to do
	Failed  Kind = "failed"
)

// Error is why a request was not carried out.
type Error struct {
	Kind    Kind           `json:"kind"`
	Message string         `json:"message"`
	Next    string         `json:"next,omitempty"` // what the user does about it
	Lease   *rollout.Lease `json:"lease,omitempty"`
}

// Needs is what a release wants of a machine, for Facts to look at before anything is changed.
type Needs struct {
	Arch   string   `json:"arch"`   // Go's name
	Ports  []int    `json:"ports"`  // of the instances: free, or ours
	Listen []string `json:"listen"` // of the proxy: free, or ours
	Bytes  int64    `json:"bytes"`  // of disk that the upload takes; twice that must be free
	User   string   `json:"user,omitempty"`
	Files  []string `json:"files,omitempty"` // on the host, such as a certificate and its key
	// Filebeat is the directory for its input: it must be there, without a file of somebody else's under the service's name.
	Filebeat string `json:"filebeat,omitempty"`
}

// Machine is what a host is.
type Machine struct {
	Hostname string    `json:"hostname"`
	OS       string    `json:"os"` // PRETTY_NAME of os-release
	Arch     string    `json:"arch"`
	Systemd  int       `json:"systemd"` // 0: systemd is not process 1
	Free     int64     `json:"free"`    // bytes below StateDir
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is one thing that stands in the way, and what to do.
type Problem struct {
	What string `json:"what"`
	Next string `json:"next"`
	// Perhaps says that it may stand in the way: a person is told, and nothing is refused.
	Perhaps bool `json:"perhaps,omitempty"`
}

// Release is all of a release that a host keeps. Digest is that of rollout.Release.
type Release struct {
	rollout.Release
	Digest  string `json:"digest"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Service string `json:"service"`
	// Files are put into the release's directory, from blobs. The program is "bin/<binary>", secrets are below "credentials/", with mode 0400.
	Files []File `json:"files"`
	// Slots are its instances. A service with strategy restart has blue alone.
	Slots map[string]Instance `json:"slots"`
	User  string              `json:"user"` // the account the unit runs under; made when it is not there
	// Health is what Probe asks each instance: the path, "" for services without one (the unit being active counts).
	Health  string           `json:"health,omitempty"`
	Timeout rollout.Duration `json:"timeout,omitempty"` // of one question; default 2 s
	Grace   rollout.Duration `json:"grace,omitempty"`   // from SIGTERM to the end
	Drain   rollout.Duration `json:"drain,omitempty"`   // how long Stop waits for requests in flight
	LogFile string           `json:"logFile,omitempty"` // where its output goes instead of the journal
	Keep    int              `json:"keep,omitempty"`    // releases that Prune keeps beside those in use; default 5
	Traffic Traffic          `json:"traffic"`
	// Filebeat is nil where it does not read the service's log.
	Filebeat *Filebeat `json:"filebeat,omitempty"`
}

// File is one file of a release.
type File struct {
	Path   string `json:"path"` // local, with slashes
	SHA256 string `json:"sha256"`
	Mode   uint32 `json:"mode"`
}

// Instance is one slot of a release.
type Instance struct {
	Unit string `json:"unit"` // text of the systemd unit <service>-<slot>.service
	Port int    `json:"port,omitempty"`
}

// Traffic says how requests get to the instances: through our proxy, by commands of the user's, or not at all (restart).
type Traffic struct {
	Proxy *Proxy `json:"proxy,omitempty"`
	// Switch is an argv that moves traffic; it gets the split as SLIPWAY_SPLIT (JSON: slot to percent) and SLIPWAY_PORTS (slot to port).
	Switch []string `json:"switch,omitempty"`
}

// Proxy is our proxy in front of a service. Each service has one of its own.
type Proxy struct {
	Binary  string            `json:"binary"` // sha256 of its blob
	Units   map[string]string `json:"units"`  // <service>-proxy….socket and .service, and their texts
	Listen  []string          `json:"listen"` // ":80"
	Domains []string          `json:"domains,omitempty"`
	TLS     string            `json:"tls,omitempty"` // off, auto, files
	Cert    string            `json:"cert,omitempty"`
	Key     string            `json:"key,omitempty"`
}

// Filebeat is an input for Filebeat: Dir/<service>.yml, from the commit of the release on.
type Filebeat struct {
	Dir   string `json:"dir"`   // on the host, absolute and clean
	Input string `json:"input"` // its text; it begins with FilebeatMark
}

// State is a host as Observe sees it.
type State struct {
	Target   rollout.Target `json:"target"`
	Releases []Release      `json:"releases,omitempty"` // those on disk, without the texts of units and inputs, the newest last
	Previous string         `json:"previous,omitempty"` // committed before the committed one: what rollback takes
	Drift    []string       `json:"drift,omitempty"`    // what is not as it was left, such as a unit edited by hand
}

// HookResult is what a hook gave.
type HookResult struct {
	ExitCode int      `json:"exitCode"`
	Output   []string `json:"output,omitempty"` // the last lines
}

// Entry is one line of a host's history. Hash chains it to the one before.
type Entry struct {
	Seq     uint64          `json:"seq"`
	ID      string          `json:"id,omitempty"` // of the request that made it
	At      string          `json:"at"`           // RFC 3339, by the host's clock; order is by Seq
	Actor   string          `json:"actor"`
	Action  string          `json:"action"` // deploy, rollback
	Release string          `json:"release"`
	Version string          `json:"version"`
	Commit  string          `json:"commit,omitempty"`
	Outcome rollout.Outcome `json:"outcome"`
	Reason  string          `json:"reason,omitempty"`
	Steps   json.RawMessage `json:"steps,omitempty"`
	Hash    string          `json:"hash"`
}
