package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// firstBuildSpace is what sources, compiled packages, the engine and a first cache take.
const firstBuildSpace = 6 << 30

// machine is what the needs are asked of. Tests put another answer in place of one probe.
type machine struct {
	privileged func() error
	namespaces func() error
	overlay    func(dir string) error
	cgroups    func() error
	tun        func() error
	filter     func() error
	resolvConf func() (string, error)
	goCommand  func(ctx context.Context) (string, error)
	debian     func() error
	writable   func(dir string) error
	space      func(dir string) (int64, error)
	built      func() bool
}

// Needs asks this machine for everything that the embedded engine needs, one row each. It changes nothing that stays.
func Needs(ctx context.Context, opts Options) []Need {
	return thisMachine(opts).needs(ctx, opts.Cache)
}

func thisMachine(opts Options) machine {
	return machine{
		privileged: privileged,
		namespaces: func() error { return inNamespaces(func() error { return nil }) },
		overlay:    tryOverlay,
		cgroups:    tryCgroups,
		tun:        tryTun,
		filter:     tryFilter,
		resolvConf: func() (string, error) { content, err := os.ReadFile("/etc/resolv.conf"); return string(content), err },
		goCommand: func(ctx context.Context) (string, error) {
			g, err := findGo(ctx, opts.Cache, inherited())
			return g.Version, err
		},
		debian:   aptNeeded,
		writable: tryWrite,
		space:    freeSpace,
		built:    func() bool { _, err := readRun(opts.layout()); return err == nil },
	}
}

func (m machine) needs(ctx context.Context, cache string) []Need {
	goVersion, goErr := m.goCommand(ctx)
	return []Need{
		need("root", m.privileged(), "root with CAP_SYS_ADMIN", "sudo -E make ship"),
		need("namespaces", m.namespaces(), "mount, network, PID, IPC, UTS and cgroup", "in a container: start it with --privileged"),
		need("cache directory", m.writable(cache), cache, "export XDG_CACHE_HOME=/a/directory/on/a/local/disk"),
		m.diskSpace(cache),
		need("overlayfs", m.overlay(cache), "on the cache directory's disk", "modprobe overlay; export XDG_CACHE_HOME=/a/directory/on/ext4/or/xfs"),
		need("cgroups", m.cgroups(), "a group of our own can be made", "mount -t cgroup2 none /sys/fs/cgroup"),
		need("/dev/net/tun", m.tun(), "for the engine's user-mode network", "modprobe tun; mkdir -p /dev/net; mknod /dev/net/tun c 10 200"),
		need("packet filter", m.filter(), "nf_tables or ip_tables, within the engine's network", "modprobe -a nf_tables nft_compat"),
		m.names(),
		need("Go", goErr, goVersion, "install Go "+minimumGo+" or newer from https://go.dev/dl and put it on PATH"),
		need("Debian packages", m.debian(), "apt-get and dpkg-deb; nothing is installed", "use Debian or Ubuntu, a container runtime, or --engine ADDRESS"),
	}
}

func need(name string, err error, detail, fix string) Need {
	if err != nil {
		return Need{Name: name, Detail: err.Error(), Fix: fix}
	}
	return Need{Name: name, Found: true, Detail: detail}
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
	return need("disk space", err, fmt.Sprintf("%d MB free", have>>20), "slipway engine prune")
}

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
	return need("name resolution", err, detail, "echo 'nameserver ADDRESS' >> /etc/resolv.conf")
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

func tryCgroups() error {
	c, err := newCgroups("slipway-probe", fmt.Sprint(os.Getpid()))
	if err == nil {
		c.remove()
	}
	return err
}

func tryTun() error {
	file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
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

func freeSpace(cache string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(existing(cache), &stat); err != nil {
		return 0, fmt.Errorf("measure free space: %w", err)
	}
	return int64(stat.Bavail) * stat.Bsize, nil
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
