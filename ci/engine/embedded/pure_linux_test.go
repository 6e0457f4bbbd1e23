package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
	return machine{self: "/usr/bin/slipway", privileged: fine, namespaces: fine, overlay: at, cgroups: fine, tun: fine, filter: fine, debian: fine, writable: at,
		groups:     func() []hierarchy { return []hierarchy{{Mount: "/sys/fs/cgroup"}} },
		resolvConf: func() (string, error) { return "nameserver 127.0.0.53\n", nil },
		resolved:   func() bool { return true },
		goCommand:  func(context.Context) (string, error) { return "go1.26.8", nil },
		offPath:    func(string) string { return "" },
		space:      func(string) (int64, error) { return firstBuildSpace, nil },
		used:       func() int64 { return 0 },
		built:      func() bool { return false }}
}

// E6: each missing capability has a row of its own, with a fix that fits its cause.
func TestNeeds(t *testing.T) {
	for _, n := range goodMachine().needs(t.Context(), "/cache") {
		assert.True(t, n.Found, "%+v", n)
	}
	bad := errors.New("not here")
	because := func(err error) func() error { return func() error { return err } }
	full := func(free, used int64) func(*machine) {
		return func(m *machine) {
			m.space = func(dir string) (int64, error) {
				if dir == "/cache" {
					return free, nil
				}
				return firstBuildSpace, nil
			}
			m.used = func() int64 { return used }
		}
	}
	cases := []struct {
		row, fix string
		take     func(*machine)
	}{
		{"root", "", func(m *machine) { m.privileged = because(bad) }},
		{"namespaces", "--privileged", func(m *machine) { m.namespaces = because(unix.EPERM) }},
		{"namespaces", "/proc/sys/user/max_", func(m *machine) { m.namespaces = because(unix.ENOSPC) }},
		{"overlayfs", "modprobe overlay", func(m *machine) { m.overlay = func(string) error { return unix.ENODEV } }},
		{"overlayfs", "attach a local disk", func(m *machine) { m.overlay = func(string) error { return bad } }},
		{"overlayfs", "export SLIPWAY_CACHE=/var/tmp/slipway", func(m *machine) {
			m.overlay = func(dir string) error {
				if dir == "/var/tmp/slipway" {
					return nil
				}
				return bad
			}
		}},
		{"cgroups", "mount -t cgroup2", func(m *machine) { m.cgroups, m.groups = because(bad), func() []hierarchy { return nil } }},
		{"cgroups", "mount -o remount,bind,rw /sys/fs/cgroup", func(m *machine) { m.cgroups = because(unix.EROFS) }},
		{"cgroups", "--privileged", func(m *machine) { m.cgroups = because(unix.EACCES) }},
		{"/dev/net/tun", "mknod", func(m *machine) { m.tun = because(unix.ENOENT) }},
		{"/dev/net/tun", "--device", func(m *machine) { m.tun = because(unix.EPERM) }},
		{"packet filter", "modprobe", func(m *machine) { m.filter = because(bad) }},
		{"name resolution", "ln -sf /run/systemd", func(m *machine) { m.resolvConf = func() (string, error) { return "", nil } }},
		{"name resolution", "echo 'nameserver", func(m *machine) {
			m.resolvConf, m.resolved = func() (string, error) { return "", bad }, func() bool { return false }
		}},
		{"Go", "https://go.dev/dl", func(m *machine) { m.goCommand = func(context.Context) (string, error) { return "", bad } }},
		{"Go", `export PATH=/opt/go/bin:"$PATH"`, func(m *machine) {
			m.goCommand = func(context.Context) (string, error) { return "", bad }
			m.offPath = func(string) string { return "/opt/go/bin" }
		}},
		{"Debian packages", "use Debian or Ubuntu", func(m *machine) { m.debian = because(bad) }},
		{"cache directory", "export SLIPWAY_CACHE=/var/tmp/slipway", func(m *machine) {
			m.writable = func(dir string) error {
				if dir == "/var/tmp/slipway" {
					return nil
				}
				return bad
			}
		}},
		{"disk space", "/usr/bin/slipway engine prune", full(1<<30, 6<<30)},
		{"disk space", "export SLIPWAY_CACHE=/var/cache/slipway", full(1<<30, 1<<30)},
	}
	rows := map[string]bool{}
	for _, c := range cases {
		t.Run(c.row+" "+c.fix, func(t *testing.T) {
			m := goodMachine()
			c.take(&m)
			for _, n := range m.needs(t.Context(), "/cache") {
				assert.Equal(t, n.Name != c.row, n.Found, n.Name)
				if n.Name == c.row {
					assert.NotEmpty(t, n.Detail)
					assert.NotEmpty(t, n.Fix)
					assert.Contains(t, n.Fix, c.fix)
				}
			}
		})
		rows[c.row] = true
	}
	assert.Len(t, goodMachine().needs(t.Context(), "/"), len(rows), "every row is tried")
}

func TestARowThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		begun := time.Now()
		found := look(t.Context(), rowPatience, []row{
			{"quick", func(context.Context) Need { return Need{Name: "quick", Found: true} }},
			{"deaf", func(context.Context) Need { <-never; return Need{Name: "deaf", Found: true} }},
			{"slow", func(ctx context.Context) Need { <-ctx.Done(); return Need{Name: "slow", Detail: "signal: killed"} }},
		})
		assert.Equal(t, rowPatience, time.Since(begun), "they are asked at once")
		assert.Equal(t, Need{Name: "quick", Found: true}, found[0])
		for _, n := range found[1:] {
			assert.False(t, n.Found)
			assert.Equal(t, "no answer within 10s", n.Detail)
			assert.NotEmpty(t, n.Fix)
		}
	})
}

func TestShellWord(t *testing.T) {
	assert.Equal(t, "/sys/fs/cgroup/cpu,cpuacct", shellWord("/sys/fs/cgroup/cpu,cpuacct"))
	assert.Equal(t, `'/a b/it'\''s'`, shellWord("/a b/it's"))
}

func TestShortOf(t *testing.T) {
	disks := map[string]disk{"/cache": {id: 1, free: 5}, "/go": {id: 1, free: 5}, "/else": {id: 2, free: 1}}
	at := func(dir string) (disk, error) { return disks[dir], nil }
	assert.NoError(t, shortOf("x", []wish{{"/cache", 3}, {"/go", 2}, {"/else", 1}}, at))
	assert.Equal(t, &DiskFullError{What: "x", Path: "/go", Need: 6, Have: 5}, shortOf("x", []wish{{"/cache", 3}, {"/go", 3}}, at), "what is on one disk counts together")
	assert.Equal(t, &DiskFullError{What: "x", Path: "/else", Need: 2, Have: 1}, shortOf("x", []wish{{"/cache", 3}, {"/else", 2}}, at))
	err := shortOf("building the engine", []wish{{"/else", 6 << 30}}, at)
	assert.EqualError(t, err, "disk full: building the engine needs 6144 MB, have 0 MB at /else: free some space there, or keep the cache on another disk: export SLIPWAY_CACHE=/a/larger/disk/slipway")
}

func TestOOMKills(t *testing.T) {
	assert.EqualValues(t, 3, oomKillsIn("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"))
	assert.Zero(t, oomKillsIn("low 0\n"))
	assert.Zero(t, oomKillsIn(""))
}
