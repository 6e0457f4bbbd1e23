package machinetest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/machinetest"
)

func TestMain(m *testing.M) { os.Exit(machinetest.Main(m)) }

// Machines are real, and each is its own.
func TestMachines(t *testing.T) {
	machines := machinetest.Start(t, 3, 8080)
	for i, m := range machines {
		assert.Equal(t, fmt.Sprint("machine", i+1), strings.TrimSpace(m.Run(t, "hostname")))
		assert.Equal(t, "systemd\n", m.Run(t, "cat /proc/1/comm"))
		content := []byte("it's \x00 binary\n")
		m.Copy(t, "/srv/a b/it's", 0o600, content)
		assert.Equal(t, string(content), m.Run(t, `cat "/srv/a b/it's"`))
		assert.Equal(t, "600\n", m.Run(t, `stat -c %a "/srv/a b/it's"`))
		reached(t, m)
	}

	first, second := machines[0], machines[1]
	first.Run(t, "systemd-run --unit=sleeper -p MemoryMax=50M sleep 1000")
	assert.Equal(t, "active\n", first.Run(t, "systemctl is-active sleeper"))
	assert.Equal(t, "MemoryMax=52428800\n", first.Run(t, "systemctl show -p MemoryMax sleeper"))
	assert.NotContains(t, first.Run(t, "systemctl show -p MemoryCurrent sleeper"), "not set")
	result, err := second.Try("systemctl is-active sleeper; ls -d /sys/fs/cgroup/*/system.slice/sleeper.service /sys/fs/cgroup/system.slice/sleeper.service", "")
	require.NoError(t, err)
	assert.NotContains(t, result.Stdout, "/sleeper.service", "another machine's control groups are not seen")

	result, err = first.Try("exit 7", "")
	require.NoError(t, err)
	assert.Equal(t, 7, result.Code)
	assert.Equal(t, "0\n", first.Run(t, "sudo -u deploy sudo id -u"))
}

// reached says that what listens on a machine is reached from here, and that people can log in.
func reached(t *testing.T, m *machinetest.Machine) {
	t.Helper()
	m.Run(t, "/usr/sbin/sshd -p 8080 -o PidFile=/run/second.pid") // it is in the background when it listens
	conn, err := net.Dial("tcp", m.Address(8080))
	require.NoError(t, err)
	defer conn.Close()
	banner, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, banner, "SSH-2.0")

	client, err := m.Connect(t.Context(), "deploy")
	require.NoError(t, err)
	defer client.Close()
	session, err := client.NewSession()
	require.NoError(t, err)
	who, err := session.Output("id -un; sudo -n id -un")
	require.NoError(t, err)
	assert.Equal(t, "deploy\nroot\n", string(who))
}
