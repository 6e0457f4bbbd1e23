package systemd

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// services are what most projects have, and one that uses everything.
func services() map[string]Service {
	return map[string]Service{
		"minimal": {Name: "greeter", Command: []string{"/usr/bin/greeter"}},
		"package": {Name: "greeter", Description: "Greets", Command: []string{"/usr/bin/greeter"}, User: "greeter", Port: 8080, EnvironmentFiles: []string{"-/etc/greeter/greeter.env"}, State: "greeter"},
		"everything": {
			Name: "greeter-blue", Description: `100% of "greetings"`, Homepage: "https://example.org/100%25", User: "greeter", Group: "greeters",
			Command: []string{"/srv/greeter/releases/1.2.3+4.gabc1234/greeter", "--greeting=Grüß dich, $USER", ";", "", "a\nb\tc\x01", `\"'%n`, "${HOME}"},
			Port:    8081, Environment: []Variable{{"GREETING", "two\nlines, $HOME, 100%"}, {"EMPTY", ""}},
			EnvironmentFiles: []string{"/etc/greeter/greeter.env", "-/etc/greeter/local.env"},
			Credentials:      []Credential{{"DB_PASSWORD", "/srv/greeter/secrets/DB_PASSWORD"}},
			State:            "greeter", Runtime: "greeter-blue", Directory: "/srv/greeter", Writable: []string{"/var/log/greeter", "/var/cache/greeter"},
			Notify: true, Start: 90 * time.Second, Grace: 2500 * time.Millisecond, Restart: Restart{When: Always, Delay: 5 * time.Second, Burst: 3, Within: 2 * time.Minute},
			Limits: Limits{Memory: 512 << 20, CPU: 150, Tasks: 100, Files: 1024},
			Peers:  []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("::1/128")},
		},
		"sockets": {
			Name: "greeter-proxy-a", Command: []string{"/usr/bin/greeter"}, User: "greeter-proxy", Dynamic: true, Sockets: []string{"greeter-proxy"},
			State: "slipway/greeter/proxy", Runtime: "slipway/greeter", KeepRuntime: true, Notify: true, Watchdog: 30 * time.Second, Restart: Restart{Endless: true},
		},
		"relaxed": {Name: "greeter", Command: []string{"/usr/bin/greeter"}, User: "greeter", Port: 80, Relax: Relaxations(), Restart: Restart{When: Never}},
	}
}

func TestUnit(t *testing.T) {
	for name, service := range services() {
		t.Run(name, func(t *testing.T) {
			unit, err := Unit(service)
			require.NoError(t, err)
			golden(t, name, unit)
			again, err := Unit(service)
			require.NoError(t, err)
			assert.Equal(t, unit, again)
		})
	}
}

// Each relaxation changes the unit, and nothing but lines that it is about.
func TestRelaxationsAreSmall(t *testing.T) {
	base := Service{Name: "greeter", Command: []string{"/usr/bin/greeter"}, User: "greeter"}
	hardened, err := Unit(base)
	require.NoError(t, err)
	var changes strings.Builder
	for _, r := range Relaxations() {
		relaxed := base
		relaxed.Relax = []Relaxation{r}
		unit, err := Unit(relaxed)
		require.NoError(t, err)
		difference := without(unit, hardened)
		assert.NotEmpty(t, difference+without(hardened, unit), r)
		changes.WriteString(string(r) + "\n" + difference)
	}
	golden(t, "relaxations", changes.String())
}

// without lists the lines of a text that another lacks.
func without(text, other string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains("\n"+other, "\n"+line) {
			lines.WriteString("  " + line)
		}
	}
	return lines.String()
}

