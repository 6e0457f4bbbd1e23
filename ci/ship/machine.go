package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/ci/pipelines"
)

// Settings of the go command that are passed on as they are, and those that may hold a credential.
var (
	plainSettings  = []string{"GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOVCS"}
	secretSettings = []string{"GOPROXY", "GOAUTH"}
	proxySettings  = []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"}
	plainProxy     = []string{"NO_PROXY", "no_proxy"}
)

// caBundles is where systems keep the certificates that they trust.
var caBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// machine reads what this machine lends to the containers.
func machine(ctx context.Context, o Options) pipelines.Machine {
	m := pipelines.Machine{Env: map[string]string{}, Secrets: map[string]string{}}
	settings := goSettings(ctx, o)
	for _, name := range plainSettings {
		keep(m.Env, name, settings[name])
	}
	for _, name := range secretSettings {
		keep(m.Secrets, name, settings[name])
	}
	for _, name := range plainProxy {
		keep(m.Env, name, o.Getenv(name))
	}
	for _, name := range proxySettings {
		keep(m.Secrets, name, o.Getenv(name))
	}
	localise(&m)
	m.CABundle = firstFile(append([]string{o.Getenv("SSL_CERT_FILE")}, caBundles...))
	m.Netrc = netrc(o.Getenv)
	m.GitConfig = insteadOf(ctx, o)
	if socket := o.Getenv("SSH_AUTH_SOCK"); socket != "" && isSocket(socket) {
		m.SSHAgent = socket
	}
	return m
}

func keep(values map[string]string, name, value string) {
	if value != "" {
		values[name] = value
	}
}

// goSettings is what "go env" says, which knows the user's configuration file too; without a go command, the environment.
func goSettings(ctx context.Context, o Options) map[string]string {
	names := append(append([]string{}, plainSettings...), secretSettings...)
	cmd := exec.CommandContext(ctx, "go", append([]string{"env", "-json"}, names...)...)
	cmd.Dir, cmd.Env = os.TempDir(), o.Environ
	settings := map[string]string{}
	if out, err := cmd.Output(); err == nil && json.Unmarshal(out, &settings) == nil {
		return settings
	}
	for _, name := range names {
		settings[name] = o.Getenv(name)
	}
	return settings
}

// localise makes addresses of the machine's own loopback reachable from the containers, where 127.0.0.1 is the container.
func localise(m *pipelines.Machine) {
	if list, ok := m.Secrets["GOPROXY"]; ok {
		rewritten, ports, dir := localiseList(list)
		m.Secrets["GOPROXY"], m.GoProxyDir = rewritten, dir
		m.Ports = addPorts(m.Ports, ports...)
	}
	for _, name := range proxySettings {
		value, ok := m.Secrets[name]
		if !ok {
			continue
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value // what programs take an address without a scheme for
		}
		if rewritten, port, _ := localiseOne(value); port != 0 {
			m.Secrets[name] = rewritten
			m.Ports = addPorts(m.Ports, port)
		}
	}
	if len(m.Ports) > 0 { // programs ask the loopback without a proxy; they must go on to do so under its other name
		for _, name := range plainProxy {
			m.Env[name] = strings.TrimPrefix(m.Env[name]+","+pipelines.LoopbackName, ",")
		}
	}
}

func addPorts(ports []int, more ...int) []int {
	for _, port := range more {
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}

// localiseList rewrites a list of addresses as GOPROXY has it (separated by commas and bars): those on the loopback get the
// name of the machine's own. It returns the ports that they use, and the directory of a file:// address.
func localiseList(list string) (rewritten string, ports []int, dir string) {
	var out strings.Builder
	for len(list) > 0 {
		end := strings.IndexAny(list, ",|")
		entry, separator := list, ""
		if end >= 0 {
			entry, separator = list[:end], list[end:end+1]
		}
		list = list[len(entry)+len(separator):]
		local, port, files := localiseOne(entry)
		if port != 0 {
			ports = append(ports, port)
		}
		if files != "" {
			dir = files
		}
		out.WriteString(local + separator)
	}
	return out.String(), ports, dir
}

func localiseOne(address string) (rewritten string, port int, dir string) {
	u, err := url.Parse(address)
	if err != nil {
		return address, 0, ""
	}
	if u.Scheme == "file" {
		return address, 0, u.Path
	}
	if !isLoopback(u.Hostname()) {
		return address, 0, ""
	}
	port, err = strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	if port <= 0 || port > 65535 {
		return address, 0, ""
	}
	return replaceHost(address, net.JoinHostPort(pipelines.LoopbackName, strconv.Itoa(port))), port, ""
}

// replaceHost names another host in an address and leaves the rest as it is written: a password may be spelled in ways that
// a list or a program needs.
func replaceHost(address, host string) string {
	scheme, rest, _ := strings.Cut(address, "//")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	user := strings.LastIndexByte(rest[:end], '@') + 1
	return scheme + "//" + rest[:user] + host + rest[end:]
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func firstFile(paths []string) string {
	for _, path := range paths {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

func netrc(getenv func(string) string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	return firstFile([]string{getenv("NETRC"), filepath.Join(home, ".netrc")})
}

// insteadOf is the part of the user's git configuration that sends one address to another, as a configuration file.
func insteadOf(ctx context.Context, o Options) string {
	cmd := exec.CommandContext(ctx, "git", "config", "--global", "-z", "--get-regexp", `^url\..*\.(insteadof|pushinsteadof)$`)
	cmd.Env = o.Environ
	out, err := cmd.Output()
	if err != nil {
		return "" // no git, or no such rule
	}
	return gitConfig(out)
}

// gitConfig turns git's "key\nvalue\0" records into a configuration file.
func gitConfig(records []byte) string {
	var file strings.Builder
	for _, record := range bytes.Split(records, []byte{0}) {
		key, value, ok := strings.Cut(string(record), "\n")
		base, found := strings.CutPrefix(key, "url.")
		dot := strings.LastIndex(base, ".")
		if !ok || !found || dot < 0 || strings.ContainsAny(key+value, "\n") {
			continue
		}
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		file.WriteString(`[url "` + quote.Replace(base[:dot]) + "\"]\n\t" + base[dot+1:] + ` = "` + quote.Replace(value) + "\"\n")
	}
	return file.String()
}
