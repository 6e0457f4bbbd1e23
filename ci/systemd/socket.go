package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// backlog is how many connections may wait to be accepted: those that come while a service is started again.
const backlog = 4096

// Socket is addresses that systemd listens on for a service. They stay open while the service is started again or replaced, so
// that nobody is refused.
type Socket struct {
	Name        string   // a-z, 0-9 and -
	Description string   // one line; "" means Name
	Listen      []string // ":80" for all addresses of the machine, "127.0.0.1:8080", "[::1]:8080"
	Service     string   // that the first connection starts; it has Name among its Sockets
}

// SocketUnit is the unit file of a socket. The same socket gives the same bytes. Its error names everything that is wrong.
func SocketUnit(s Socket) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	lines := make([]directive, len(s.Listen))
	for i, address := range s.Listen {
		lines[i] = directive{"ListenStream", strings.TrimPrefix(address, ":")}
	}
	lines = append(lines, directive{"FileDescriptorName", s.Name}, directive{"Service", s.Service + ".service"},
		directive{"Backlog", strconv.Itoa(backlog)}, directive{"NoDelay", "yes"},
		directive{"TriggerLimitIntervalSec", "0"}) // at its limit systemd would close the sockets
	return render(s.Name+".socket, made by slipway. To change it, use: systemctl edit "+s.Name+".socket", []section{
		{"Unit", []directive{{"Description", literal(cmp.Or(s.Description, s.Name))}}},
		{"Socket", lines},
		{"Install", []directive{{"WantedBy", "sockets.target"}}},
	})
}

func (s Socket) check() error {
	var problems []error
	for what, name := range map[string]string{"name": s.Name, "service": s.Service} {
		if !validName(name) {
			problems = append(problems, fmt.Errorf("%s %q: it may have 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", what, name))
		}
	}
	problems = sorted(problems)
	if err := oneLine(s.Description); err != nil {
		problems = append(problems, fmt.Errorf("description %q %w", s.Description, err))
	}
	if len(s.Listen) == 0 {
		problems = append(problems, errors.New("there is no address to listen on"))
	}
	for _, address := range s.Listen {
		if !validListen(address) {
			problems = append(problems, fmt.Errorf("address %q: it looks like :80, 127.0.0.1:8080 or [::1]:8080", address))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("write socket unit of %q: %w", s.Name, err)
	}
	return nil
}

func validListen(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Zone() == ""
}
