package host

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/systemd"
)

var update = flag.Bool("update", false, "write golden files")

const secretValue = "it's $3kr1t\n100%"

func greeter() Spec {
	return Spec{
		Service: "greeter-prod", Binary: "greeter", Version: "1.2.3", Commit: "abc",
		Programs: map[string]Program{
			"amd64": {Path: "dist/greeter", SHA256: strings.Repeat("a", 64), Size: 100},
			"arm64": {Path: "dist/greeter-arm64", SHA256: strings.Repeat("b", 64), Size: 200},
		},
		Arguments:   []string{"--log-format=json", "50% of $HOME; true"},
		Environment: []systemd.Variable{{Name: "GREETING", Value: "hello\n[Service]\nExecStart=/bin/false"}},
		Secrets:     []Secret{{Name: "token", Value: secretValue}, {Name: "DATABASE_URL", Value: "postgres://" + secretValue, Environment: true}},
		Files:       []File{{Path: "etc/greeter.yaml", Content: []byte("a: 1\n")}},
		Ports:       Ports{Blue: 20001, Green: 20002}, Health: "/health", Drain: 30 * time.Second, State: true,
		Limits:  systemd.Limits{Memory: 256 << 20},
		Relax:   []systemd.Relaxation{systemd.Netlink},
		LogFile: "/var/log/greeter-prod.log",
		Proxy: &Proxy{Listen: []string{":80"}, TLS: "off", Programs: map[string]Program{
			"amd64": {SHA256: strings.Repeat("c", 64), Size: 1000}, "arm64": {SHA256: strings.Repeat("d", 64), Size: 1000}}},
	}
}

func render(t *testing.T, s Spec) Rendered {
	t.Helper()
	r, err := s.Render()
	require.NoError(t, err)
	return r
}

func TestRender_Golden(t *testing.T) {
	r := render(t, greeter())
	text, err := json.MarshalIndent(r.Hosts["amd64"], "", "  ")
	require.NoError(t, err)
	var all strings.Builder
	fmt.Fprintf(&all, "%s\n", text)
	for slot, instance := range r.Hosts["amd64"].Slots {
		if slot == rollout.Blue {
			fmt.Fprintf(&all, "\n--- %s\n%s", slot, instance.Unit)
		}
	}
	name := filepath.Join("testdata", "greeter.golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(name, []byte(all.String()), 0o644))
	}
	expected, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(expected), all.String())
}

// What is in a unit or a digest can be read by others. Secrets are in blobs alone.
func TestRender_SecretsAreInBlobsAlone(t *testing.T) {
	s := greeter()
	r := render(t, s)
	text, err := json.Marshal(r.Hosts)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "3kr1t")
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", s, s, s), "3kr1t")
	found := 0
	for _, blob := range r.Blobs {
		if blob.path != "" || blob.content == nil {
			continue
		}
		reader, err := blob.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		assert.Len(t, content, int(blob.Size))
		if strings.Contains(string(content), "3kr1t") {
			found++
		}
	}
	assert.Equal(t, 3, found, "two credentials, and the file of variables")
	for _, file := range r.Hosts["amd64"].Files {
		if strings.HasPrefix(file.Path, "credentials") || file.Path == environmentFile {
			assert.EqualValues(t, 0o400, file.Mode, file.Path)
		}
	}
}

