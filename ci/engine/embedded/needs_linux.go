package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what the needs are asked of. Tests put another answer in place of one probe.
type machine struct {
	self       string // this program, to be called as root
	privileged func() error
	namespaces func() error
	overlay    func(dir string) error
	cgroups    func() error
	groups     func() []hierarchy
	tun        func() error
	filter     func() error
	resolvConf func() (string, error)
	resolved   func() bool // systemd's resolver runs
	goCommand  func(ctx context.Context) (string, error)
	debian     func() error
	offPath    func(command string) string // a directory that holds it and is not on PATH
	writable   func(dir string) error
	space      func(dir string) (int64, error)
	used       func() int64 // by the engine's cache
	built      func() bool
}

// Needs asks this machine for everything that the embedded engine needs, one row each. It changes nothing that stays.
func Needs(ctx context.Context, opts Options) []Need {
	return thisMachine(opts).needs(ctx, opts.Cache)
}

func thisMachine(opts Options) machine {
	self := "slipway"
	if len(opts.Self) > 0 {
		self = opts.Self[0]
	}
	return machine{
		self:       self,
		privileged: privileged,
		namespaces: func() error { return inNamespaces(func() error { return nil }) },
		overlay:    tryOverlay,
		cgroups:    tryCgroups,
		groups:     mountedHierarchies,
		tun:        tryTun,
		filter:     tryFilter,
		resolvConf: func() (string, error) { content, err := os.ReadFile("/etc/resolv.conf"); return string(content), err },
		resolved:   func() bool { _, err := os.Stat(stubResolver); return err == nil },
		goCommand: func(ctx context.Context) (string, error) {
			g, err := findGo(ctx, opts.Cache, inherited())
			return g.Version, err
		},
		debian:   aptNeeded,
		offPath:  offPath,
		writable: tryWrite,
		space:    FreeSpace,
		used:     func() int64 { return diskUse(StateDir(opts)) },
		built:    func() bool { _, err := readRun(opts.layout()); return err == nil },
	}
}

// needs is one row for each need. A fix is a command to paste wherever one can mend it, else a sentence.
func (m machine) needs(ctx context.Context, cache string) []Need {
	simple := func(name string, probe func() error, detail string, fix func(error) string) row {
		return row{name, func(context.Context) Need { return need(name, probe(), detail, fix) }}
	}
	return look(ctx, rowPatience, []row{
		simple("root", m.privileged, "root with CAP_SYS_ADMIN", m.rootFix),
		simple("namespaces", m.namespaces, "mount, network, PID, IPC, UTS and cgroup", namespacesFix),
		simple("cache directory", func() error { return m.writable(cache) }, cache, m.elsewhere),
		{"disk space", func(context.Context) Need { return m.diskSpace(cache) }},
		simple("overlayfs", func() error { return m.overlay(cache) }, "on the cache directory's disk", m.overlayFix),
		simple("cgroups", m.cgroups, "version "+version(m.groups())+"; a group of our own can be made", m.cgroupsFix),
		simple("/dev/net/tun", m.tun, "for the engine's user-mode network", tunFix),
		simple("packet filter", m.filter, "nf_tables or ip_tables, within the engine's network", func(error) string { return "modprobe -a nf_tables nft_compat" }),
		{"name resolution", func(context.Context) Need { return m.names() }},
		{"Go", m.goes},
		simple("Debian packages", m.debian, "apt-get and dpkg-deb; nothing is installed", m.debianFix),
	})
}

func need(name string, err error, detail string, fix func(error) string) Need {
	if err != nil {
		return Need{Name: name, Detail: err.Error(), Fix: fix(err)}
	}
	return Need{Name: name, Found: true, Detail: detail}
}

func (m machine) rootFix(error) string {
	if os.Geteuid() == 0 {
		return "in a container: start it with --privileged"
	}
	return `sudo -E env "PATH=$PATH" ` + m.self + " doctor"
}

// namespacesFix: a limit of zero is how systems turn them off; anything else is a container's doing.
func namespacesFix(err error) string {
	if errors.Is(err, unix.ENOSPC) {
		return "for n in mnt net pid ipc uts cgroup; do echo 10000 > /proc/sys/user/max_${n}_namespaces; done"
	}
	if errors.Is(err, unix.EINVAL) { // mounts cannot be changed below a root that is none
		return "leave the chroot, or make its directory a mount before it is entered: mount --bind DIR DIR"
	}
	return "in a container: start it with --privileged"
}

// elsewhere names a directory of this machine that would do as the cache.
func (m machine) elsewhere(error) string {
	for _, dir := range []string{"/var/cache/slipway", "/var/tmp/slipway", "/srv/slipway", "/tmp/slipway"} {
		have, err := m.space(dir)
		if err == nil && have >= firstBuildSpace && m.writable(dir) == nil && (m.privileged() != nil || m.overlay(dir) == nil) {
			return "export SLIPWAY_CACHE=" + dir
		}
	}
	return "attach a local disk with ext4 or xfs, and name a directory on it in SLIPWAY_CACHE"
}

func (m machine) overlayFix(err error) string {
	if errors.Is(err, unix.ENODEV) {
		return "modprobe overlay"
	}
	return m.elsewhere(err)
}

func (m machine) diskSpace(cache string) Need {
	wanted := int64(firstBuildSpace)
	if m.built() {
		wanted = leastSpace
	}
	have, err := m.space(cache)
	if err == nil && have < wanted {
		err = fmt.Errorf("%d MB free in %s, %d MB are needed", have>>20, cache, wanted>>20)
	}
	return need("disk space", err, fmt.Sprintf("%d MB free", have>>20), func(err error) string {
		if have+m.used() >= wanted {
			return m.self + " engine prune"
		}
		return m.elsewhere(err)
	})
}

