//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

func sha256Of(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// every is each way in which two slots, their traffic and what is written down of them can be, without a lease.
func every(t *testing.T, try func(view)) {
	t.Helper()
	var slots []slot
	for _, release := range []string{"", releaseA, releaseB} {
		for _, active := range []string{"inactive", "failed", "active", "activating"} {
			for _, enabled := range []string{"enabled", "disabled"} {
				in := slot{release: release, health: rollout.Unhealthy, unit: unitState{"ActiveState": active, "UnitFileState": enabled}}
				slots = append(slots, in)
				if in.unit.up() {
					in.health = rollout.Healthy
					slots = append(slots, in)
				}
			}
		}
	}
	count := 0
	for _, blue := range slots {
		for _, green := range slots {
			for _, split := range []rollout.Split{{}, {rollout.Blue: 100}, {rollout.Green: 100}, {rollout.Blue: 90, rollout.Green: 10}} {
				blue.name, green.name = rollout.Blue, rollout.Green
				blue.weight, green.weight = split[rollout.Blue], split[rollout.Green]
				if (blue.release == "" && blue.unit.runs()) || (green.release == "" && green.unit.runs()) {
					continue
				}
				count++
				try(view{state: state{Committed: releaseA, Slots: map[string]string{}}, slots: []slot{blue, green}})
			}
		}
	}
	require.Greater(t, count, 500)
}

// follow is what a decision leads to when all goes well.
func follow(v view, d decision) view {
	slots := []slot{v.slots[0], v.slots[1]}
	v.slots, v.Slots = slots, maps.Clone(v.Slots)
	for i := range slots {
		in := &slots[i]
		in.unit = maps.Clone(in.unit)
		switch {
		case d.act == shiftBack:
			in.weight = 0
			if in.name == d.slot {
				in.weight = 100
			}
		case d.act == boots:
			in.unit["UnitFileState"] = "disabled"
			if in.name == d.slot {
				in.unit["UnitFileState"] = "enabled"
				v.Slots[in.name] = v.Committed
			}
		case in.name != d.slot:
		case d.act == restore:
			in.release, in.health, in.unit["ActiveState"] = v.Committed, rollout.Healthy, "active"
			v.Slots[in.name] = v.Committed
		case d.act == wait:
			in.health, in.unit["ActiveState"] = rollout.Healthy, "active"
		case d.act == stopOther:
			in.weight, in.unit["ActiveState"], in.unit["UnitFileState"] = 0, "inactive", "disabled"
			delete(v.Slots, in.name)
		}
	}
	return v
}

// From wherever a rollout, a helper or the power was cut off, the guard comes to the committed release alone, and takes nothing
// healthy away on the way that something else does not do already.
func TestTheGuardComesHomeFromEverywhere(t *testing.T) {
	every(t, func(v view) {
		begin := v
		for range 8 {
			d := next(v, false)
			in := v.slot(d.slot)
			switch d.act {
			case done:
				home, _ := v.home()
				require.Equal(t, rollout.Split{home.name: 100}, v.split())
				require.Equal(t, map[string]string{home.name: releaseA}, v.Slots)
				require.True(t, home.unit.enabled())
				return
			case stopOther:
				require.Zero(t, in.weight, "%+v", v)
				home, _ := v.home()
				require.Equal(t, rollout.Healthy, home.health)
			case restore:
				other := v.slots[0]
				if other.name == in.name {
					other = v.slots[1]
				}
				require.True(t, in.health != rollout.Healthy || other.health == rollout.Healthy, "the only healthy instance stays: %+v", v)
			}
			v = follow(v, d)
		}
		require.Fail(t, "it does not come to an end", "%+v", begin)
	})
	every(t, func(v view) {
		v.Committed = ""
		assert.Equal(t, nothing, next(v, false).act)
		v.Committed, v.Lease, v.now = releaseA, &lease{Boot: "b", Deadline: 2, TTL: 2}, moment{boot: "b", since: 1}
		assert.Equal(t, wait, next(v, false).act, "a lease that lasts is left alone")
	})
}

func TestFirewalls(t *testing.T) {
	for name, blocked := range map[string]bool{
		"ufw open":          ufwBlocks("Status: active\n\nTo  Action From\n80/tcp  ALLOW  Anywhere\n", "80"),
		"ufw off":           ufwBlocks("Status: inactive\n", "80"),
		"firewalld service": firewalldBlocks("public\n  target: default\n  services: ssh http\n  ports: \n", "80"),
		"firewalld port":    firewalldBlocks("  services: ssh\n  ports: 8080/tcp\n", "8080"),
		"iptables accept":   iptablesBlocks("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n", "80"),
		"iptables open":     iptablesBlocks("-P INPUT ACCEPT\n", "80"),
		"iptables several":  iptablesBlocks("-P INPUT DROP\n-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n", "443"),
		"nft open":          nftBlocks("table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\ttcp dport { 22, 80 } accept\n\t}\n}\n", "80"),
		"nft accept":        nftBlocks("type filter hook input priority filter; policy accept;\n", "80"),
	} {
		assert.False(t, blocked, name)
	}
	for name, blocked := range map[string]bool{
		"ufw":             ufwBlocks("Status: active\n\n22/tcp  ALLOW  Anywhere\n", "80"),
		"firewalld":       firewalldBlocks("  services: ssh\n  ports: 8080/tcp\n", "80"),
		"iptables":        iptablesBlocks("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", "80"),
		"iptables reject": iptablesBlocks("-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n", "80"),
		"nft":             nftBlocks("chain input {\n\ttype filter hook input priority filter; policy drop;\n\ttcp dport 22 accept\n}\n", "80"),
	} {
		assert.True(t, blocked, name)
	}
}

func TestAccounts(t *testing.T) {
	assert.NoError(t, checkAccount("greeter", "greeter:x:998:998::/:/usr/sbin/nologin"))
	assert.NoError(t, checkAccount("www-data", "www-data:x:33:33:www-data:/var/www:/bin/false"))
	assert.ErrorContains(t, checkAccount("ada", "ada:x:1000:1000:Ada:/home/ada:/bin/bash"), "a person's")
	assert.Error(t, checkAccount("toor", "toor:x:0:0:root:/root:/usr/sbin/nologin"))
	assert.Error(t, bench(t).account(t.Context(), "-x"))
}

// The guard looks whether ports are free, also those below 1024, when it goes back over another proxy: listen.
func TestTheGuardMayDoWhatGoingBackNeeds(t *testing.T) {
	_, rest, _ := strings.Cut(guardUnit, "\nCapabilityBoundingSet=")
	capabilities, _, _ := strings.Cut(rest, "\n")
	assert.Equal(t, []string{"CAP_DAC_OVERRIDE", "CAP_NET_BIND_SERVICE"}, strings.Fields(capabilities))
}

func TestListeners(t *testing.T) {
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n" +
		"   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n"
	assert.Equal(t, []string{"4711"}, listeners(table, 8080))
	assert.Empty(t, listeners(table, 80))
}

func TestHookUnit(t *testing.T) {
	unit := "# comment\n[Unit]\nStartLimitBurst=5\n[Service]\nType=notify\nExecStart=/bin/x\nUser=greeter\nEnvironment=\"A=b\\nc %%\"\nRestart=always\nStandardOutput=append:/var/log/x\nStandardError=inherit\n[Install]\nWantedBy=x\n"
	text := hookUnit(app, unit, []string{"/bin/sh", "-c", "echo \"$A\" 100%\n"}, 90*time.Second)
	assert.Equal(t, "[Unit]\nDescription=hook of greeter-prod\n\n[Service]\nType=exec\nRemainAfterExit=yes\n"+
		`ExecStart="/bin/sh" "-c" "echo \"$$A\" 100%%\n"`+"\nRuntimeMaxSec=90000ms\nUser=greeter\nEnvironment=\"A=b\\nc %%\"\n", text)
}

// The command has a default of its own, so that none are none.
func TestNoLinesAreNone(t *testing.T) {
	s, err := bench(t).service(app)
	require.NoError(t, err)
	defer s.close()
	for lines, want := range map[int]string{0: "--lines=0", 7: "--lines=7"} {
		sources, err := s.sources(protocol.Request{Tail: lines, Follow: true})
		require.NoError(t, err)
		assert.Contains(t, sources[0], want)
	}
}

func TestRootComesFromTheHelpersPath(t *testing.T) {
	m, err := newMachine("/opt/slipway/helper/abc/slipway-host")
	require.NoError(t, err)
	assert.Equal(t, "/", m.root)
	assert.Equal(t, "/etc/x", m.path("etc", "x"))
	m, err = newMachine("/tmp/m/opt/slipway/helper/abc/slipway-host")
	require.NoError(t, err)
	assert.Equal(t, "/tmp/m/etc", m.path("etc"))
	for _, wrong := range []string{"", "slipway-host", "./opt/slipway/helper/abc/slipway-host", "/usr/bin/slipway-host"} {
		_, err := newMachine(wrong)
		assert.Error(t, err, wrong)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"version":1,"service":"greeter-prod","verb":"observe"}` + "\n"))
	f.Add([]byte(`{"version":1,"verb":"start","step":{"verb":"start","to":{"blue":100}}}`))
	f.Add([]byte("{}\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := readRequest(bufio.NewReader(bytes.NewReader(data)))
		if err == nil && request.Version != protocol.Version {
			t.Fatal("a request of another version was taken")
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"committed":"` + releaseA + `","slots":{"blue":"` + releaseA + `"},"fence":3}`))
	f.Add([]byte(`{"version":1,"lease":{"owner":"x","deadline":-1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := parseState(data)
		if err != nil {
			return
		}
		for _, digest := range append([]string{st.Committed, st.Previous}, values(st.Slots)...) {
			if strings.ContainsAny(digest, "./") {
				t.Fatalf("%q leads out of a directory", digest)
			}
		}
		_ = st.told(moment{boot: "b", since: 1})
		_ = next(view{state: st}, true)
	})
}

func FuzzUnit(f *testing.F) {
	f.Add(mark(releaseA, "[Service]\n"))
	f.Add("[Service]\nUser=x\n")
	f.Fuzz(func(t *testing.T, content string) {
		u := parseUnit(content)
		if u.whole() && mark(u.release, u.text) != content {
			t.Fatal("a unit that is ours is not what we wrote")
		}
		_ = hookUnit(app, content, []string{content}, 0)
		_ = parseShow(content)
		_, _ = parseHistory([]byte(content))
	})
}
