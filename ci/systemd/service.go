// Package systemd writes hardened systemd units. All of it is pure: it touches
// no machine.
//
//	unit, err := systemd.Unit(systemd.Service{
//		Name:    "greeter",
//		Command: []string{"/usr/bin/greeter", "--log-format=json"},
//		User:    "greeter",
//		Port:    8080,
//	})
//
// It guarantees:
//
//   - What a value holds arrives unchanged, and never becomes another
//     directive, a specifier or a variable. A value that systemd cannot hold is
//     refused with the reason.
//   - Everything that a service can do without is taken from it: "systemd-analyze
//     security" says 2.0 or less for a unit without relaxations.
//   - What a service does need is asked for by name ([Relaxation]), one thing at
//     a time.
//
// What is in a unit can be read by every user of the machine. Secrets belong
// into [Service.Credentials], which only the service sees.
//
// Units are for systemd 247 and later (Debian 11, RHEL 9, Ubuntu 22.04).
package systemd

import (
	"net/netip"
	"time"
)

const (
	// DefaultGrace is how long a service may take from SIGTERM to its end.
	DefaultGrace = 10 * time.Second
	// DefaultRestartDelay is the wait before a service that failed is started again.
	DefaultRestartDelay = time.Second
	// DefaultBurst is how many starts within DefaultWithin are tried.
	DefaultBurst = 5
	// DefaultWithin is the time in which DefaultBurst counts.
	DefaultWithin = time.Minute
	// DefaultFiles is how many files and connections a service may have open.
	DefaultFiles = 65536
)

// Service is a program that systemd runs. Name and Command are needed; the zero
// values of all others are what most services want.
type Service struct {
	Name        string   // a-z, 0-9 and -: it is in paths
	Description string   // one line; "" means Name
	Homepage    string   // a URL, for systemctl status
	Command     []string // the program's absolute path, and its arguments. No shell reads them
	User        string   // the account it runs under; "" means one of its own for as long as it runs
	Dynamic     bool     // User is there only for as long as a service of that name runs: services that share it share what they keep
	Group       string   // "" means the user's
	Port        int      // where it listens, which it is told as PORT; 0 means nowhere

	Environment      []Variable   // what every user of the machine may read
	EnvironmentFiles []string     // read at each start, in order, over Environment; a - before the path: it may be missing
	Credentials      []Credential // secrets, as files that only the service sees
	State            string       // its directory in /var/lib, kept over restarts; "" means none
	Runtime          string       // its directory in /run, removed when it stops; "" means none
	KeepRuntime      bool         // that directory stays: another service uses it too
	Directory        string       // where it runs; "" means its state, or /
	Writable         []string     // paths beside these that it may write
	LogFile          string       // its output is appended there, by systemd; "" means the journal

	Sockets  []string      // names of sockets, made by [SocketUnit], that it is started with
	Notify   bool          // it tells systemd when it is ready (Type=notify)
	Watchdog time.Duration // it tells systemd at least this often that it is well, or it is started again; 0 means it does not
	Start    time.Duration // how long it may take until it is ready; 0 means systemd's default
	Grace    time.Duration // from SIGTERM to SIGKILL; 0 means DefaultGrace
	Restart  Restart
	Limits   Limits

	Peers []netip.Prefix // the only addresses it may talk to, in and out; none means all
	Relax []Relaxation
}

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// Credential is a file that systemd reads as root and shows to the service
// alone, as $CREDENTIALS_DIRECTORY/Name.
type Credential struct{ Name, File string }

// Restart says when a service is started again.
type Restart struct {
	When    When          // "" means OnFailure
	Delay   time.Duration // 0 means DefaultRestartDelay
	Burst   int           // starts within Within before systemd gives up; 0 means DefaultBurst
	Within  time.Duration // 0 means DefaultWithin
	Endless bool          // systemd never gives up. A service with sockets wants that: they close when it does
}

// When is a restart policy.
type When string

// The restart policies.
const (
	OnFailure When = "on-failure"
	Always    When = "always"
	Never     When = "no"
)

// Limits are what a service may use. 0 means no limit, but for Files.
type Limits struct {
	Memory int64 // bytes; what uses more is killed
	CPU    int   // percent of one processor: 150 is one and a half
	Tasks  int   // processes and threads
	Files  int   // open files and connections; 0 means DefaultFiles
}

// Unit is the unit file of a service. The same service gives the same bytes.
// Its error names everything that is wrong.
func Unit(s Service) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	return render(s.Name+".service, made by slipway. To change it, use: systemctl edit "+s.Name, []section{
		{"Unit", s.unit()},
		{"Service", join(s.process(), s.files(), s.life(), s.limits(), s.hardening())},
		{"Install", []directive{{"WantedBy", "multi-user.target"}}},
	})
}
