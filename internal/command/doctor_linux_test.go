package command_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/internal/hosttest"
)

// E6: a need is broken for real, in namespaces that end with the test. The doctor names it, and its fix, pasted into the same
// shell as it stands, mends it. Needs that nothing in a shell can mend have a sentence; TestNeeds looks at those.
var broken = map[string]struct {
	row    string
	in     []string // arguments of unshare; a mount namespace is always there
	breaks string
	fix    string // begins like this
}{
	"cgroups, not mounted": {row: "cgroups", breaks: "umount -R /sys/fs/cgroup", fix: "mkdir -p /sys/fs/cgroup"},
	"cgroups, read-only": {row: "cgroups", breaks: `for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mountpoint -q "$d" && mount -o remount,bind,ro "$d"; done`,
		fix: "mount -o remount,bind,rw"},
	"tun, no device":    {row: "/dev/net/tun", breaks: "mount -t tmpfs none /dev/net", fix: "modprobe tun"},
	"tun, a plain file": {row: "/dev/net/tun", breaks: "mount -t tmpfs none /dev/net; touch /dev/net/tun", fix: "modprobe tun"},
	"names, no server":  {row: "name resolution", breaks: ": > $WORK/empty; mount --bind $WORK/empty /etc/resolv.conf", fix: ""},
	"go, not on PATH": {row: "Go", breaks: `dir=$(dirname "$(command -v slipway)"); [ -x /usr/local/go/bin/go ] || { mkdir -p /usr/local/go/bin; mount -t tmpfs none /usr/local/go/bin; ln -s "$GO" /usr/local/go/bin/go; }
		mkdir $WORK/bin; for c in sh sed cat; do ln -s $(command -v $c) $WORK/bin/; done; PATH=$dir:$WORK/bin`, fix: "export PATH=/usr/local/go/bin"},
	"go, does not answer": {row: "Go", breaks: `mkdir $WORK/slow; printf '#!/bin/sh\nexec sleep 60\n' > $WORK/slow/go; chmod 755 $WORK/slow/go; PATH=$WORK/slow:$PATH`,
		fix: hangs},
	"packages, not on PATH": {row: "Debian packages", breaks: `dir=$(dirname "$(command -v slipway)"); mkdir $WORK/bin; ln -s "$GO" $WORK/bin/go
		for c in sh sed cat; do ln -s $(command -v $c) $WORK/bin/; done; PATH=$dir:$WORK/bin`, fix: "export PATH="},
	"namespaces, turned off": {row: "namespaces", in: []string{"-U", "-r"}, breaks: "echo 0 > /proc/sys/user/max_net_namespaces", fix: "for n in mnt"},
	"cache, read-only":       {row: "cache directory", breaks: "mkdir $WORK/cache; mount -t tmpfs -o ro none $WORK/cache; export SLIPWAY_CACHE=$WORK/cache", fix: "export SLIPWAY_CACHE="},
	"cache, noexec":          {row: "cache directory", breaks: "mkdir $WORK/cache; mount -t tmpfs -o noexec none $WORK/cache; export SLIPWAY_CACHE=$WORK/cache", fix: "export SLIPWAY_CACHE="},
	"overlay on an overlay": {row: "overlayfs", breaks: `cd $WORK; mkdir t; mount -t tmpfs none t; cd t; mkdir l u w r
		mount -t overlay none r -o lowerdir=l,upperdir=u,workdir=w; export SLIPWAY_CACHE=$WORK/t/r/cache`, fix: "export SLIPWAY_CACHE="},
	"disk, too small": {row: "disk space", breaks: "mkdir $WORK/cache; mount -t tmpfs -o size=200m none $WORK/cache; export SLIPWAY_CACHE=$WORK/cache", fix: "export SLIPWAY_CACHE="},
	"disk, full of our cache": {row: "disk space", breaks: `mkdir $WORK/cache; mount -t tmpfs -o size=6500m none $WORK/cache; export SLIPWAY_CACHE=$WORK/cache
		s=$WORK/cache/engine/engine-v$VERSION/state; mkdir -p $s/root/worker; : > $s/.slipway-engine-state; dd if=/dev/zero of=$s/root/worker/x bs=1M count=600 status=none`,
		fix: "slipway engine prune"},
}

