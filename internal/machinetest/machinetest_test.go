package machinetest_test

import (
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
	machines := machinetest.Start(t, 2, 8080)
	for i, m := range machines {
		assert.Equal(t, []string{"machine1", "machine2"}[i], strings.TrimSpace(m.Run(t, "hostname")))
		assert.Equal(t, "systemd\n", m.Run(t, "cat /proc/1/comm"))
		content := []byte("it's \x00 binary\n")
		m.Copy(t, "/srv/a b/it's", 0o600, content)
		assert.Equal(t, string(content), m.Run(t, `cat "/srv/a b/it's"`))
		assert.Equal(t, "600\n", m.Run(t, `stat -c %a "/srv/a b/it's"`))
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
