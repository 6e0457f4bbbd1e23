package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	noExec = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	noDev  = unix.MS_NOSUID | unix.MS_NODEV
)

// mount is one call of mount(2), with a directory made for it.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return fmt.Errorf("create mount point: %w", err)
	}
	if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", cmp.Or(m.kind, m.source), m.target, err)
	}
	return nil
}

func mountAll(mounts ...mount) error {
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

// enterRoot puts the engine's root together and makes it this namespace's root. What is written there goes to memory and
// ends with the namespace; only state, content, /tmp and sockets are directories of the host.
func enterRoot(orders namespaceOrders) error {
	root, err := overlayRoot(orders)
	if err != nil {
		return err
	}
	in := func(path string) string { return filepath.Join(root, path) }
	p := orders.Layout
	err = mountAll(
		mount{"proc", in("proc"), "proc", noExec, ""},
		mount{"sysfs", in("sys"), "sysfs", noExec, ""},
		mount{source: p.State, target: in(insideState), flags: unix.MS_BIND | unix.MS_REC},
		mount{source: p.Tmp, target: in("tmp"), flags: unix.MS_BIND | unix.MS_REC},
		mount{"tmpfs", in("run"), "tmpfs", noDev, "mode=0755,size=10%"},
		mount{source: p.Sockets, target: in(insideSockets), flags: unix.MS_BIND},
		mount{source: p.Content, target: in(insideContent), flags: unix.MS_BIND},
	)
	if err != nil {
		return err
	}
	if err := mountCgroups(in("sys/fs/cgroup"), orders.Cgroups); err != nil {
		return err
	}
	if err := mountDevices(in("dev"), orders.Launch.Insecure); err != nil {
		return err
	}
	if err := writeSettings(root, orders.Launch); err != nil {
		return err
	}
	return pivot(root)
}

// overlayRoot mounts the layers. Their names are relative: a colon or comma in the cache's path would end an option.
func overlayRoot(orders namespaceOrders) (string, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	mnt := orders.Layout.Mnt
	if err := (mount{"tmpfs", mnt, "tmpfs", noDev &^ unix.MS_NODEV, "mode=0755,size=25%"}).do(); err != nil {
		return "", err
	}
	if err := (mount{source: orders.Launch.Layers, target: filepath.Join(mnt, "layers"), flags: unix.MS_BIND}).do(); err != nil {
		return "", err
	}
	if err := os.Chdir(mnt); err != nil {
		return "", err
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	lower := "layers/" + strings.Join(orders.Launch.Lower, ":layers/")
	if err := unix.Mount("overlay", "root", "overlay", 0, "lowerdir="+lower+",upperdir=upper,workdir=work"); err != nil {
		return "", fmt.Errorf("mount the engine's root: %w (is overlayfs there? try: modprobe overlay)", err)
	}
	return filepath.Join(mnt, "root"), nil
}

// mountCgroups shows the engine its own group as the root of every hierarchy.
func mountCgroups(dir string, hierarchies []hierarchy) error {
	if len(hierarchies) == 1 && hierarchies[0].Options == "" {
		if err := (mount{"cgroup2", dir, "cgroup2", noExec, ""}).do(); err != nil {
			return err
		}
		return delegate(dir)
	}
	if err := (mount{"tmpfs", dir, "tmpfs", noExec, "mode=0755,size=1m"}).do(); err != nil {
		return err
	}
	for _, h := range hierarchies {
		m := mount{"cgroup", filepath.Join(dir, filepath.Base(h.Mount)), "cgroup", noExec, h.Options}
		if h.Options == "" {
			m.source, m.kind = "cgroup2", "cgroup2"
		}
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

// delegate lets children of a version 2 group have controllers: a group with processes of its own may not give any away.
func delegate(dir string) error {
	init := filepath.Join(dir, "init")
	if err := os.Mkdir(init, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create cgroup: %w", err)
	}
	if err := os.WriteFile(filepath.Join(init, "cgroup.procs"), []byte("0"), 0o644); err != nil {
		return fmt.Errorf("move into cgroup: %w", err)
	}
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read cgroup's controllers: %w", err)
	}
	for name := range strings.FieldsSeq(string(controllers)) {
		// one that cannot be had is missed only by a container that asks for its limit
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0o644)
	}
	return nil
}

// mountDevices gives the engine the few devices that containers get. Tests with whole machines in containers see all.
func mountDevices(dir string, all bool) error {
	if all {
		return mount{source: "/dev", target: dir, flags: unix.MS_BIND | unix.MS_REC}.do()
	}
	err := mountAll(
		mount{"tmpfs", dir, "tmpfs", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0755,size=1m"},
		mount{"devpts", filepath.Join(dir, "pts"), "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		mount{"tmpfs", filepath.Join(dir, "shm"), "tmpfs", noExec, "mode=1777,size=64m"},
		mount{"mqueue", filepath.Join(dir, "mqueue"), "mqueue", noExec, ""},
	)
	if err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "fuse"} {
		if err := bindDevice(filepath.Join("/dev", name), filepath.Join(dir, name)); err != nil && name != "fuse" {
			return err
		}
	}
	links := map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// bindDevice binds the host's node: making one is not allowed everywhere.
func bindDevice(source, target string) error {
	if _, err := os.Stat(source); err != nil {
		return err
	}
	if err := os.WriteFile(target, nil, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", source, err)
	}
	return nil
}

// engineConfigPath is where the engine of this version reads its configuration; without one it lets every container ask for
// all privileges.
const engineConfigPath = "etc/dagger/engine.json"

// writeSettings writes what belongs to this start: names, roots of trust, the engine's configuration.
func writeSettings(root string, l launch) error {
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	hosts, _ := os.ReadFile("/etc/hosts")
	files := map[string]string{
		"etc/resolv.conf": resolvConf(string(resolv)),
		"etc/hosts":       hostsFile(string(hosts)),
		engineConfigPath:  string(l.Config),
	}
	if len(l.CAs) > 0 {
		files["etc/ssl/certs/ca-certificates.crt"] = string(l.CAs)
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
	}
	return nil
}

// resolvConf keeps search domains and options of the host and asks its resolvers through slirp4netns.
func resolvConf(host string) string {
	lines := []string{"nameserver " + slirpResolver}
	for line := range strings.SplitSeq(host, "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && (fields[0] == "search" || fields[0] == "options" || fields[0] == "domain") {
			lines = append(lines, strings.Join(fields, " "))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// hostsFile keeps the host's names for other machines. Its loopback is not the engine's.
func hostsFile(host string) string {
	lines := []string{"127.0.0.1 localhost", "::1 localhost"}
	for line := range strings.SplitSeq(host, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "127.") || strings.Contains(fields[0], ":") {
			continue
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	return strings.Join(lines, "\n") + "\n"
}

// pivot makes root the root and forgets the host's mounts.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's root: %w", err)
	}
	return os.Chdir("/")
}