func TestEveryFixOfTheDoctorMends(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it breaks a machine in namespaces: needs root")
	}
	before := hosttest.State(t)
	for name, c := range broken {
		t.Run(name, func(t *testing.T) {
			sh := openShell(t, append([]string{"unshare", "-m"}, c.in...)...)
			sh.paste(c.breaks)
			sick := rowOf(t, sh.doctor(), c.row)
			require.False(t, sick.Found)
			assert.NotEmpty(t, sick.Detail)
			require.True(t, strings.HasPrefix(sick.Fix, c.fix), "fix: %s", sick.Fix)
			if c.fix == hangs {
				return
			}
			sh.paste(sick.Fix)
			healthy := rowOf(t, sh.doctor(), c.row)
			assert.True(t, healthy.Found, "%s: %s", sick.Fix, healthy.Detail)
		})
	}
	hosttest.RequireSame(t, before, "listeners", "cgroups", "mounts")
}

// hangs begins the one fix that is no command: what hangs is somebody else's.
const hangs = "find out what hangs"

// shell is a shell that reads what is pasted into it.
type shell struct {
	t     *testing.T
	work  string
	stdin io.Writer
	lines *bufio.Scanner
}

func openShell(t *testing.T, around ...string) *shell {
	t.Helper()
	gocmd, err := exec.LookPath("go")
	require.NoError(t, err)
	root, err := exec.Command(gocmd, "env", "GOROOT").Output()
	require.NoError(t, err)
	s := &shell{t: t, work: t.TempDir()}
	cmd := exec.Command(around[0], append(around[1:], "sh")...)
	cmd.Env = append(os.Environ(), "WORK="+s.work, "GO="+filepath.Join(strings.TrimSpace(string(root)), "bin", "go"),
		"VERSION="+strings.TrimPrefix(embedded.Version, "v"), "SLIPWAY_CACHE="+filepath.Join(s.work, "usual"))
	cmd.Stderr = testWriter{t}
	s.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	s.lines = bufio.NewScanner(stdout)
	s.lines.Buffer(nil, 1<<20)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // with its namespaces
		_ = cmd.Wait()
	})
	return s
}

// paste runs lines in the shell and returns what they print.
func (s *shell) paste(lines string) string {
	s.t.Helper()
	_, err := io.WriteString(s.stdin, lines+"\necho; echo pasted\n")
	require.NoError(s.t, err)
	var out strings.Builder
	for s.lines.Scan() {
		if s.lines.Text() == "pasted" {
			return out.String()
		}
		out.WriteString(s.lines.Text() + "\n")
	}
	require.Fail(s.t, "the shell ended", "after: %s\n%s", lines, out.String())
	return ""
}

func (s *shell) doctor() string {
	s.t.Helper()
	return s.paste("slipway doctor --json 2>/dev/null </dev/null")
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// rowOf finds one row of the embedded engine, or of any other part when that has none of this name.
func rowOf(t *testing.T, document, name string) engine.Need {
	t.Helper()
	var groups []engine.Diagnosis
	require.NoError(t, json.Unmarshal([]byte(document), &groups), "%s", document)
	for i := len(groups) - 1; i >= 0; i-- {
		for _, n := range groups[i].Needs {
			if n.Name == name {
				return n
			}
		}
	}
	require.Fail(t, "no such row", name)
	return engine.Need{}
}

// The fixes that install something are pasted in a Debian that has nothing, made for the test. What a service's start needs
// (a system that was booted) is not there: its row is only looked at.
func TestFixesOfTheDoctorInAFreshDebian(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs packages in a new Debian: run without -short")
	}
	if err := debian.Available(); err != nil {
		t.Skip(err)
	}
	sh := openShell(t, append([]string{"unshare", "-m"}, freshDebian(t)...)...)
	for _, row := range []string{debian.Command, "docker, podman or nerdctl"} {
		sick := rowOf(t, sh.doctor(), row)
		require.False(t, sick.Found, row)
		sh.paste("{ " + sick.Fix + "; } >/dev/null 2>&1 </dev/null")
		assert.True(t, rowOf(t, sh.doctor(), row).Found, sick.Fix)
	}
	daemon := rowOf(t, sh.doctor(), "a daemon that answers")
	assert.Equal(t, "docker does not answer", daemon.Detail)
	assert.Equal(t, "service docker start", daemon.Fix)

	sh.paste("useradd -m joe && echo 'joe ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/joe && chmod 755 /root /root/bin")
	asJoe := func(command string) string {
		return sh.paste("setpriv --reuid=joe --regid=joe --init-groups env HOME=/home/joe SLIPWAY_CACHE=/home/joe/cache sh <<'END'\n" + command + " --json 2>/dev/null </dev/null\nEND")
	}
	sick := rowOf(t, asJoe("slipway doctor"), "root")
	require.False(t, sick.Found)
	assert.True(t, rowOf(t, asJoe(sick.Fix), "root").Found, sick.Fix)
}

