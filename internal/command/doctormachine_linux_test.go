package command_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/machinetest"
)

// A service can only be started where a system was booted: docker is installed on such a machine, stopped, and started again by the
// doctor's fix. The machine is a container, so its docker makes no network.
func TestFixOfTheDoctorThatStartsDocker(t *testing.T) {
	m := machinetest.Start(t, 1)[0]
	program, err := exec.LookPath("slipway")
	require.NoError(t, err)
	content, err := os.ReadFile(program)
	require.NoError(t, err)
	m.Copy(t, "/usr/local/bin/slipway", 0o755, content)
	m.Run(t, `mkdir -p /etc/docker && echo '{"iptables": false, "ip6tables": false, "bridge": "none", "storage-driver": "vfs"}' > /etc/docker/daemon.json`)

	none := rowOf(t, m.Run(t, "slipway doctor --json || true"), "docker, podman or nerdctl")
	require.False(t, none.Found)
	m.Run(t, "export DEBIAN_FRONTEND=noninteractive; { apt-get update && "+none.Fix+"; } </dev/null >/tmp/install.log 2>&1 || { tail -n 20 /tmp/install.log >&2; exit 1; }")
	m.Run(t, "systemctl stop docker.socket docker")

	stopped := rowOf(t, m.Run(t, "slipway doctor --json || true"), "a daemon that answers")
	require.False(t, stopped.Found)
	require.Equal(t, "service docker start", stopped.Fix)
	result, err := m.Try(stopped.Fix, "")
	require.NoError(t, err)
	require.Zero(t, result.Code, "%s\n%s", result.Stderr, m.Run(t, "journalctl -u docker -n 30 --no-pager"))
	started := rowOf(t, m.Run(t, "slipway doctor --json || true"), "a daemon that answers")
	assert.True(t, started.Found, started.Detail)
}