// version says which cgroups there are, for people.
func version(groups []hierarchy) string {
	for _, h := range groups {
		if h.Options != "" {
			return "1"
		}
	}
	return "2"
}

// cgroupsFix mounts what is not mounted, and makes writable what is not.
func (m machine) cgroupsFix(err error) string {
	groups := m.groups()
	if len(groups) == 0 {
		return "mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
	}
	if !errors.Is(err, unix.EROFS) {
		return "in a container: start it with --privileged"
	}
	var fix []string
	for _, h := range groups {
		fix = append(fix, "mount -o remount,bind,rw "+shellWord(h.Mount))
	}
	return strings.Join(fix, "; ")
}

// tunFix: the module may be part of the kernel, and modprobe not there.
func tunFix(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "in a container: start it with --privileged, or with --device /dev/net/tun"
	}
	return "modprobe tun 2>/dev/null; mkdir -p /dev/net; rm -f /dev/net/tun; mknod /dev/net/tun c 10 200"
}

// stubResolver is systemd's list of servers, which is the one on the loopback.
const stubResolver = "/run/systemd/resolve/stub-resolv.conf"

// names: a resolver on the host's loopback is fine, slirp4netns asks it from the host's side.
func (m machine) names() Need {
	content, err := m.resolvConf()
	if err == nil && !strings.Contains(content, "nameserver") {
		err = errors.New("/etc/resolv.conf names no server")
	}
	detail := "/etc/resolv.conf"
	if strings.Contains(content, "nameserver 127.") {
		detail += ", a local resolver; it is asked from the host's side"
	}
	return need("name resolution", err, detail, func(error) string {
		if m.resolved() {
			return "ln -sf " + stubResolver + " /etc/resolv.conf"
		}
		return "echo 'nameserver 1.1.1.1' >> /etc/resolv.conf   # or your network's own server"
	})
}

func (m machine) goes(ctx context.Context) Need {
	version, err := m.goCommand(ctx)
	return need("Go", err, version, func(error) string {
		if dir := m.offPath("go"); dir != "" {
			return "export PATH=" + shellWord(dir) + `:"$PATH"`
		}
		return fmt.Sprintf(`curl -fsSL https://go.dev/dl/go%s.linux-%s.tar.gz | tar -C /usr/local -xz && export PATH=/usr/local/go/bin:"$PATH"`, installedGo, runtime.GOARCH)
	})
}

// installedGo is what people are told to install: any release that can build the engine would do.
const installedGo = "1.26.8"

func (m machine) debianFix(error) string {
	if dir := m.offPath("apt-get"); dir != "" {
		return `export PATH="$PATH":` + shellWord(dir)
	}
	return "use Debian or Ubuntu, a container runtime, or --engine ADDRESS"
}

// offPath finds a command where it usually is, when that is not on PATH.
func offPath(command string) string {
	home, _ := os.UserHomeDir() // without one there is nothing in it
	for _, dir := range []string{"/usr/local/go/bin", filepath.Join(home, "go", "bin"), filepath.Join(home, "sdk", "go", "bin"), "/usr/lib/go/bin", "/snap/bin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if info, err := os.Stat(filepath.Join(dir, command)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return dir
		}
	}
	return ""
}

// shellWord makes one word of a text, for a POSIX shell.
func shellWord(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-,") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// inNamespaces runs f on a thread of its own in new namespaces. The thread ends with f, and the namespaces with it.
func inNamespaces(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not serve other goroutines
		if err := unix.Unshare(namespaces | unix.CLONE_NEWCGROUP); err != nil {
			done <- fmt.Errorf("unshare: %w", err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			done <- fmt.Errorf("make mounts private: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

func tryOverlay(cache string) error {
	dir, err := os.MkdirTemp(existing(cache), ".slipway-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"lower", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	return inNamespaces(func() error {
		if err := unix.Chdir(dir); err != nil { // unshare gave this thread a working directory of its own
			return err
		}
		if err := unix.Mount("overlay", "root", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"); err != nil {
			return fmt.Errorf("mount overlay on the disk of %s: %w", cache, err)
		}
		return nil
	})
}

// tryCgroups makes a group of its own and removes it.
func tryCgroups() error {
	c, err := newCgroups(fmt.Sprintf("slipway-probe-%d", os.Getpid()), "0")
	if err == nil {
		c.remove()
	}
	return err
}

func mountedHierarchies() []hierarchy {
	content, _ := os.ReadFile("/proc/self/mountinfo") // without it there are none that we could use
	return parseHierarchies(string(content))
}

// tryTun asks the device what it can do: a plain file in its place opens too.
func tryTun() error {
	file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := unix.IoctlGetUint32(int(file.Fd()), unix.TUNGETFEATURES); err != nil {
		return fmt.Errorf("/dev/net/tun is not the device: %w", err)
	}
	return nil
}

// tryFilter: the kernel loads the module when the socket is made.
func tryFilter() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err == nil {
		return unix.Close(fd)
	}
	if _, err := os.Stat("/proc/net/ip_tables_names"); err == nil {
		return nil
	}
	return errors.New("the kernel has neither nf_tables nor ip_tables")
}

func tryWrite(cache string) error {
	dir, err := os.MkdirTemp(existing(cache), ".slipway-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// a cache on a file system that is mounted noexec could be written and not used
	script := filepath.Join(dir, "probe")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
		return err
	}
	if err := exec.Command(script).Run(); err != nil {
		return fmt.Errorf("run a program from %s: %w", cache, err)
	}
	return nil
}

// existing is dir or the nearest directory above it that is there.
func existing(dir string) string {
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}