func TestRender_EachPartHasADigestOfItsOwn(t *testing.T) {
	first := render(t, greeter()).Release
	for name, change := range map[string]func(*Spec){
		"artifact":      func(s *Spec) { s.Programs["arm64"] = Program{SHA256: strings.Repeat("e", 64)} },
		"environment":   func(s *Spec) { s.Environment[0].Value = "hi" },
		"secret":        func(s *Spec) { s.Secrets[0].Value = "other" },
		"configuration": func(s *Spec) { s.Files[0].Content = []byte("a: 2\n") },
		"health":        func(s *Spec) { s.Health = "/ready" },
		"proxy":         func(s *Spec) { s.Proxy.Programs["amd64"] = Program{SHA256: strings.Repeat("e", 64)} },
		"unit":          func(s *Spec) { s.Limits.Memory++ },
	} {
		s := greeter()
		change(&s)
		second := render(t, s).Release
		assert.NotEqual(t, first.Digest(), second.Digest(), name)
		assert.Equal(t, name == "artifact", first.Artifact != second.Artifact, name)
		assert.Equal(t, name == "environment" || name == "secret", first.Environment != second.Environment, name)
		assert.Equal(t, name == "unit", first.Unit != second.Unit, name)
	}
	same := greeter()
	same.Version, same.Commit, same.Keep = "1.2.4", "def", 9
	assert.Equal(t, first, render(t, same).Release, "what is the same under another name is the same release")
}

func TestRender_ArchitecturesAreOneRelease(t *testing.T) {
	r := render(t, greeter())
	assert.Equal(t, r.Hosts["amd64"].Digest, r.Hosts["arm64"].Digest)
	assert.Equal(t, r.Release.Digest(), r.Hosts["arm64"].Digest)
	needs := r.Needs("arm64")
	assert.Equal(t, []int{20001, 20002}, needs.Ports)
	assert.Equal(t, []string{":80"}, needs.Listen)
	assert.Greater(t, needs.Bytes, int64(1200))
	assert.Empty(t, needs.Files)
	certified := greeter()
	certified.Proxy.Listen, certified.Proxy.TLS, certified.Proxy.Cert, certified.Proxy.Key = []string{":443"}, "files", "/etc/ssl/a.pem", "/etc/ssl/a.key"
	assert.Equal(t, []string{"/etc/ssl/a.pem", "/etc/ssl/a.key"}, render(t, certified).Needs("arm64").Files)
	assert.Contains(t, slices.Collect(maps.Keys(r.Blobs)), strings.Repeat("d", 64))
}

func TestRender_RefusesWhatCannotBe(t *testing.T) {
	for text, change := range map[string]func(*Spec){
		"there is no program":            func(s *Spec) { s.Programs = nil },
		"it is the name of a file":       func(s *Spec) { s.Binary = "../greeter" },
		"not both":                       func(s *Spec) { s.Switch = []string{"true"} },
		"something that moves traffic":   func(s *Spec) { s.Proxy = nil },
		"each instance needs one":        func(s *Spec) { s.Ports.Green = s.Ports.Blue },
		"no proxy for arm64":             func(s *Spec) { delete(s.Proxy.Programs, "arm64") },
		"PORT":                           func(s *Spec) { s.Environment = []systemd.Variable{{Name: "PORT", Value: "1"}} },
		"a secret and a plain variable":  func(s *Spec) { s.Secrets[0].Name = "GREETING" },
		"secret token is empty":          func(s *Spec) { s.Secrets[0].Value = "" },
		"a path below the release's":     func(s *Spec) { s.Files[0].Path = "../../etc/passwd" },
		"is there already":               func(s *Spec) { s.Files[0].Path = "bin/greeter" },
		"letters, digits, _, . and -":    func(s *Spec) { s.Secrets[0].Name = "a:b" },
		"1 to 63 of a-z":                 func(s *Spec) { s.Service = "Greeter\nX" },
		"holds a NUL byte":               func(s *Spec) { s.Environment[0].Value = "\x00" },
		`path "log\nX": it must be abso`: func(s *Spec) { s.LogFile = "log\nX" },
	} {
		s := greeter()
		change(&s)
		_, err := s.Render()
		assert.ErrorContains(t, err, text)
	}
}

func TestAccount(t *testing.T) {
	long := strings.Repeat("a", 40)
	assert.Equal(t, "greeter-prod", account("greeter-prod"))
	assert.Equal(t, "_1password", account("1password"))
	assert.Len(t, account(long), 31)
	assert.NotEqual(t, account(long), account(long+"b"))
}
