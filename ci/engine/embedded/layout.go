package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
)

// maxSocketPath is what sockaddr_un holds, without the closing zero.
const maxSocketPath = 107

var instancePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func instanceName(name string) bool { return name == "" || instancePattern.MatchString(name) }

// layout knows where the files of one engine are. Layers are shared by all instances.
//
//	<cache>/engine/layers/<name>-<key>/      built once, never changed
//	<cache>/engine/<instance>-<version>/     one engine
//	    supervisor.lock  held for the supervisor's life
//	    engine.lock      held for the engine's life, by the engine itself
//	    start.lock       held while somebody starts it
//	    sock/            engine.sock, control.sock
//	    state/           our marker and root/, the engine's own directory
//	    content/         images that the engine brings along, see Endpoint.Content
//	    tmp/  mnt/       the engine's /tmp, the place where its root is mounted (in its namespace alone)
//	    engine.log  run.json
type layout struct {
	cache    string
	instance string
	temp     string // for sockets where the cache path is too long
}

func (o Options) layout() layout {
	instance := o.Instance
	if instance == "" {
		instance = "engine"
	}
	return layout{cache: filepath.Join(o.Cache, "engine"), instance: instance + "-" + Version, temp: "/tmp"}
}

func (l layout) layers() string { return filepath.Join(l.cache, "layers") }
func (l layout) dir() string    { return filepath.Join(l.cache, l.instance) }

func (l layout) supervisorLock() string { return filepath.Join(l.dir(), "supervisor.lock") }
func (l layout) engineLock() string     { return filepath.Join(l.dir(), "engine.lock") }
func (l layout) startLock() string      { return filepath.Join(l.dir(), "start.lock") }
func (l layout) log() string            { return filepath.Join(l.dir(), "engine.log") }
func (l layout) run() string            { return filepath.Join(l.dir(), "run.json") }
func (l layout) mnt() string            { return filepath.Join(l.dir(), "mnt") }
func (l layout) tmp() string            { return filepath.Join(l.dir(), "tmp") }
func (l layout) content() string        { return filepath.Join(l.dir(), "content") }
func (l layout) stateDir() string       { return filepath.Join(l.dir(), "state") }

// sockets is inside the instance, or in a short directory of its own where a socket's path would be too long for the kernel.
func (l layout) sockets() string {
	dir := filepath.Join(l.dir(), "sock")
	if len(filepath.Join(dir, "control.sock")) <= maxSocketPath {
		return dir
	}
	sum := sha256.Sum256([]byte(l.dir()))
	return filepath.Join(l.temp, fmt.Sprintf("slipway-%s", hex.EncodeToString(sum[:8])))
}

func (l layout) engineSocket() string  { return filepath.Join(l.sockets(), "engine.sock") }
func (l layout) controlSocket() string { return filepath.Join(l.sockets(), "control.sock") }
func (l layout) address() string       { return "unix://" + l.engineSocket() }
