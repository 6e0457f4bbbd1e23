package installtest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/release/linuxpkg"
	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

// The rpm is installed by rpm itself, with its scripts. The distribution is Debian all the same, whose packages rpm does not
// know: so without what it depends on.
func TestRPMServes(t *testing.T) {
	h := host{t, machinetest.Start(t, 1)[0]}
	rpm := func(verb, version string, environment ...systemd.Variable) {
		h.Copy(t, "/tmp/greeter.rpm", 0o644, made(t, linuxpkg.RPM, version, environment...))
		h.run("rpm --force-debian --nodeps " + verb + " /tmp/greeter.rpm")
	}
	rpm("-i", "1.2.3-rc.1")
	assert.Contains(t, h.run("rpm -K --nosignature /tmp/greeter.rpm"), "digests OK")
	assert.Equal(t, "greeter 1.2.3~rc.1 1 Apache-2.0 Greets people", h.run(`rpm -qp --qf '%{NAME} %{VERSION} %{RELEASE} %{LICENSE} %{SUMMARY}' /tmp/greeter.rpm`))
	assert.Equal(t, "/etc/greeter/greeter.env", h.run("rpm -qpc /tmp/greeter.rpm"))
	assert.Empty(t, h.run("rpm -V --nodeps greeter"), "what is installed is what the package says")
	assert.Equal(t, "enabled inactive", h.state(), "the distribution's presets decide, and nothing is started")

	h.run("systemctl start greeter")
	assert.Contains(t, h.answers("/health"), `"version":"1.2.3-rc.1"`)
	assert.Equal(t, "greeter", h.run("stat -c %U /proc/"+h.pid()))
	h.run(`echo 'GREETER_GREETING="Moin"' >>/etc/greeter/greeter.env`)
	rpm("-U", "1.2.3", systemd.Variable{Name: "GREETER_GREETING", Value: "Salut"})
	assert.Contains(t, h.answers("/health"), `"version":"1.2.3"`, "it was restarted")
	assert.Equal(t, "Moin, Ada!", h.answers("/hello?name=Ada"))

	pid := h.pid()
	h.run("rpm --force-debian -e greeter")
	result, err := h.Try("test -e /proc/"+pid+" || systemctl cat greeter", "")
	require.NoError(t, err)
	assert.NotZero(t, result.Code)
	h.run("test -s /etc/greeter/greeter.env.rpmsave")
}

// rpm itself sorts the versions that linuxpkg makes of Slipway's.
func TestRPMSortsVersions(t *testing.T) {
	h := host{t, machinetest.Start(t, 1)[0]}
	order := []string{"0.0.0+12.gabc1234", "1.2.3~alpha", "1.2.3~alpha.2", "1.2.3~beta.3", "1.2.3~rc.1", "1.2.3~rc.1+4.gabc1234", "1.2.3~rc.2", "1.2.3~rc.10", "1.2.3", "1.2.3+4.gabc1234", "1.2.3+4.gabc1234+dirty", "1.2.4+build.7", "1.2.10"}
	for i := range order[1:] {
		assert.Equal(t, "-1", h.run(fmt.Sprintf(`rpm --eval '%%{lua: print(rpm.vercmp("%s", "%s"))}'`, order[i], order[i+1])), "%s < %s", order[i], order[i+1])
	}
}
