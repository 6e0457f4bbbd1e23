package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hybridMounts = `24 29 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
27 24 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
28 24 0:23 / /other\040place/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
`

func TestParseHierarchies(t *testing.T) {
	assert.Equal(t, []hierarchy{
		{Mount: "/sys/fs/cgroup/cpu,cpuacct", Options: "cpu,cpuacct"},
		{Mount: "/sys/fs/cgroup/systemd", Options: "name=systemd"},
		{Mount: "/sys/fs/cgroup/unified"},
	}, parseHierarchies(hybridMounts))
	assert.Equal(t, []hierarchy{{Mount: "/sys/fs/cgroup"}}, parseHierarchies("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"))
	assert.Empty(t, parseHierarchies("garbage\n"))
}

func TestResolvConf(t *testing.T) {
	assert.Equal(t, "nameserver 10.0.2.3\nsearch corp.example\noptions edns0\n", resolvConf("nameserver 127.0.0.53\nsearch corp.example\noptions edns0\n"))
	assert.Equal(t, "nameserver 10.0.2.3\n", resolvConf(""))
}

func TestHostsFile(t *testing.T) {
	assert.Equal(t, "127.0.0.1 localhost\n::1 localhost\n10.1.2.3 registry.corp\n", hostsFile("127.0.0.1 localhost\n127.0.1.1 me\n::1 ip6\n10.1.2.3   registry.corp # ours\n#x\n"))
}

func TestStartTimeIsReadPastAnyName(t *testing.T) {
	started, err := startTime(os.Getpid())
	require.NoError(t, err)
	assert.Positive(t, started)
}

func TestParseIdentity(t *testing.T) {
	pid, started, err := parseIdentity("42 4711\n")
	require.NoError(t, err)
	assert.Equal(t, 42, pid)
	assert.EqualValues(t, 4711, started)
	for _, bad := range []string{"", "x", "1 2", "-5 3", "0 0"} {
		_, _, err := parseIdentity(bad)
		require.Error(t, err, bad)
	}
}

// A lock that another program took, with the id of a process that is not a supervisor: nobody is killed.
func TestForceEndNeverKillsAForeignProcess(t *testing.T) {
	l := Options{Cache: t.TempDir()}.layout()
	bystander := exec.Command("sleep", "60")
	require.NoError(t, bystander.Start())
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	held, err := tryLock(l.supervisorLock())
	require.NoError(t, err)
	defer held.Close()
	started, err := startTime(bystander.Process.Pid)
	require.NoError(t, err)
	_, err = held.WriteString(identity(bystander.Process.Pid, started-1))
	require.NoError(t, err)
	require.ErrorContains(t, forceEnd(t.Context(), l), "is not it")
	_, err = startTime(bystander.Process.Pid)
	require.NoError(t, err)
}

func TestStaleFilesAreNoEngine(t *testing.T) {
	opts := Options{Cache: t.TempDir()}
	l := opts.layout()
	require.NoError(t, os.MkdirAll(l.sockets(), 0o700))
	require.NoError(t, os.WriteFile(l.controlSocket(), nil, 0o600))
	require.NoError(t, os.WriteFile(l.supervisorLock(), []byte(identity(os.Getpid(), 1)), 0o600))
	state, err := Status(t.Context(), opts)
	require.NoError(t, err)
	assert.Equal(t, PhaseStopped, state.Phase)
	require.NoError(t, Stop(t.Context(), opts))
	_, err = join(t.Context(), opts)
	require.ErrorIs(t, err, errNotRunning)
}

func TestPrivateDir(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	require.NoError(t, os.Mkdir(open, 0o755))
	require.Error(t, privateDir(open))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(t.TempDir(), link))
	require.Error(t, privateDir(link))
	require.NoError(t, privateDir(filepath.Join(t.TempDir(), "new")))
}

func goodMachine() machine {
	fine := func() error { return nil }
	at := func(string) error { return nil }
	return machine{privileged: fine, namespaces: fine, overlay: at, cgroups: fine, tun: fine, filter: fine, debian: fine, writable: at,
		resolvConf: func() (string, error) { return "nameserver 127.0.0.53\n", nil },
		goCommand:  func(context.Context) (string, error) { return "go1.26.8", nil },
		space:      func(string) (int64, error) { return firstBuildSpace, nil },
		built:      func() bool { return false }}
}

// E6: each missing capability has a row of its own, with a fix.
func TestNeeds(t *testing.T) {
	for _, n := range goodMachine().needs(t.Context(), "/cache") {
		assert.True(t, n.Found, "%+v", n)
	}
	bad := errors.New("not here")
	missing := map[string]func(*machine){
		"root":            func(m *machine) { m.privileged = func() error { return bad } },
		"namespaces":      func(m *machine) { m.namespaces = func() error { return bad } },
		"overlayfs":       func(m *machine) { m.overlay = func(string) error { return bad } },
		"cgroups":         func(m *machine) { m.cgroups = func() error { return bad } },
		"/dev/net/tun":    func(m *machine) { m.tun = func() error { return bad } },
		"packet filter":   func(m *machine) { m.filter = func() error { return bad } },
		"name resolution": func(m *machine) { m.resolvConf = func() (string, error) { return "", nil } },
		"Go":              func(m *machine) { m.goCommand = func(context.Context) (string, error) { return "", bad } },
		"Debian packages": func(m *machine) { m.debian = func() error { return bad } },
		"cache directory": func(m *machine) { m.writable = func(string) error { return bad } },
		"disk space":      func(m *machine) { m.space = func(string) (int64, error) { return 1 << 30, nil } },
	}
	for name, take := range missing {
		t.Run(name, func(t *testing.T) {
			m := goodMachine()
			take(&m)
			for _, n := range m.needs(t.Context(), "/cache") {
				assert.Equal(t, n.Name != name, n.Found, n.Name)
				if n.Name == name {
					assert.NotEmpty(t, n.Fix)
					assert.NotEmpty(t, n.Detail)
				}
			}
		})
	}
	assert.Len(t, goodMachine().needs(t.Context(), "/"), len(missing))
}