func TestUnitRefuses(t *testing.T) {
	valid := func(change func(*Service)) Service {
		s := Service{Name: "greeter", Command: []string{"/usr/bin/greeter"}, User: "greeter"}
		change(&s)
		return s
	}
	for want, change := range map[string]func(*Service){
		`name ""`:                            func(s *Service) { s.Name = "" },
		`name "../x"`:                        func(s *Service) { s.Name = "../x" },
		`name "-x"`:                          func(s *Service) { s.Name = "-x" },
		`name "a b\n"`:                       func(s *Service) { s.Name = "a b\n" },
		"there is no command":                func(s *Service) { s.Command = nil },
		`program "greeter"`:                  func(s *Service) { s.Command[0] = "greeter" },
		`program "/usr/bin/gre eter"`:        func(s *Service) { s.Command[0] = "/usr/bin/gre eter" },
		`program "/usr/../bin/greeter"`:      func(s *Service) { s.Command[0] = "/usr/../bin/greeter" },
		`program "/usr/bin/%n"`:              func(s *Service) { s.Command[0] = "/usr/bin/%n" },
		"argument 1 holds a NUL byte":        func(s *Service) { s.Command = append(s.Command, "a\x00b") },
		"argument 2 is not UTF-8":            func(s *Service) { s.Command = append(s.Command, "", "\xff") },
		`user "Root"`:                        func(s *Service) { s.User = "Root" },
		`group "a:b"`:                        func(s *Service) { s.Group = "a:b" },
		"a group needs a user":               func(s *Service) { s.User, s.Group = "", "greeters" },
		"holds a line break":                 func(s *Service) { s.Description = "Greets\nExecStartPre=/bin/evil" },
		`ends with \`:                        func(s *Service) { s.Description = `Greets\` },
		"starts or ends with a space":        func(s *Service) { s.Description = " Greets" },
		`homepage "javascript:x"`:            func(s *Service) { s.Homepage = "javascript:x" },
		`homepage "https://a b"`:             func(s *Service) { s.Homepage = "https://a b" },
		`variable "1A"`:                      func(s *Service) { s.Environment = []Variable{{"1A", ""}} },
		`variable "A=B"`:                     func(s *Service) { s.Environment = []Variable{{"A=B", ""}} },
		"variable A is there twice":          func(s *Service) { s.Environment = []Variable{{"A", ""}, {"A", ""}} },
		"variable A holds a NUL":             func(s *Service) { s.Environment = []Variable{{"A", "\x00"}} },
		"variable A is not UTF-8":            func(s *Service) { s.Environment = []Variable{{"A", "\xc3"}} },
		"variable A is longer than":          func(s *Service) { s.Environment = []Variable{{"A", strings.Repeat("x", maxValue+1)}} },
		"variable PORT: the port says it":    func(s *Service) { s.Port, s.Environment = 8080, []Variable{{"PORT", "1"}} },
		`credential "a/b"`:                   func(s *Service) { s.Credentials = []Credential{{"a/b", "/etc/x"}} },
		`credential "a" is there twice`:      func(s *Service) { s.Credentials = []Credential{{"a", "/etc/x"}, {"a", "/etc/y"}} },
		`file "etc/x" of credential a`:       func(s *Service) { s.Credentials = []Credential{{"a", "etc/x"}} },
		`path "/etc/a b"`:                    func(s *Service) { s.EnvironmentFiles = []string{"-/etc/a b"} },
		`path "--/etc/a"`:                    func(s *Service) { s.EnvironmentFiles = []string{"---/etc/a"} },
		`path "/srv/"`:                       func(s *Service) { s.Directory = "/srv/" },
		`path "/srv/a:b"`:                    func(s *Service) { s.Writable = []string{"/srv/a:b"} },
		`state directory "a//b"`:             func(s *Service) { s.State = "a//b" },
		`state directory "../b"`:             func(s *Service) { s.State = "../b" },
		"an account that others share":       func(s *Service) { s.User, s.Dynamic = "", true },
		`socket "a/b"`:                       func(s *Service) { s.Sockets = []string{"a/b"} },
		"it needs Notify":                    func(s *Service) { s.Watchdog = time.Second },
		`runtime directory "%t"`:             func(s *Service) { s.Runtime = "%t" },
		"port 65536":                         func(s *Service) { s.Port = 65536 },
		"the relaxation low-ports":           func(s *Service) { s.Port = 80 },
		"time -1s":                           func(s *Service) { s.Grace = -time.Second },
		"time 1ns":                           func(s *Service) { s.Start = 1 },
		"limits are 0 or more":               func(s *Service) { s.Limits.Memory = -1 },
		`restart "sometimes"`:                func(s *Service) { s.Restart.When = "sometimes" },
		"a peer is no range":                 func(s *Service) { s.Peers = []netip.Prefix{{}} },
		`relaxation "root" is unknown`:       func(s *Service) { s.Relax = []Relaxation{"root"} },
		`relaxation "netlink" is there twic`: func(s *Service) { s.Relax = []Relaxation{Netlink, Netlink} },
	} {
		_, err := Unit(valid(change))
		assert.ErrorContains(t, err, want)
	}
}

// An error never shows what may be a secret, and names all problems at once.
func TestErrorsAreCompleteAndDiscreet(t *testing.T) {
	_, err := Unit(Service{Name: "a b", Environment: []Variable{{"TOKEN", "hunter2\x00"}}, Port: -1})
	for _, want := range []string{`name "a b"`, "there is no command", "variable TOKEN", "port -1"} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "hunter2")
	_, err = EnvironmentFile([]Variable{{"TOKEN", "hunter2\x00"}})
	assert.ErrorContains(t, err, "variable TOKEN holds a NUL")
	assert.NotContains(t, err.Error(), "hunter2")
}

// systemd itself, where it is installed: it finds nothing wrong, and its figure for a service without relaxations is low.
func TestSystemdAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs systemd-analyze: run without -short")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed; the tests on machines with systemd hold the figure too")
	}
	for name, service := range services() {
		t.Run(name, func(t *testing.T) {
			service.Command[0] = "/bin/true" // verify wants a program that is there
			service.Sockets = nil            // verify wants these too: see TestSystemdAgreesOnSockets
			if service.Group = ""; service.User != "" && !service.Dynamic {
				service.User = "daemon"
			}
			unit, err := Unit(service)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), service.Name+".service")
			require.NoError(t, os.WriteFile(path, []byte(unit), 0o644))
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", path).CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Empty(t, string(out), "no warning")
			if figure := exposure(t, path); name != "relaxed" {
				assert.LessOrEqual(t, figure, 2.0)
			} else {
				assert.Greater(t, figure, 2.0, "the figure is of what the unit says")
			}
		})
	}
}

// exposure is the figure of systemd-analyze security for a unit file.
func exposure(t *testing.T, path string) float64 {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager", path).CombinedOutput()
	require.NoError(t, err, string(out))
	_, rest, found := strings.Cut(string(out), "Overall exposure level for "+filepath.Base(path)+": ")
	require.True(t, found, string(out))
	figure, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(t, err)
	return figure
}
