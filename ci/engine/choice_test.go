package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"dagger.io/dagger/engineconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestChoices(t *testing.T) {
	const host = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
	cases := map[string]struct {
		want string
		env  map[string]string
		kind []Kind
		addr string
	}{
		"nothing said":                      {kind: []Kind{Runtime, Embedded}},
		"auto":                              {want: "auto", kind: []Kind{Runtime, Embedded}},
		"docker":                            {want: "docker", kind: []Kind{Runtime}},
		"embedded":                          {want: "embedded", kind: []Kind{Embedded}},
		"an address":                        {want: "tcp://h:1", kind: []Kind{Address}, addr: "tcp://h:1"},
		"a session":                         {env: map[string]string{"DAGGER_SESSION_PORT": "1", "SLIPWAY_ENGINE": "tcp://e:1"}, kind: []Kind{Joined}},
		"a session, but a flag":             {want: "embedded", env: map[string]string{"DAGGER_SESSION_PORT": "1"}, kind: []Kind{Embedded}},
		"a session, and auto":               {want: "auto", env: map[string]string{"DAGGER_SESSION_PORT": "1"}, kind: []Kind{Joined}},
		"environment":                       {env: map[string]string{"SLIPWAY_ENGINE": "tcp://e:1", host: "tcp://d:1"}, kind: []Kind{Address}, addr: "tcp://e:1"},
		"environment of dagger":             {env: map[string]string{host: "tcp://d:1"}, kind: []Kind{Address}, addr: "tcp://d:1"},
		"environment says embedded":         {env: map[string]string{"SLIPWAY_ENGINE": "embedded", host: "tcp://d:1"}, kind: []Kind{Embedded}},
		"environment says docker":           {env: map[string]string{"SLIPWAY_ENGINE": "docker"}, kind: []Kind{Runtime}},
		"environment says auto, dagger not": {env: map[string]string{"SLIPWAY_ENGINE": "auto", host: "tcp://d:1"}, kind: []Kind{Address}, addr: "tcp://d:1"},
		"a flag beats the environment":      {want: "docker", env: map[string]string{"SLIPWAY_ENGINE": "tcp://e:1"}, kind: []Kind{Runtime}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			choices := Choices(c.want, environment(c.env))
			var kinds []Kind
			for _, choice := range choices {
				kinds = append(kinds, choice.Kind)
				assert.NotEmpty(t, choice.Reason)
			}
			assert.Equal(t, c.kind, kinds)
			assert.Equal(t, c.addr, choices[0].Address)
		})
	}
}

func TestCheckWant(t *testing.T) {
	for _, good := range []string{"", "auto", "docker", "embedded", "unix:///run/e.sock", "tcp://h:1", "docker-container://x", "kube-pod://p?namespace=n"} {
		assert.NoError(t, CheckWant(good), good)
	}
	for _, bad := range []string{"podman", "Docker", "localhost:1234", "/run/engine.sock", " "} {
		err := CheckWant(bad)
		require.Error(t, err, bad)
		assert.Contains(t, err.Error(), "want auto, docker, embedded, or an address such as")
	}
}

func TestPinned(t *testing.T) {
	version := "v" + engineconn.CLIVersion
	for output, want := range map[string]bool{
		"dagger " + version + " (registry.dagger.io/engine:" + version + ") linux/amd64\n": true,
		"dagger " + version:             true,
		"dagger v0.1.0 (x) linux/amd64": false,
		"dagger " + version + "-rc1":    false,
		"dagger":                        false,
		"":                              false,
	} {
		assert.Equal(t, want, pinned(output), output)
	}
}

func TestSessionEnv(t *testing.T) {
	environ := []string{"A=1", "_EXPERIMENTAL_DAGGER_RUNNER_HOST=tcp://old:1", "B=2"}
	quiet := []string{"DO_NOT_TRACK=1", "DAGGER_NO_NAG=1", "NO_COLOR=1"}
	assert.Equal(t, append([]string{"A=1", "B=2", "_EXPERIMENTAL_DAGGER_RUNNER_HOST=tcp://new:1"}, quiet...), sessionEnv(environ, "tcp://new:1"))
	assert.Equal(t, append([]string{"A=1", "B=2"}, quiet...), sessionEnv(environ, ""), "an engine in a container runtime has no address")
	assert.Equal(t, "_EXPERIMENTAL_DAGGER_RUNNER_HOST=tcp://old:1", environ[1], "the user's list is not changed")
}

func TestDied(t *testing.T) {
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		fmt.Errorf("build: %w", &net.OpError{Op: "read", Err: io.EOF}),
		io.ErrUnexpectedEOF,
		errors.New(`Post "http://dagger/query": EOF`),
		errors.New("rpc error: code = Unavailable desc = error reading from server: EOF"),
		errors.New("write: connection reset by peer"),
	} {
		assert.True(t, Died(err), "%v", err)
	}
	for _, err := range []error{nil, errors.New("process exited with code 1"), context.Canceled, errors.New("main.go:3: unexpected EOF of file"[:10])} {
		assert.False(t, Died(err), "%v", err)
	}
}

func TestUnavailableError(t *testing.T) {
	err := &UnavailableError{Attempts: []Attempt{{Kind: Runtime, Cause: "none answers", Fix: "install Docker"}, {Kind: Embedded, Cause: "needs Linux"}}}
	assert.Equal(t, "no engine to build with\n  container runtime: none answers\n    fix: install Docker\n  embedded: needs Linux", err.Error())
}

func TestDiagnose(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	missing := func() []Need { return []Need{{Name: "runc", Detail: "not found", Fix: "make setup"}} }
	all := Diagnose(t.Context(), "", environment(nil), "slipway", missing)
	var names []string
	for _, d := range all {
		names = append(names, d.Engine)
		assert.False(t, d.Usable, d.Engine)
		for _, n := range d.Needs {
			assert.NotEmpty(t, n.Fix, "%s: %s is missing: how is it mended?", d.Engine, n.Name)
		}
	}
	assert.Equal(t, []string{"a Dagger session", "an engine at an address", "a container runtime", "the embedded engine"}, names)
	assert.False(t, Usable(all, "", environment(nil)))

	assert.True(t, Usable(Diagnose(t.Context(), "", environment(nil), "slipway", func() []Need { return []Need{{Name: "runc", Found: true}} }), "", environment(nil)))
	onlyOwn := Diagnose(t.Context(), "docker", environment(nil), "slipway", func() []Need { return []Need{{Name: "runc", Found: true}} })
	assert.False(t, Usable(onlyOwn, WantRuntime, environment(nil)), "a named engine is never replaced by another one")
	assert.False(t, Usable(onlyOwn, "", environment(map[string]string{"SLIPWAY_ENGINE": "docker"})))
	assert.True(t, Usable(onlyOwn, WantEmbedded, environment(nil)))
	assert.True(t, Diagnose(t.Context(), "tcp://h:1", environment(nil), "slipway", missing)[1].Usable)
	assert.True(t, Diagnose(t.Context(), "", environment(map[string]string{"DAGGER_SESSION_PORT": "1"}), "slipway", missing)[0].Usable)
}
