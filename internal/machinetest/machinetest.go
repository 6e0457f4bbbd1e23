// Package machinetest gives tests real machines to install and deploy to: Debian with systemd as process 1 and sshd, each as
// a service of an engine that the tests have for themselves. It is for tests alone.
//
//	func TestMain(m *testing.M) { os.Exit(machinetest.Main(m)) }
//
//	machines := machinetest.Start(t, 3, 8080)
//	machines[0].Copy(t, "/tmp/greeter.deb", 0o644, deb)
//	machines[0].Run(t, "dpkg -i /tmp/greeter.deb")
//	http.Get("http://" + machines[0].Address(8080))
//
// Nothing need be installed but what "make setup" installs: the root file system comes from mmdebstrap, the engine is the
// embedded one with a state of its own, in which containers may ask for all privileges. The users' engine never allows that.
package machinetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
)

// Machine is a machine that runs. It ends with the test that started it.
type Machine struct {
	Name    string // its host name
	SSH     string // the address of its sshd, as seen from here
	Users   []string
	Key     []byte // private key of all Users, in OpenSSH's form
	HostKey string // a line for known_hosts, without the address
	ports   map[int]string
	client  *ssh.Client
}

// Result is what a command gave.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Main runs the tests of a package. The engine starts as a copy of the test binary, so TestMain must come here.
func Main(m *testing.M) int {
	if handled, code := embedded.Main(os.Args[1:]); handled {
		return code
	}
	code := m.Run()
	stopUnused()
	return code
}

// Start starts machines and waits until they have booted. Ports are those that Address can tell of. It skips the test where
// there can be no machines.
func Start(t *testing.T, count int, ports ...int) []*Machine {
	t.Helper()
	needs(t)
	client := session(t)
	root := image(t)
	machines := make([]*Machine, count)
	failures := make([]error, count)
	var started sync.WaitGroup
	for i := range machines {
		started.Go(func() { machines[i], failures[i] = start(t, client, root, fmt.Sprintf("machine%d", i+1), ports) })
	}
	started.Wait()
	for i, m := range machines {
		require.NoError(t, failures[i], "start machine %d", i+1)
		client, err := m.Connect(t.Context(), "root")
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		m.client = client
		m.await(t)
	}
	return machines
}

// Address is where a port of the machine can be reached from here. While nothing listens there, a connection is accepted and
// closed at once: what is between has to open its own first.
func (m *Machine) Address(port int) string { return m.ports[port] }

// Run runs a command as root, in a shell, and returns its output. It must succeed.
func (m *Machine) Run(t *testing.T, command string) string {
	t.Helper()
	result, err := m.Try(command, "")
	require.NoError(t, err)
	require.Zero(t, result.Code, "%s on %s: %s%s", command, m.Name, result.Stdout, result.Stderr)
	return result.Stdout
}

// Try runs a command as root, in a shell, with an input. That it fails is no error.
func (m *Machine) Try(command, input string) (Result, error) {
	session, err := m.client.NewSession()
	if err != nil {
		return Result{}, fmt.Errorf("open a session on %s: %w", m.Name, err)
	}
	defer session.Close()
	var stdout, stderr strings.Builder
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader(input), &stdout, &stderr
	err = session.Run(command)
	result := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		result.Code = exit.ExitStatus()
		return result, nil
	}
	if err != nil {
		return result, fmt.Errorf("run on %s: %w", m.Name, err)
	}
	return result, nil
}

// Copy writes a file.
func (m *Machine) Copy(t *testing.T, path string, mode os.FileMode, content []byte) {
	t.Helper()
	result, err := m.Try(fmt.Sprintf("install -D -m %o /dev/stdin '%s'", mode.Perm(), strings.ReplaceAll(path, "'", `'\''`)), string(content))
	require.NoError(t, err)
	require.Zero(t, result.Code, result.Stderr)
}

// Dial opens a connection from the machine to an address as the machine sees it.
func (m *Machine) Dial(network, address string) (net.Conn, error) {
	return m.client.Dial(network, address)
}

// Connect logs in as one of Users. The key of the machine is known: it was made here.
func (m *Machine) Connect(ctx context.Context, user string) (*ssh.Client, error) {
	signer, err := ssh.ParsePrivateKey(m.Key)
	if err != nil {
		return nil, fmt.Errorf("read key of %s: %w", m.Name, err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(m.HostKey))
	if err != nil {
		return nil, fmt.Errorf("read host key of %s: %w", m.Name, err)
	}
	config := &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(hostKey),
		HostKeyAlgorithms: []string{hostKey.Type()}, Timeout: 10 * time.Second}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.SSH)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", m.Name, err)
	}
	inner, channels, requests, err := ssh.NewClientConn(conn, m.SSH, config)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("log in to %s as %s: %w", m.Name, user, err)
	}
	return ssh.NewClient(inner, channels, requests), nil
}

// await waits until systemd has started everything. A unit that a container cannot have may have failed.
func (m *Machine) await(t *testing.T) {
	t.Helper()
	result, err := m.Try("systemctl is-system-running --wait", "")
	require.NoError(t, err)
	if state := strings.TrimSpace(result.Stdout); state != "running" {
		failed, err := m.Try("systemctl --failed --no-legend --plain", "")
		require.NoError(t, err)
		t.Logf("%s is %s: %s", m.Name, state, failed.Stdout)
		require.Equal(t, "degraded", state)
	}
}
