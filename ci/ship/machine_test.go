package ship

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/pipelines"
)

func TestLocaliseList(t *testing.T) {
	cases := map[string]struct {
		list, want string
		ports      []int
		dir        string
	}{
		"nothing":           {},
		"the usual":         {list: "https://proxy.example.org,direct", want: "https://proxy.example.org,direct"},
		"off":               {list: "off", want: "off"},
		"loopback":          {list: "http://127.0.0.1:3000", want: "http://slipway-host:3000", ports: []int{3000}},
		"localhost":         {list: "http://localhost:3000/goproxy/|direct", want: "http://slipway-host:3000/goproxy/|direct", ports: []int{3000}},
		"IPv6":              {list: "http://[::1]:3000", want: "http://slipway-host:3000", ports: []int{3000}},
		"without a port":    {list: "https://localhost,http://127.0.0.2/x", want: "https://slipway-host:443,http://slipway-host:80/x", ports: []int{443, 80}},
		"credentials":       {list: "http://user:pa%2Css@127.0.0.1:3000", want: "http://user:pa%2Css@slipway-host:3000", ports: []int{3000}},
		"files":             {list: "file:///srv/modules,https://proxy.example.org", want: "file:///srv/modules,https://proxy.example.org", dir: "/srv/modules"},
		"both separators":   {list: "http://127.0.0.1:1|http://127.0.0.1:2,direct", want: "http://slipway-host:1|http://slipway-host:2,direct", ports: []int{1, 2}},
		"a name like it":    {list: "http://localhost.example.com:3000", want: "http://localhost.example.com:3000"},
		"empty entries":     {list: ",,|", want: ",,|"},
		"no address at all": {list: "::::", want: "::::"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rewritten, ports, dir := localiseList(c.list)
			assert.Equal(t, c.want, rewritten)
			assert.Equal(t, c.ports, ports)
			assert.Equal(t, c.dir, dir)
		})
	}
}

func FuzzLocaliseList(f *testing.F) {
	for _, seed := range []string{"https://proxy.example.org,direct", "http://127.0.0.1:3000|off", "http://u:p@[::1]:1/a?b#c", "file:///x", "localhost:1", "http://localhost:99999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		rewritten, ports, _ := localiseList(list)
		again, more, _ := localiseList(rewritten)
		assert.Equal(t, rewritten, again, "twice is as once")
		assert.Empty(t, more, "no address of the loopback is left")
		if len(ports) == 0 {
			assert.Equal(t, list, rewritten, "what is not on the loopback stays as it is")
		}
		separators := func(r rune) bool { return r != ',' && r != '|' }
		assert.Equal(t, strings.Join(strings.FieldsFunc(list, separators), ""), strings.Join(strings.FieldsFunc(rewritten, separators), ""), "as many entries, in the same order")
		for _, port := range ports {
			assert.Contains(t, rewritten, pipelines.LoopbackName+":"+strconv.Itoa(port))
			assert.True(t, port > 0 && port < 65536, "%d is no port", port)
		}
	})
}

// The go command and curl take a proxy without a scheme for an http one.
func TestLocaliseAProxyWithoutAScheme(t *testing.T) {
	for _, value := range []string{"127.0.0.1:3128", "localhost:3128"} {
		m := pipelines.Machine{Env: map[string]string{}, Secrets: map[string]string{"http_proxy": value}}
		localise(&m)
		assert.Equal(t, []int{3128}, m.Ports, value)
		assert.Contains(t, m.Secrets["http_proxy"], pipelines.LoopbackName+":3128", value)
	}
}

func options(t *testing.T, env map[string]string) Options {
	t.Helper()
	home := t.TempDir()
	put(t, filepath.Join(home, ".config", "go", "telemetry", "mode"), "off") // else the go command writes there when the test is over
	environ := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GOENV=off", "GIT_CONFIG_SYSTEM=/dev/null", "XDG_CONFIG_HOME="}
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	return Options{Environ: environ, Getenv: func(name string) string { return env[name] }}
}

func TestMachinePassesOnWhatModulesNeed(t *testing.T) {
	env := map[string]string{
		"GOPROXY": "http://127.0.0.1:3000,https://user:secret@proxy.example.com", "GOPRIVATE": "example.com/*", "GONOPROXY": "none", "GONOSUMDB": "example.com/*",
		"GOSUMDB": "sum.example.org", "GOAUTH": "netrc", "GOVCS": "*:git",
		"HTTPS_PROXY": "http://user:secret@localhost:3128", "NO_PROXY": "example.com",
	}
	m := machine(t.Context(), options(t, env))
	for _, name := range []string{"GOPRIVATE", "GONOSUMDB", "GONOPROXY", "GOSUMDB", "GOVCS"} {
		assert.Equal(t, env[name], m.Env[name], name)
	}
	assert.Equal(t, "http://slipway-host:3000,https://user:secret@proxy.example.com", m.Secrets["GOPROXY"])
	assert.Equal(t, "http://user:secret@slipway-host:3128", m.Secrets["HTTPS_PROXY"])
	assert.Equal(t, "netrc", m.Secrets["GOAUTH"]+m.Env["GOAUTH"], "GOAUTH reaches the containers")
	assert.Equal(t, []int{3000, 3128}, m.Ports)
	for name, value := range m.Env {
		assert.NotContains(t, value, "secret", "%s may hold a credential, and Env is in the cache key and in logs", name)
	}
	// A proxy on the loopback is never asked through another proxy; under its new name it must not be either.
	assert.Contains(t, strings.Split(m.Env["NO_PROXY"], ","), pipelines.LoopbackName)
	assert.Contains(t, strings.Split(m.Env["NO_PROXY"], ","), "example.com")
}