// freshDebian makes a Debian with apt and sudo and returns the command that enters it. The program is in it, and on PATH.
func freshDebian(t *testing.T) []string {
	t.Helper()
	suite, arch, err := debian.Host(t.Context())
	if err != nil {
		t.Skip(err)
	}
	work := t.TempDir()
	archive, root := filepath.Join(work, "root.tar"), filepath.Join(work, "root")
	require.NoError(t, debian.Write(t.Context(), debian.Spec{Suite: suite, Arch: arch, Packages: []string{"apt", "sudo", "ca-certificates"}}, archive))
	program, err := exec.LookPath("slipway")
	require.NoError(t, err)
	script := `set -e
mkdir "$1" && mount -t tmpfs -o size=2g none "$1" && tar -C "$1" -xf "$2" --exclude=./dev/*
mkdir -p "$1/root/bin" && cp -L "$3" "$1/root/bin/slipway" && cp -L /etc/resolv.conf "$1/etc/resolv.conf"
cp /etc/apt/apt.conf.d/*prox* "$1/etc/apt/apt.conf.d/" 2>/dev/null || true
mount --rbind /proc "$1/proc"; mount --rbind /dev "$1/dev"
exec chroot "$1" env PATH=/root/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive SLIPWAY_CACHE=/root/cache sh`
	return []string{"sh", "-c", script, "sh", root, archive, program}
}

// The fix that downloads Go, pasted where there is none: curl and tar are the real ones, and so is TLS; go.dev is a server of this test,
// in a network of its own, with a Go that is small.
func TestFixOfTheDoctorThatDownloadsGo(t *testing.T) {
	for _, command := range []string{"curl", "ip"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skip(err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("it makes a network of its own: needs root")
	}
	sh := openShell(t, "unshare", "-m", "-n", "-p", "-f", "--kill-child", "--mount-proc")
	sh.paste(`ip link set lo up; cp /etc/hosts $WORK/hosts; echo "127.0.0.1 go.dev" >> $WORK/hosts; mount --bind $WORK/hosts /etc/hosts
		mkdir $WORK/bin; for c in sh sed cat curl tar gzip mkdir; do ln -s $(command -v $c) $WORK/bin/; done
		dir=$(dirname "$(command -v slipway)"); godev $WORK/ca.pem "$GO" > $WORK/godev.log 2>&1 & while ! [ -s $WORK/ca.pem ]; do :; done
		mount -t tmpfs none /usr/local; export CURL_CA_BUNDLE=$WORK/ca.pem HOME=/usr/local PATH=$dir:$WORK/bin; unset GOROOT https_proxy HTTPS_PROXY all_proxy ALL_PROXY`)
	sick := rowOf(t, sh.doctor(), "Go")
	require.False(t, sick.Found)
	require.Contains(t, sick.Fix, "https://go.dev/dl/go")
	sh.paste(sick.Fix)
	healthy := rowOf(t, sh.doctor(), "Go")
	assert.True(t, healthy.Found, healthy.Detail)
}

// The fixes of the choices that need somebody else's engine lead to the embedded one, which is there.
func TestFixesOfTheDoctorThatUseOurEngine(t *testing.T) {
	needsEngine(t)
	cache, err := ship.CacheDir(os.Getenv)
	require.NoError(t, err)
	dir, _ := saltedModule(t)
	sh := openShell(t, "env")
	sh.paste("export SLIPWAY_CACHE='" + cache + "' CI=true; unset SLIPWAY_ENGINE; cd '" + dir + "'")
	session := rowOf(t, sh.doctor(), "DAGGER_SESSION_PORT")
	require.False(t, session.Found)
	assert.Contains(t, sh.paste("{ "+session.Fix+"; } 2>&1 </dev/null"), "a Dagger session is there")

	sh = openShell(t, "env")
	sh.paste("export SLIPWAY_CACHE='" + cache + "'; unset SLIPWAY_ENGINE")
	address := rowOf(t, sh.doctor(), "address")
	require.False(t, address.Found)
	sh.paste(address.Fix)
	assert.True(t, rowOf(t, sh.doctor(), "address").Found)
}
