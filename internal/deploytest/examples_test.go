package deploytest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/command"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

const unit = `[Service]
EnvironmentFile=/srv/hello-prod/current/environment
ExecStart=/srv/hello-prod/current/bin/ARCH/hello
Restart=on-failure
`

// The program is a script, so that nothing has to be compiled: it answers as long as its release is a good one.
const program = `#!/usr/bin/perl
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die;
while (my $client = $server->accept) { <$client>; print $client "HTTP/1.0 STATUS x\r\n\r\nVERSION $ENV{GREETING}\n"; close $client }
`

// TestExamples are examples/rsync, with a real rsync over a real sshd, and examples/ansible, with a real ansible-playbook.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs machines: run without -short")
	}
	machines := machinetest.Start(t, 2)
	t.Run("rsync", func(t *testing.T) {
		t.Parallel() // they wait for their machines
		example(t, "rsync", machines[0], func(ssh string) []string { return []string{"SSH=ssh " + ssh} })
	})
	t.Run("ansible", func(t *testing.T) {
		t.Parallel()
		example(t, "ansible-playbook", machines[1], func(ssh string) []string {
			return []string{"HOME=" + t.TempDir(), "ANSIBLE_SSH_ARGS=-o ControlMaster=auto -o ControlPersist=60s " + ssh, "ANSIBLE_HOST_KEY_CHECKING=true"}
		})
	})
}

// example rolls out by the commands of an example: a first release, a second, none, a bad one, and back. The environment that its
// tool needs to reach the machine follows from the arguments that OpenSSH needs.
func example(t *testing.T, tool string, machine *machinetest.Machine, environ func(ssh string) []string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skip(tool + " is not installed: run make setup-test")
	}
	machine.Copy(t, "/etc/systemd/system/hello-prod.service", 0o644, []byte(strings.Replace(unit, "ARCH", machinetest.Arch(), 1)))
	machine.Run(t, "systemctl daemon-reload")
	place := t.TempDir()
	script, err := filepath.Abs("../../examples/" + strings.TrimSuffix(tool, "-playbook") + "/deploy")
	require.NoError(t, err)
	argv := []string{script}
	d := &command.Driver{
		Commands: command.Commands{Observe: argv, Start: argv, Stop: argv, Prune: argv, Probe: argv, Logs: argv},
		Service:  "hello-prod", State: filepath.Join(place, "state"), Dir: place,
		Environ: append([]string{"PATH=" + os.Getenv("PATH")}, environ(sshArguments(t, machine, place))...),
	}
	roll := func(version, status string) rollout.Result {
		d.Version, d.Place = version, unfold(t, filepath.Join(place, version), version, status)
		release := rollout.Release{Artifact: version}
		d.Release = release.Digest()
		return rollout.Runner{Driver: d, Owner: "test"}.Run(t.Context(), rollout.Spec{Environment: "prod", Release: release, Targets: []string{machine.Name},
			Strategy: rollout.InPlace, Bake: rollout.Duration(2 * time.Second), Gates: rollout.Gates{Deadline: rollout.Duration(20 * time.Second), Every: rollout.Duration(2 * time.Second)}})
	}
	answers := func(text string) {
		t.Helper()
		assert.Equal(t, text, machine.Run(t, "curl -sS http://127.0.0.1:8080/health"))
	}
	require.Equal(t, rollout.Done, roll("one", "200").Outcome)
	answers("one hi there\n")
	require.Equal(t, rollout.Done, roll("two", "200").Outcome)
	answers("two hi there\n")
	again := roll("two", "200")
	assert.Equal(t, rollout.Done, again.Outcome)
	assert.Empty(t, again.Steps, "nothing is left to do")

	bad := roll("three", "500")
	require.Equal(t, rollout.RolledBack, bad.Outcome, "%v", bad.Cause)
	assert.Equal(t, "500", bad.Verdict.Evidence.Answer)
	answers("two hi there\n")

	d.Version, d.Place, d.Release = "", "", "" // a rollback: the machine has the release
	first := rollout.Release{Artifact: "one"}
	result := rollout.Runner{Driver: d, Owner: "test"}.Run(t.Context(), rollout.Spec{Environment: "prod", Release: first, Targets: []string{machine.Name},
		Strategy: rollout.InPlace, Bake: rollout.Duration(time.Second)})
	require.Equal(t, rollout.Done, result.Outcome, "%v", result.Cause)
	answers("one hi there\n")
	var lines []string
	require.NoError(t, d.Logs(t.Context(), machine.Name, 20, false, func(line string) { lines = append(lines, line) }))
	assert.NotEmpty(t, lines)
}

// unfold is a release as slipway lays it out.
func unfold(t *testing.T, dir, version, status string) string {
	t.Helper()
	bin := filepath.Join(dir, "bin", machinetest.Arch())
	require.NoError(t, os.MkdirAll(bin, 0o755))
	text := strings.NewReplacer("VERSION", version, "STATUS", status).Replace(program)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "hello"), []byte(text), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "environment"), []byte("GREETING=\"hi there\"\n"), 0o600))
	return dir
}

// sshArguments let OpenSSH reach the machine as root, with its key in known_hosts.
func sshArguments(t *testing.T, m *machinetest.Machine, place string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(m.SSH)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"id": string(m.Key), "known_hosts": fmt.Sprintf("%s %s\n", m.Name, m.HostKey),
		"config": fmt.Sprintf("Host %[4]s\n HostName %[1]s\n Port %[2]s\n User root\n HostKeyAlias %[4]s\n IdentityFile %[3]s/id\n UserKnownHostsFile %[3]s/known_hosts\n StrictHostKeyChecking yes\n", host, port, place, m.Name),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(place, name), []byte(text), 0o600))
	}
	return "-F " + filepath.Join(place, "config")
}
