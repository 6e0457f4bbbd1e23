package installtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

// Every relaxation gives what its name says: a command that needs it fails in a hardened unit, and succeeds in a relaxed one.
// low-ports has a test of its own; realtime needs a limit that no unit of ours gives.
func TestRelaxations(t *testing.T) {
	machine := machinetest.Start(t, 1)[0]
	machine.Run(t, "useradd --system service && touch /tmp/marker /home/marker && chmod 755 /home")
	needs := map[systemd.Relaxation]string{
		systemd.Netlink:      "perl -e 'socket(S, 16, 3, 0) or exit 1'", // AF_NETLINK, SOCK_RAW: ip itself calls what @privileged denies
		systemd.WriteExecute: writeExecute(),
		systemd.Resources:    "taskset -p 1 $$",
		systemd.Privileged:   "touch /run/service/mine && chown service /run/service/mine",
		systemd.Processes:    "test -d /proc/1",
		systemd.Home:         "test -e /home/marker",
		systemd.SharedTemp:   "test -e /tmp/marker",
		systemd.Devices:      "test -e /dev/kmsg || test -e /dev/full -a -e /dev/core",
		systemd.Namespaces:   "unshare --user true",
	}
	for relaxation, command := range needs {
		t.Run(string(relaxation), func(t *testing.T) {
			hardened, log := ends(t, machine, command)
			assert.False(t, hardened, "%s succeeds without it: %s", command, log)
			relaxed, log := ends(t, machine, command, relaxation)
			assert.True(t, relaxed, "%s fails with it: %s", command, log)
		})
	}
}

// writeExecute asks for memory that may be written and executed (mmap with all of PROT_READ, PROT_WRITE and PROT_EXEC).
func writeExecute() string {
	number := "9"
	if machinetest.Arch() == "arm64" {
		number = "222"
	}
	return `perl -e 'exit(syscall(` + number + `, 0, 4096, 7, 0x22, -1, 0) == -1 ? 1 : 0)'`
}

// ends runs a command as a service, and says whether it ended well.
func ends(t *testing.T, machine *machinetest.Machine, command string, relax ...systemd.Relaxation) (ok bool, log string) {
	t.Helper()
	unit, err := systemd.Unit(systemd.Service{Name: "service", Command: []string{"/bin/sh", "-c", command}, User: "service", Runtime: "service", Relax: relax, Restart: systemd.Restart{When: systemd.Never}})
	require.NoError(t, err)
	machine.Copy(t, "/run/systemd/system/service.service", 0o644, []byte(unit))
	result, err := machine.Try("systemctl daemon-reload; systemctl reset-failed service 2>/dev/null; systemctl start --wait service; code=$?; journalctl -u service -n 10 -o cat --no-pager; exit $code", "")
	require.NoError(t, err)
	return result.Code == 0, result.Stdout + result.Stderr
}
