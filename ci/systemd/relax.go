package systemd

import (
	"fmt"
	"slices"
	"strings"
)

// Relaxation is one thing that a hardened unit forbids and a service may need.
type Relaxation string

// The relaxations, and what a service needs them for.
const (
	LowPorts     Relaxation = "low-ports"     // listens on a port below 1024
	Netlink      Relaxation = "netlink"       // lists the machine's network interfaces (net.Interfaces)
	WriteExecute Relaxation = "write-execute" // makes code at run time: a JIT, a language with one
	Resources    Relaxation = "resources"     // sets priorities, processors or limits of processes
	Privileged   Relaxation = "privileged"    // calls chown, chroot and others of systemd's @privileged set
	Processes    Relaxation = "processes"     // looks at processes of other users
	Home         Relaxation = "home"          // reads /home, /root and /run/user
	SharedTemp   Relaxation = "shared-tmp"    // shares files in /tmp with others
	Devices      Relaxation = "devices"       // opens devices other than null, zero, random and terminals
	Namespaces   Relaxation = "namespaces"    // makes sandboxes or containers
	Realtime     Relaxation = "realtime"      // asks for real-time scheduling
)

// Relaxations lists all of them.
func Relaxations() []Relaxation {
	return []Relaxation{LowPorts, Netlink, WriteExecute, Resources, Privileged, Processes, Home, SharedTemp, Devices, Namespaces, Realtime}
}

func checkRelaxations(list []Relaxation) []error {
	var problems []error
	for i, r := range list {
		switch {
		case !slices.Contains(Relaxations(), r):
			problems = append(problems, fmt.Errorf("relaxation %q is unknown: there are %s", r, names(Relaxations())))
		case slices.Contains(list[:i], r):
			problems = append(problems, fmt.Errorf("relaxation %q is there twice", r))
		}
	}
	return problems
}

func names(list []Relaxation) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = string(r)
	}
	return strings.Join(texts, ", ")
}

func (s Service) relaxes(r Relaxation) bool { return slices.Contains(s.Relax, r) }

// unless is a value that a relaxation replaces.
func (s Service) unless(r Relaxation, hardened, relaxed string) string {
	if s.relaxes(r) {
		return relaxed
	}
	return hardened
}

// hardening takes from a service what it does not need.
//
// ProcSubset=pid is not among it. It would hide /proc/sys, where Go reads how
// many connections may wait to be accepted (net.core.somaxconn): it would fall
// back to 128, and connections would be lost under load. What is secret in
// /proc is hidden by ProtectProc, and what can be written by ProtectKernelTunables.
func (s Service) hardening() []directive {
	return join(s.privileges(), []directive{
		{"ProtectSystem", "strict"},
		{"ProtectHome", s.unless(Home, "yes", "read-only")},
		{"PrivateTmp", s.unless(SharedTemp, "yes", "no")},
		{"PrivateMounts", "yes"},
		{"ProtectProc", s.unless(Processes, "invisible", "default")},
		{"ProtectClock", s.unless(Devices, "yes", "no")}, // it allows the clock's device and closes all others
		{"ProtectControlGroups", "yes"},
		{"ProtectHostname", "yes"},
		{"ProtectKernelLogs", "yes"},
		{"ProtectKernelModules", "yes"},
		{"ProtectKernelTunables", "yes"},
		{"RemoveIPC", "yes"},
		{"KeyringMode", "private"},
		{"LockPersonality", "yes"},
		{"MemoryDenyWriteExecute", s.unless(WriteExecute, "yes", "no")},
		{"RestrictNamespaces", s.unless(Namespaces, "yes", "no")},
		{"RestrictRealtime", s.unless(Realtime, "yes", "no")},
		{"RestrictSUIDSGID", "yes"},
		{"UMask", "0077"},
	}, s.devices(), s.network(), s.calls())
}

// privileges: a port below 1024 needs the machine's own users, because the
// capability is one of the machine's network.
func (s Service) privileges() []directive {
	capability := s.unless(LowPorts, "", "CAP_NET_BIND_SERVICE")
	return []directive{
		{"NoNewPrivileges", "yes"},
		{"CapabilityBoundingSet", capability},
		{"AmbientCapabilities", capability},
		{"PrivateUsers", s.unless(LowPorts, "yes", "no")},
	}
}

func (s Service) devices() []directive {
	if s.relaxes(Devices) {
		return []directive{{"PrivateDevices", "no"}}
	}
	return []directive{{"PrivateDevices", "yes"}, {"DevicePolicy", "closed"}}
}

func (s Service) network() []directive {
	families := []directive{{"RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX" + s.unless(Netlink, "", " AF_NETLINK")}}
	if len(s.Peers) == 0 {
		return families
	}
	peers := make([]string, len(s.Peers))
	for i, peer := range s.Peers {
		peers[i] = peer.Masked().String()
	}
	return append(families, directive{"IPAddressDeny", "any"}, directive{"IPAddressAllow", strings.Join(peers, " ")})
}

// calls: what is denied answers "not permitted", which programs can say
// something about, instead of killing them.
func (s Service) calls() []directive {
	denied := []string{"@privileged", "@resources"}
	if s.relaxes(Privileged) {
		denied = denied[1:]
	}
	if s.relaxes(Resources) || s.relaxes(Realtime) {
		denied = denied[:len(denied)-1]
	}
	allowed := "@system-service"
	if s.relaxes(Namespaces) {
		allowed += " @mount"
	}
	list := []directive{{"SystemCallArchitectures", "native"}, {"SystemCallFilter", allowed}}
	if len(denied) > 0 {
		list = append(list, directive{"SystemCallFilter", "~" + strings.Join(denied, " ")})
	}
	return append(list, directive{"SystemCallErrorNumber", "EPERM"})
}
