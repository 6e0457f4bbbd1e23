package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// processes are what a supervisor started: the engine, which is PID 1 of its namespace, and its way into the network.
type processes struct {
	engine     *exec.Cmd
	slirp      *exec.Cmd
	engineDone chan struct{}
	slirpDone  chan struct{}
	life       *os.File // the engine's first process notices our death before it can have a parent-death signal
	exit       *os.File // closing it ends slirp4netns
}

// startNamespace starts a copy of this program as PID 1 of new namespaces. It waits there until it is in its cgroup and
// has a network; then it makes its mounts and becomes the engine. The caller's thread must be locked and stay.
func startNamespace(l launch, where layout, groups cgroups, engineLock *os.File) (_ *processes, err error) {
	p := &processes{engineDone: make(chan struct{}), slirpDone: make(chan struct{})}
	defer func() {
		if err != nil {
			p.kill()
		}
	}()
	orders, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	p.life = life
	if err := p.startEngine(orders, engineLock); err != nil {
		return nil, err
	}
	if err := groups.add(p.engine.Process.Pid); err != nil {
		return nil, err
	}
	if err := p.startNetwork(filepath.Join(l.Layers, l.Lower[len(l.Lower)-1])); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(life).Encode(namespaceOrders{Launch: l, Layout: where.paths(), Cgroups: groups.hierarchies}); err != nil {
		return nil, fmt.Errorf("tell the namespace what to do: %w", err)
	}
	return p, nil
}

func (p *processes) startEngine(orders, engineLock *os.File) error {
	cmd := exec.Command("/proc/self/exe", namespaceArgument)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{orders, engineLock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("create namespaces: %w (this needs root, or CAP_SYS_ADMIN in a container that allows it)", err)
	}
	p.engine = cmd
	go func() { defer close(p.engineDone); _ = cmd.Wait() }()
	return nil
}

func (p *processes) startNetwork(root string) error {
	exit, exitWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer exit.Close()
	p.exit = exitWriter
	cmd, err := startSlirp(root, p.engine.Process.Pid, exit, os.Stderr)
	if err != nil {
		return err
	}
	p.slirp = cmd
	go func() { defer close(p.slirpDone); _ = cmd.Wait() }()
	return nil
}

// end asks the engine to stop and gives it time to sync its databases.
func (p *processes) end(patience time.Duration) error {
	if err := p.engine.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the engine: %w", err)
	}
	select {
	case <-p.engineDone:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the engine did not stop within %s and was killed", patience)
	}
}

// kill ends what still runs. The engine takes every process of its PID namespace with it, and with the last one go the
// mounts and the network.
func (p *processes) kill() {
	if p.engine != nil {
		_ = p.engine.Process.Kill()
		<-p.engineDone
	}
	if p.exit != nil {
		p.exit.Close()
	}
	if p.life != nil {
		p.life.Close()
	}
	if p.slirp == nil {
		return
	}
	select {
	case <-p.slirpDone:
	case <-time.After(2 * time.Second):
		_ = p.slirp.Process.Kill()
		<-p.slirpDone
	}
}
