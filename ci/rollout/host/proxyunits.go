package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/systemd"
)

const (
	proxyProgram = "slipway-proxy"
	// proxyGrace is how long requests may take to end when a proxy is stopped or replaced. proxyStop is when it is killed.
	proxyGrace = 30 * time.Second
	proxyStop  = 35 * time.Second
	// proxyWatchdog is how long a proxy may hang before it is started again.
	proxyWatchdog = 30 * time.Second
	// proxyDelay is how soon one that crashed is started again. What comes until then waits in the sockets.
	proxyDelay = 100 * time.Millisecond
)

// proxySlots are the two services of a proxy, of which one runs, and both during an upgrade.
var proxySlots = []string{"a", "b"}

// proxyUnits are the units of a service's proxy by file name: sockets, which systemd holds while proxies come and go, and two
// services on them that run a program known by its digest. The sockets' text is the same for every program.
func proxyUnits(service string, p Proxy, binary string) (map[string]string, error) {
	name := service + "-proxy"
	socket, err := systemd.SocketUnit(systemd.Socket{Name: name, Description: "sockets of " + service, Listen: p.Listen, Service: name + "-" + proxySlots[0]})
	if err != nil {
		return nil, fmt.Errorf("proxy of %s: %w", service, err)
	}
	units := map[string]string{name + ".socket": socket}
	for _, slot := range proxySlots {
		unit := proxyService(service, p, binary, slot)
		text, err := systemd.Unit(unit)
		if err != nil {
			return nil, fmt.Errorf("proxy of %s: %w", service, err)
		}
		units[unit.Name+".service"] = text
	}
	return units, nil
}

// proxyService is one of the two. It opens no port: it has no privilege to, and needs none. Certificates are read by systemd, as
// root, when it starts.
func proxyService(service string, p Proxy, binary, slot string) systemd.Service {
	name := service + "-proxy"
	state := path.Join("slipway", service, "proxy")
	unit := systemd.Service{
		Name: name + "-" + slot, Description: "proxy of " + service + ", process " + slot,
		Command: []string{path.Join(protocol.ProxyDir, binary, proxyProgram), "-instance", slot,
			"-state", path.Join("/var/lib", state), "-run", path.Join(protocol.RunDir, service), "-grace", proxyGrace.String()},
		User: proxyAccount(service), Dynamic: true, Sockets: []string{name}, State: state, Runtime: path.Join("slipway", service), KeepRuntime: true,
		Notify: true, Watchdog: proxyWatchdog, Grace: proxyStop, Restart: systemd.Restart{Delay: proxyDelay, Endless: true},
	}
	if p.TLS == "files" {
		unit.Credentials = []systemd.Credential{{Name: "tls-cert", File: p.Cert}, {Name: "tls-key", File: p.Key}}
	}
	return unit
}

// proxyAccount is the name of the account that both processes share. A long name is cut, and told apart by its digest.
func proxyAccount(service string) string {
	const suffix = "-proxy"
	if len(service)+len(suffix) <= maxAccount && (service[0] < '0' || service[0] > '9') {
		return service + suffix
	}
	sum := sha256.Sum256([]byte(service))
	return "slipway" + suffix + "-" + hex.EncodeToString(sum[:6])
}

// checkProxy finds what would only fail on the hosts.
func (s Spec) checkProxy() []error {
	p := s.Proxy
	if p == nil {
		return nil
	}
	var problems []error
	if !slices.Contains([]string{"", "off", "auto", "files"}, p.TLS) {
		problems = append(problems, fmt.Errorf("proxy: tls %q: there are off, auto and files", p.TLS))
	}
	if p.TLS == "auto" && len(p.Domains) == 0 {
		problems = append(problems, errors.New("proxy: tls auto needs a domain, for which it gets a certificate"))
	}
	if p.TLS == "files" && (p.Cert == "" || p.Key == "") {
		problems = append(problems, errors.New("proxy: tls files needs cert and key, paths on the hosts"))
	}
	secure := func(address string) bool { return !strings.HasSuffix(address, ":80") }
	if p.TLS != "" && p.TLS != "off" && !slices.ContainsFunc(p.Listen, secure) {
		problems = append(problems, fmt.Errorf("proxy: tls %s needs an address beside port 80, such as :443: port 80 speaks plain HTTP", p.TLS))
	}
	return problems
}
