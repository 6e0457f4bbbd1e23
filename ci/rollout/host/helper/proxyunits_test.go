//go:build linux

package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// proxies stands for systemd, with the two units of a proxy. One whose unit says "broken" does not start.
type proxies struct {
	*testing.T
	*service
	running map[string]*http.Server
}

func newProxies(t *testing.T) *proxies {
	t.Helper()
	m := bench(t)
	s, err := m.service(app)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(s.path(protocol.RunDir, app), 0o755))
	p := &proxies{T: t, service: s, running: map[string]*http.Server{}}
	m.systemd.run = p.run
	t.Cleanup(func() {
		for unit := range p.running {
			p.end(unit)
		}
		s.close()
	})
	return p
}

func (p *proxies) run(_ context.Context, argv ...string) (string, error) {
	units := argv[slices.Index(argv, "--")+1:]
	switch {
	case slices.Contains(argv, "show"):
		var out strings.Builder
		for _, unit := range units {
			state := "inactive"
			if p.running[unit] != nil || strings.HasSuffix(unit, ".socket") {
				state = "active"
			}
			out.WriteString("Id=" + unit + "\nActiveState=" + state + "\n\n")
		}
		return out.String(), nil
	case slices.Contains(argv, "start"):
		p.begin(units[0])
	case slices.Contains(argv, "stop"):
		p.end(units[0])
	}
	return "", nil
}

func (p *proxies) begin(unit string) {
	if file, err := readUnit(p.units, unit); err != nil || p.running[unit] != nil || strings.Contains(file.text, "broken") {
		return
	}
	listener, err := net.Listen("unix", p.path(protocol.RunDir, app, p.proxySocketOf(unit)))
	require.NoError(p, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/retire") {
			http.NotFound(w, r) // it is stopped then
			return
		}
		_, _ = w.Write([]byte("{}"))
	})}
	p.running[unit] = server
	go func() { _ = server.Serve(listener) }()
}

func (p *proxies) end(unit string) {
	if server := p.running[unit]; server != nil {
		server.Close()
		delete(p.running, unit)
	}
}

// wanted is a proxy of a build with a setting in its units.
func (p *proxies) wanted(setting string) *protocol.Proxy {
	units := map[string]string{p.proxySocket(): "[Socket]\n"}
	for _, unit := range p.proxyServices() {
		units[unit] = "[Service]\n# " + setting + "\n"
	}
	return &protocol.Proxy{Binary: sumOf("proxy"), Units: units}
}

func (p *proxies) texts() (texts []string) {
	for _, unit := range p.proxyServices() {
		file, err := readUnit(p.units, unit)
		require.NoError(p, err)
		texts = append(texts, strings.TrimSpace(strings.TrimPrefix(file.text, "[Service]\n# ")))
	}
	return texts
}

func (p *proxies) upgrade(within time.Duration, setting string) error {
	ctx, cancel := context.WithTimeout(p.Context(), within)
	defer cancel()
	services := p.proxyServices()
	units, err := p.systemd.show(ctx, services[0], services[1])
	require.NoError(p, err)
	return p.upgradeProxy(ctx, p.wanted(setting), units)
}

// A proxy that does not start leaves the one that serves as it is, also on the disk: what a crash or a boot starts works.
func TestABrokenProxyChangesNothing(t *testing.T) {
	p := newProxies(t)
	services := p.proxyServices()
	require.NoError(t, p.firstProxy(t.Context(), p.wanted("first")))
	require.Error(t, p.upgrade(time.Second, "broken"))
	assert.Equal(t, []string{"first", "first"}, p.texts())
	assert.NotNil(t, p.running[services[0]], "it serves on")

	require.NoError(t, p.upgrade(time.Minute, "second"))
	assert.Equal(t, []string{"second", "second"}, p.texts())
	assert.Nil(t, p.running[services[0]])
	assert.NotNil(t, p.running[services[1]])
}

// An upgrade that was cut off after the new proxy had started goes on with that one.
func TestAnUpgradeThatWasCutOff(t *testing.T) {
	p := newProxies(t)
	services := p.proxyServices()
	require.NoError(t, p.firstProxy(t.Context(), p.wanted("first")))
	require.NoError(t, p.tryProxy(t.Context(), p.wanted("second"), services[1]))
	kept := p.running[services[1]]
	require.NoError(t, p.upgrade(time.Minute, "second"))
	assert.Equal(t, []string{"second", "second"}, p.texts())
	assert.Nil(t, p.running[services[0]])
	assert.Same(t, kept, p.running[services[1]])
}

// While no proxy starts a lease is given all the same, and the machine is seen: a deploy may bring a proxy that does start.
func TestALeaseWithoutAProxy(t *testing.T) {
	p := newProxies(t)
	release := protocol.Release{Release: rollout.Release{Artifact: "a"}, Digest: releaseA, Service: app, Slots: map[string]protocol.Instance{rollout.Blue: {Unit: "x", Port: 1}, rollout.Green: {Unit: "x", Port: 2}}}
	release.Traffic.Proxy = p.wanted("broken")
	require.NoError(t, p.put(release.Traffic.Proxy.Binary, int64(len("proxy")), strings.NewReader("proxy")))
	require.NoError(t, p.stage(t.Context(), release))
	_, err := writeUnit(p.units, p.unit(rollout.Blue), releaseA, "x")
	require.NoError(t, err)
	require.NoError(t, p.update(t.Context(), func(st state) (state, error) {
		st = st.with(rollout.Blue, releaseA).commit(releaseA)
		st.Split = rollout.Split{rollout.Blue: 100}
		return st, nil
	}))
	require.NoError(t, p.writeProxyUnits(t.Context(), release.Traffic.Proxy, p.proxySocket(), p.proxyServices()[0], p.proxyServices()[1]))

	lease, err := p.acquire(t.Context(), "one", 3*time.Second)
	require.NoError(t, err)
	assert.NotZero(t, lease.Fence)
	seen, err := p.observe(t.Context(), "web1")
	require.NoError(t, err)
	assert.Empty(t, seen.Target.Unseen)
	assert.Equal(t, rollout.Split{rollout.Blue: 100}, seen.Target.Split(), "where a proxy that starts sends it")
	assert.Contains(t, strings.Join(seen.Drift, "\n"), "the proxy does not answer")
}

func TestMissingFilesAreProblems(t *testing.T) {
	m := bench(t)
	require.NoError(t, os.WriteFile(filepath.Join(m.root, "there.pem"), nil, 0o600))
	problems := m.missingFiles([]string{"/there.pem", "/gone.key", "/proc"})
	require.Len(t, problems, 2)
	assert.Contains(t, problems[0].What, "/gone.key")
	assert.Contains(t, problems[1].What, "/proc, which is no file")
}
