package systemdtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"path"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// Release is a release of the small service, and the contents that it needs.
type Release struct {
	protocol.Release
	Blobs map[string][]byte
}

// Service makes a release of the small service, of which the environment is all that differs. Its traffic is moved by a command
// that does nothing, unless that is changed.
func Service(t testing.TB, name string, ports [2]int, environment ...string) Release {
	t.Helper()
	programs, err := built()
	require.NoError(t, err)
	r := Release{Blobs: map[string][]byte{}, Release: protocol.Release{
		Service: name, Version: "1", Health: "/health", Slots: map[string]protocol.Instance{}, Traffic: protocol.Traffic{Switch: []string{"/bin/true"}},
	}}
	r.Release.Artifact = sum(programs["systemdtest/service"])
	var text string
	for _, variable := range environment {
		text += variable + "\n"
	}
	r.Environment = sum([]byte(text))
	r.Digest = r.Release.Release.Digest()
	r.Add("bin/service", 0o755, programs["systemdtest/service"])
	r.Add("environment", 0o600, []byte(text))
	dir := protocol.ReleaseDir(name, r.Digest)
	for i, slot := range []string{rollout.Blue, rollout.Green} {
		r.Slots[slot] = protocol.Instance{Port: ports[i], Unit: fmt.Sprintf(`[Unit]
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=exec
ExecStart=%[1]s/bin/service
Environment="PORT=%[2]d"
EnvironmentFile=%[1]s/environment
TimeoutStopSec=10
Restart=on-failure
RestartSec=1

[Install]
WantedBy=multi-user.target
`, dir, ports[i])}
	}
	return r
}

// Add adds a file.
func (r *Release) Add(name string, mode uint32, content []byte) {
	digest := sum(content)
	r.Blobs[digest] = content
	r.Files = append(slices.DeleteFunc(r.Files, func(f protocol.File) bool { return f.Path == path.Clean(name) }), protocol.File{Path: name, SHA256: digest, Mode: mode})
}

// Stage uploads what is missing of a release, and stages it.
func (m *Machine) Stage(t testing.TB, r Release) { Stage(t, m, r) }

// Caller answers requests: a machine in a directory, or a real one.
type Caller interface {
	Call(t testing.TB, request protocol.Request, body []byte) protocol.Response
}

// Stage uploads what is missing of a release on any machine, and stages it.
func Stage(t testing.TB, m Caller, r Release) {
	t.Helper()
	var sums []string
	for digest := range r.Blobs {
		sums = append(sums, digest)
	}
	missing := m.Call(t, protocol.Request{Service: r.Service, Verb: protocol.Missing, Blobs: sums}, nil)
	require.Nil(t, missing.Error)
	for _, digest := range missing.Missing {
		require.Nil(t, m.Call(t, protocol.Request{Service: r.Service, Verb: protocol.Put, Blobs: []string{digest}}, r.Blobs[digest]).Error)
	}
	require.Nil(t, m.Call(t, protocol.Request{Service: r.Service, Verb: protocol.Stage, Release: &r.Release}, nil).Error)
}

// Ports of tests are below those that Linux gives to outgoing connections, which come and go at any moment.
const (
	firstPort = 10000
	manyPorts = 20000
)

// nextPort counts the ports of all tests in this process, from a place that others hardly share.
var nextPort atomic.Int64

func init() { nextPort.Store(rand.Int64N(manyPorts)) }

// FreePorts are two on which nobody listens, and which no other test of this process gets.
func FreePorts(t testing.TB) (free [2]int) {
	t.Helper()
	for i := range free {
		for tries := 0; free[i] == 0; tries++ {
			require.Less(t, tries, 100, "all ports are taken")
			port := firstPort + int(nextPort.Add(1)%manyPorts)
			if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
				free[i] = port
				require.NoError(t, l.Close())
			}
		}
	}
	return free
}

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}
