package embedded

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// namespaceOrders is what PID 1 of the new namespaces must know.
type namespaceOrders struct {
	Launch  launch
	Layout  paths
	Cgroups []hierarchy
}

// paths are the host's directories that the engine sees, and the place where its root is put together.
type paths struct{ Mnt, State, Tmp, Sockets, Content string }

func (l layout) paths() paths {
	return paths{Mnt: l.mnt(), State: filepath.Join(l.stateDir(), stateRoot), Tmp: l.tmp(), Sockets: l.sockets(), Content: l.content()}
}

// Paths within the engine's root.
const (
	insideState   = "/var/lib/dagger"
	insideSockets = "/run/slipway"
	insideContent = "/usr/local/share/dagger/content"
)

// becomeEngine is PID 1: it makes the engine's world and then executes the engine. It returns only with an error.
//
// The thread is locked: cgroup namespace, capabilities and parent-death signal belong to a thread, and the one that
// executes the engine hands down its own.
func becomeEngine() error {
	runtime.LockOSThread()
	life := os.NewFile(3, "orders")
	unix.CloseOnExec(3)
	var orders namespaceOrders
	if err := json.NewDecoder(life).Decode(&orders); err != nil {
		return fmt.Errorf("read orders: %w", err) // the supervisor has died
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("create cgroup namespace: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	if err := enterRoot(orders); err != nil {
		return err
	}
	if err := chooseIptables(); err != nil {
		return err
	}
	raiseFileLimit()
	if !orders.Launch.Insecure {
		if err := dropCapabilities(); err != nil {
			return err
		}
	}
	if err := dieWithParent(life); err != nil {
		return err
	}
	argv := []string{"engine", "--root", insideState, "--addr", "unix://" + insideSockets + "/engine.sock"}
	return fmt.Errorf("execute engine: %w", unix.Exec("/usr/local/bin/engine", argv, orders.Launch.Env))
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// chooseIptables keeps the nft back end where the kernel has it, and takes the older one else.
func chooseIptables() error {
	var reasons []string
	for _, multi := range []string{"xtables-nft-multi", "xtables-legacy-multi"} {
		out, err := exec.Command("/usr/sbin/"+multi, "iptables", "-w", "-t", "nat", "-S").CombinedOutput()
		if err == nil {
			return linkIptables("/", multi)
		}
		reasons = append(reasons, multi+": "+strings.TrimSpace(string(out)))
	}
	return fmt.Errorf("the kernel has neither nf_tables nor ip_tables; try: modprobe -a nf_tables nft_compat ip_tables iptable_nat (%s)", strings.Join(reasons, "; "))
}

// raiseFileLimit gives the engine as many files as this machine allows: a build opens many.
func raiseFileLimit() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	const wanted = 1 << 20
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: wanted, Max: max(wanted, limit.Max)}) != nil {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
}

// dropCapabilities takes away for good what neither the engine nor any container of a normal build needs.
func dropCapabilities() error {
	for _, capability := range []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_BOOT, unix.CAP_SYS_TIME, unix.CAP_SYS_RAWIO, unix.CAP_SYSLOG,
		unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE, unix.CAP_WAKE_ALARM, unix.CAP_BLOCK_SUSPEND, unix.CAP_AUDIT_CONTROL, unix.CAP_AUDIT_READ} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	return nil
}

// dieWithParent asks for SIGKILL when the supervisor's thread ends. What was asked for at the clone belonged to the first
// thread, and only the thread that executes the engine counts. The pipe tells whether the supervisor is already gone.
func dieWithParent(life *os.File) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask for parent-death signal: %w", err)
	}
	polled := []unix.PollFd{{Fd: int32(life.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(polled, 0); err == nil && n > 0 && polled[0].Revents&unix.POLLHUP != 0 {
		return fmt.Errorf("the supervisor has died")
	}
	return nil
}
