package machinetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"dagger.io/dagger"
	"golang.org/x/crypto/ssh"
)

const sshPort = 22

// start starts one machine. Its keys are new, so that no two machines are the same to the engine.
func start(t *testing.T, client *dagger.Client, root, name string, ports []int) (*Machine, error) {
	key, public, err := newKey()
	if err != nil {
		return nil, err
	}
	hostKey, hostPublic, err := newKey()
	if err != nil {
		return nil, err
	}
	container := client.Container().Import(client.Host().File(root)).
		WithNewFile("/sbin/machine", entry, dagger.ContainerWithNewFileOpts{Permissions: 0o755}).
		WithNewFile("/etc/hostname", name+"\n").
		WithNewFile("/etc/ssh/ssh_host_ed25519_key", string(hostKey), dagger.ContainerWithNewFileOpts{Permissions: 0o600}).
		WithNewFile("/etc/ssh/sshd_config.d/machine.conf", "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n").
		WithNewFile("/root/.ssh/authorized_keys", public, dagger.ContainerWithNewFileOpts{Permissions: 0o600})
	forwards := []dagger.PortForward{}
	for _, port := range append([]int{sshPort}, ports...) {
		// Only sshd listens from the beginning.
		container = container.WithExposedPort(port, dagger.ContainerWithExposedPortOpts{ExperimentalSkipHealthcheck: port != sshPort})
		forwards = append(forwards, dagger.PortForward{Backend: port})
	}
	service, err := container.AsService(dagger.ContainerAsServiceOpts{Args: []string{"/sbin/machine"}, InsecureRootCapabilities: true, NoInit: true}).Start(t.Context())
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	t.Cleanup(func() { _, _ = service.Stop(context.WithoutCancel(t.Context()), dagger.ServiceStopOpts{Kill: true}) })
	tunnel, err := client.Host().Tunnel(service, dagger.HostTunnelOpts{Ports: forwards}).Start(t.Context())
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", name, err)
	}
	addresses, err := addresses(t.Context(), tunnel, append([]int{sshPort}, ports...))
	if err != nil {
		return nil, err
	}
	return &Machine{Name: name, SSH: addresses[sshPort], Users: []string{"root", "deploy"}, Key: key, HostKey: strings.TrimSpace(hostPublic), ports: addresses}, nil
}

// addresses are the tunnel's ends here. They come in the order in which ports were asked for.
func addresses(ctx context.Context, tunnel *dagger.Service, ports []int) (map[int]string, error) {
	ends, err := tunnel.Ports(ctx)
	if err != nil {
		return nil, err
	}
	if len(ends) != len(ports) {
		return nil, fmt.Errorf("the tunnel has %d ends for %d ports", len(ends), len(ports))
	}
	found := map[int]string{}
	for i := range ends {
		port, err := ends[i].Port(ctx)
		if err != nil {
			return nil, err
		}
		found[ports[i]] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return found, nil
}

// newKey is a new key: the private one as OpenSSH stores it, and the public one as a line.
func newKey() (private []byte, public string, err error) {
	key, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(secret, "")
	if err != nil {
		return nil, "", err
	}
	line, err := ssh.NewPublicKey(key)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(block), string(ssh.MarshalAuthorizedKey(line)), nil
}