func TestMachineOnAPlainSystem(t *testing.T) {
	m := machine(t.Context(), options(t, nil))
	assert.Empty(t, m.Ports)
	assert.Empty(t, m.GoProxyDir)
	assert.Empty(t, m.GitConfig)
	assert.Empty(t, m.SSHAgent)
	assert.NotContains(t, m.Env, "NO_PROXY")
	assert.True(t, strings.HasSuffix(m.Secrets["GOPROXY"], ",direct"), "the go command's own default")
}

func TestGoSettingsWithoutAGoCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	o := options(t, map[string]string{"GOPROXY": "off"})
	assert.Equal(t, "off", goSettings(t.Context(), o)["GOPROXY"])
}

func TestNetrcAndCertificates(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "netrc"), "machine example.com")
	put(t, filepath.Join(dir, "own.pem"), "certificate")
	o := options(t, map[string]string{"NETRC": filepath.Join(dir, "netrc"), "SSL_CERT_FILE": filepath.Join(dir, "own.pem"), "SSH_AUTH_SOCK": filepath.Join(dir, "netrc")})
	m := machine(t.Context(), o)
	assert.Equal(t, filepath.Join(dir, "netrc"), m.Netrc)
	assert.Equal(t, filepath.Join(dir, "own.pem"), m.CABundle, "the user's own bundle comes first")
	assert.Empty(t, m.SSHAgent, "that is no socket")
	assert.Empty(t, firstFile([]string{"", dir, filepath.Join(dir, "missing")}))
}

// records asks git for rules as insteadOf does.
func records(t *testing.T, file string) []byte {
	t.Helper()
	out, err := exec.Command("git", "config", "-f", file, "-z", "--get-regexp", `^url\..*\.(insteadof|pushinsteadof)$`).Output()
	require.NoError(t, err)
	return out
}

func TestGitConfigRoundTrip(t *testing.T) {
	values := []string{
		"https://github.com/", "git@example.com:", `back\slash`, `quo"ted`, "  spaces  ", "# no comment ; either", "tab\there", "ümlaut", "[section]", "a=b", "'single'",
	}
	dir := t.TempDir()
	original, copied := filepath.Join(dir, "original"), filepath.Join(dir, "copied")
	for i, base := range append([]string{"ssh://git@example.com/", `C:\repos\`, `with "quotes"`, "dots.in.it", "with space"}, values...) {
		key := "url." + base + ".insteadOf"
		if i%3 == 0 {
			key = "url." + base + ".pushInsteadOf"
		}
		for _, value := range values {
			require.NoError(t, exec.Command("git", "config", "-f", original, "--add", key, value).Run(), "%s = %s", key, value)
		}
	}
	want := records(t, original)
	put(t, copied, gitConfig(want))
	assert.Equal(t, string(want), string(records(t, copied)))
}

func FuzzGitConfig(f *testing.F) {
	f.Add([]byte("url.a.insteadof\nb\x00"))
	f.Add([]byte("url.\".insteadof\n\\\x00user.name\nme\x00"))
	f.Add([]byte("url.x\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := gitConfig(data)
		assert.Equal(t, 2*strings.Count(file, "[url \""), strings.Count(file, "\n"), "two lines for each rule: nothing else gets in")
	})
}

func TestInsteadOfReadsTheUsersConfiguration(t *testing.T) {
	o := options(t, map[string]string{"GIT_CONFIG_GLOBAL": filepath.Join(t.TempDir(), "gitconfig")})
	assert.Empty(t, insteadOf(t.Context(), o), "there are no rules")
	put(t, o.Getenv("GIT_CONFIG_GLOBAL"), "[user]\n\tname = me\n[url \"ssh://git@example.com/\"]\n\tinsteadOf = https://example.com/\n")
	assert.Equal(t, "[url \"ssh://git@example.com/\"]\n\tinsteadof = \"https://example.com/\"\n", insteadOf(t.Context(), o))
}

func TestVulnDB(t *testing.T) {
	answer, code := `{"modified":"2026-01-02T03:04:05Z"}`, http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/db/index/db.json", r.URL.Path)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	ask := func(address string) pipelines.VulnDB {
		return vulnDB(t.Context(), func(string) string { return address })
	}
	assert.Equal(t, "2026-01-02T03:04:05Z", ask(server.URL+"/db/").Modified)
	code = http.StatusNotFound
	missing := ask(server.URL + "/db")
	assert.Empty(t, missing.Modified, "without a database nothing was checked")
	assert.NotEmpty(t, missing.Why)
	code, answer = http.StatusOK, "<html>"
	assert.Empty(t, ask(server.URL+"/db").Modified)
	assert.Equal(t, server.URL+"/db", missing.URL)
	assert.NotZero(t, missing.Port, "it is on the loopback")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NotEmpty(t, vulnDB(ctx, func(string) string { return server.URL }).Why)
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.8.8.8": true, "::1": true, "": false, "example.com": false, "10.0.0.1": false, "0.0.0.0": false} {
		assert.Equal(t, want, isLoopback(host), host)
	}
	_, err := url.Parse("http://" + pipelines.LoopbackName + ":1")
	require.NoError(t, err)
	assert.False(t, bytes.ContainsAny([]byte(pipelines.LoopbackName), "._"), "a name that resolvers take")
}
