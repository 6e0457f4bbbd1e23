package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// compilerPackages are unpacked for one build and removed after it. The host needs no C compiler.
var compilerPackages = []string{"gcc", "libc6-dev", "libseccomp-dev", "pkg-config"}

// chrootOrders describe one command in another root.
type chrootOrders struct {
	Root  string
	Binds []string // directories of the host that are seen at the same path
	Dir   string
	Argv  []string
	Env   []string
}

// cgoLayer makes a layer of programs that need a C compiler. They are built in a root of Debian packages, with the host's
// Go tree and module cache bound into it.
func (g goCommand) cgoLayer(spec goLayer, arch string) (layer, error) {
	key, err := spec.key(g.Version, g.platform()+debianRelease()+strings.Join(compilerPackages, " "))
	return layer{name: spec.name, title: spec.title, key: key, build: func(ctx context.Context, dir string) error {
		return g.buildCgo(ctx, spec, dir, arch)
	}}, err
}

func (g goCommand) buildCgo(ctx context.Context, spec goLayer, dir, arch string) error {
	if err := aptNeeded(); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, ".work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	work, root, apt := filepath.Join(temp, "module"), filepath.Join(temp, "root"), filepath.Join(temp, "apt")
	if err := writeModule(spec.module, work); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	if err := g.fetch(ctx, spec, work); err != nil {
		return err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := skeleton(root); err != nil {
		return err
	}
	if err := (debian{work: apt, arch: arch, env: inherited()}).unpack(ctx, root, compilerPackages); err != nil {
		return err
	}
	orders := chrootOrders{
		Root: root, Binds: []string{g.Root, g.Modules, g.Cache, work, "/dev"}, Dir: work,
		Argv: append([]string{filepath.Join(g.Root, "bin", "go")}, spec.buildArguments(work)...),
		Env:  g.cgoEnv(),
	}
	if err := orders.run(ctx); err != nil {
		return err
	}
	return spec.install(work, dir)
}

// fetch gets the sources while there is a network.
func (g goCommand) fetch(ctx context.Context, spec goLayer, work string) error {
	args := []string{"list", "-deps", "-tags", spec.tags}
	for _, p := range spec.programs {
		args = append(args, p.pkg)
	}
	_, err := g.run(ctx, work, append(g.env, "CGO_ENABLED=1"), args...)
	return err
}

func (g goCommand) cgoEnv() []string {
	return []string{"PATH=/usr/bin:/bin", "HOME=/root", "TMPDIR=/tmp", "LC_ALL=C", "CGO_ENABLED=1", "CC=gcc", "GOENV=off", "GOFLAGS=-mod=readonly",
		"GOPROXY=off", "GOTOOLCHAIN=local", "GOWORK=off", "GOROOT=" + g.Root, "GOMODCACHE=" + g.Modules, "GOCACHE=" + g.Cache}
}

// run starts a copy of this program in a mount namespace, which enters the root and executes the command.
func (o chrootOrders) run(ctx context.Context) error {
	content, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", chrootArgument)
	cmd.Stdin = strings.NewReader(string(content))
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	return nil
}

// runInChroot is the copy.
func runInChroot() error {
	var o chrootOrders
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, dir := range o.Binds {
		if err := (mount{source: dir, target: filepath.Join(o.Root, dir), flags: unix.MS_BIND | unix.MS_REC}).do(); err != nil {
			return err
		}
	}
	if err := unix.Chroot(o.Root); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := os.Chdir(o.Dir); err != nil {
		return err
	}
	return unix.Exec(o.Argv[0], o.Argv, o.Env)
}
