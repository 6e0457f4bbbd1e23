package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var proxyDigest = strings.Repeat("c", 64)

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestProxyUnits(t *testing.T) {
	units, err := proxyUnits("greeter-prod", Proxy{Listen: []string{":80", ":443"}, TLS: "files", Cert: "/etc/ssl/greeter.pem", Key: "/etc/ssl/private/greeter.key"}, proxyDigest)
	require.NoError(t, err)
	require.Len(t, units, 3)
	golden(t, "proxy-socket", units["greeter-prod-proxy.socket"])
	golden(t, "proxy-a", units["greeter-prod-proxy-a.service"])
	assert.Equal(t, strings.ReplaceAll(strings.ReplaceAll(units["greeter-prod-proxy-a.service"], "-proxy-a", "-proxy-b"), "process a", "process b"),
		strings.ReplaceAll(units["greeter-prod-proxy-b.service"], `"b"`, `"a"`))
	next, err := proxyUnits("greeter-prod", Proxy{Listen: []string{":80", ":443"}}, strings.Repeat("d", 64))
	require.NoError(t, err)
	assert.Equal(t, units["greeter-prod-proxy.socket"], next["greeter-prod-proxy.socket"], "another program keeps the sockets open")
}

func TestProxyAccounts(t *testing.T) {
	assert.Equal(t, "greeter-prod-proxy", proxyAccount("greeter-prod"))
	seen := map[string]bool{}
	for _, service := range []string{"a", strings.Repeat("a", 26), strings.Repeat("a", 27), "1greeter", strings.Repeat("b", 63)} {
		name := proxyAccount(service)
		assert.LessOrEqual(t, len(name), maxAccount)
		assert.Regexp(t, "^[a-z][a-z0-9-]*$", name)
		assert.False(t, seen[name], name)
		seen[name] = true
	}
}

func TestProxyIsChecked(t *testing.T) {
	for want, p := range map[string]Proxy{
		`tls "on"`:                         {Listen: []string{":80"}, TLS: "on"},
		"tls auto needs a domain":          {Listen: []string{":443"}, TLS: "auto"},
		"tls files needs cert and key":     {Listen: []string{":443"}, TLS: "files"},
		"needs an address beside port 80":  {Listen: []string{":80"}, TLS: "auto", Domains: []string{"example.org"}},
		"there is no address to listen on": {},
		`address "localhost:80"`:           {Listen: []string{"localhost:80"}},
	} {
		s := greeter()
		p.Programs = s.Proxy.Programs
		s.Proxy = &p
		_, err := s.Render()
		assert.ErrorContains(t, err, want)
	}
}

// systemd finds nothing wrong with the units, and little to take away.
func TestSystemdAgreesOnTheProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs systemd-analyze: run without -short")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed; the tests on machines with systemd hold this too")
	}
	units, err := proxyUnits("greeter-prod", Proxy{Listen: []string{":80"}}, proxyDigest)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, text := range units {
		text = strings.ReplaceAll(text, "/opt/slipway/proxy/"+proxyDigest+"/slipway-proxy", "/bin/true") // verify wants a program that is there
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	path := filepath.Join(dir, "greeter-prod-proxy-a.service")
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", path, filepath.Join(dir, "greeter-prod-proxy-b.service"), filepath.Join(dir, "greeter-prod-proxy.socket")).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Empty(t, string(out), "no warning")
	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager", path).CombinedOutput()
	require.NoError(t, err, string(out))
	_, rest, found := strings.Cut(string(out), "Overall exposure level for greeter-prod-proxy-a.service: ")
	require.True(t, found, string(out))
	figure, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(t, err)
	assert.LessOrEqual(t, figure, 2.0)
	t.Log("exposure: ", figure)
}
