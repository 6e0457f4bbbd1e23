package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSocketUnit(t *testing.T) {
	unit, err := SocketUnit(Socket{Name: "greeter-proxy", Description: "Sockets of 100% of greeter", Listen: []string{":80", "127.0.0.1:8080", "[::1]:8080"}, Service: "greeter-proxy-a"})
	require.NoError(t, err)
	golden(t, "socket", unit)
}

func TestSocketUnitRefuses(t *testing.T) {
	for want, change := range map[string]func(*Socket){
		`name "a b"`:                func(s *Socket) { s.Name = "a b" },
		`service ""`:                func(s *Socket) { s.Service = "" },
		"holds a line break":        func(s *Socket) { s.Description = "a\nb" },
		"there is no address":       func(s *Socket) { s.Listen = nil },
		`address "80"`:              func(s *Socket) { s.Listen = []string{"80"} },
		`address ":0"`:              func(s *Socket) { s.Listen = []string{":0"} },
		`address ":080"`:            func(s *Socket) { s.Listen = []string{":080"} },
		`address ":http"`:           func(s *Socket) { s.Listen = []string{":http"} },
		`address "example.org:80"`:  func(s *Socket) { s.Listen = []string{"example.org:80"} },
		`address "[fe80::1%a]:80"`:  func(s *Socket) { s.Listen = []string{"[fe80::1%a]:80"} },
		`address ":80\nListenFIFO=`: func(s *Socket) { s.Listen = []string{":80\nListenFIFO=/x"} },
	} {
		s := Socket{Name: "greeter", Listen: []string{":80"}, Service: "greeter"}
		change(&s)
		_, err := SocketUnit(s)
		assert.ErrorContains(t, err, want)
	}
}

// systemd itself finds nothing wrong with a socket and the service that has it.
func TestSystemdAgreesOnSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs systemd-analyze: run without -short")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed; the tests on machines with systemd hold this too")
	}
	dir := t.TempDir()
	service := services()["sockets"]
	service.Command[0] = "/bin/true"
	text, err := Unit(service)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, service.Name+".service"), []byte(text), 0o644))
	text, err = SocketUnit(Socket{Name: service.Sockets[0], Listen: []string{":80", "[::1]:8080"}, Service: service.Name})
	require.NoError(t, err)
	socket := filepath.Join(dir, service.Sockets[0]+".socket")
	require.NoError(t, os.WriteFile(socket, []byte(text), 0o644))
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", socket, filepath.Join(dir, service.Name+".service")).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Empty(t, strings.TrimSpace(string(out)), "no warning")
}
