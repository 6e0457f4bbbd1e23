package pipelines

import (
	"sort"

	"dagger.io/dagger"
)

// Machine is what the user's machine lends to the containers, so that a module that can be fetched there can be fetched
// here: proxies, private module settings, certificates, credentials. What may hold a credential travels as a secret: it is
// in no layer, no cache key and no log.
type Machine struct {
	Env        map[string]string // plain: GOPRIVATE, GONOSUMDB, NO_PROXY …
	Secrets    map[string]string // environment that may hold credentials: GOPROXY, HTTPS_PROXY …
	CABundle   string            // file with the certificates that the machine trusts; "" for none
	Netrc      string            // file; "" for none
	GitConfig  string            // text: insteadOf rules; "" for none
	SSHAgent   string            // socket; "" for none
	Ports      []int             // of the machine's loopback that Env and Secrets point to, under the name [LoopbackName]
	GoProxyDir string            // directory of a file:// GOPROXY; "" for none
}

// LoopbackName is the name under which the containers reach the machine's own loopback.
const LoopbackName = "slipway-host"

// lend adds what the machine lends to a container.
func (m Machine) lend(client *dagger.Client, c *dagger.Container) *dagger.Container {
	for _, name := range sorted(m.Env) {
		c = c.WithEnvVariable(name, m.Env[name])
	}
	for _, name := range sorted(m.Secrets) {
		c = c.WithSecretVariable(name, client.SetSecret(name, m.Secrets[name]))
	}
	if m.CABundle != "" {
		c = c.WithMountedFile(caBundle, client.Host().File(m.CABundle))
	}
	if m.GoProxyDir != "" {
		c = c.WithMountedDirectory(m.GoProxyDir, client.Host().Directory(m.GoProxyDir))
	}
	if len(m.Ports) > 0 {
		c = c.WithServiceBinding(LoopbackName, loopback(client, m.Ports...))
	}
	return m.lendCredentials(client, c)
}

func (m Machine) lendCredentials(client *dagger.Client, c *dagger.Container) *dagger.Container {
	mine := dagger.ContainerWithMountedSecretOpts{Owner: owner, Mode: 0o400}
	if m.Netrc != "" {
		c = c.WithMountedSecret(home+"/.netrc", client.Secret("file://"+m.Netrc), mine)
	}
	if m.GitConfig != "" {
		c = c.WithMountedSecret(home+"/.gitconfig", client.SetSecret("gitconfig", m.GitConfig), mine)
	}
	if m.SSHAgent != "" {
		const socket = "/slipway/ssh-agent"
		c = c.WithUnixSocket(socket, client.Host().UnixSocket(m.SSHAgent), dagger.ContainerWithUnixSocketOpts{Owner: owner}).
			WithEnvVariable("SSH_AUTH_SOCK", socket)
	}
	return c
}

// loopback is ports of the machine's own 127.0.0.1, as a service.
func loopback(client *dagger.Client, ports ...int) *dagger.Service {
	forwards := make([]dagger.PortForward, len(ports))
	for i, port := range ports {
		forwards[i] = dagger.PortForward{Backend: port, Frontend: port}
	}
	return client.Host().Service(forwards)
}

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
