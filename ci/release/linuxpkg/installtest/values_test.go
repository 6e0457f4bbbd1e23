package installtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/internal/machinetest"
)

// nasty are texts that a careless writer of units would change, or make directives of.
func nasty() []string {
	return []string{
		"", " ", "a b", "a  b\t", "\n", "a\n[Service]\nExecStartPre=/bin/touch /run/canary\n", "\r\n", `\`, `\\`, `a\`, `\n`, `"`, "'", `"a' b"`, "%n", "%%", "100%", "%h/%i",
		"$HOME", "${HOME}", "$$", "$", "$(touch /run/canary)", "`touch /run/canary`", ";", "; touch /run/canary", "# no comment", "|&<>*?", "é ü 🙂", "\x01\x1b[31m\x7f", "-", "--", "=", "@", ":+!-",
	}
}

// systemd itself reads back what was written, byte by byte: arguments, variables of both kinds, and credentials.
func TestValuesArrive(t *testing.T) {
	machine := machinetest.Start(t, 1)[0]
	script := `printf '%s\0' "$@" >args; for v in $(compgen -e); do case $v in UNIT_*|FILE_*) printf '%s=%s\0' "$v" "${!v}";; esac; done >environment; cat "$CREDENTIALS_DIRECTORY/secret" >credential`
	service := systemd.Service{
		Name: "values", Description: `100% "nasty" $HOME \o/`, Command: append([]string{"/bin/bash", "-c", script, "bash"}, nasty()...), State: "values",
		EnvironmentFiles: []string{"/etc/values.env", "-/etc/missing.env"}, Credentials: []systemd.Credential{{Name: "secret", File: "/etc/secret"}}, Restart: systemd.Restart{When: systemd.Never},
	}
	var inFile []systemd.Variable
	var want []string
	for i, text := range nasty() {
		name := "UNIT_" + string(rune('A'+i/10)) + string(rune('0'+i%10))
		service.Environment = append(service.Environment, systemd.Variable{Name: name, Value: text})
		other := strings.Replace(name, "UNIT", "FILE", 1)
		inFile = append(inFile, systemd.Variable{Name: other, Value: text})
		want = append(want, name+"="+text, other+"="+text)
	}
	unit, err := systemd.Unit(service)
	require.NoError(t, err)
	environment, err := systemd.EnvironmentFile(inFile)
	require.NoError(t, err)
	secret := "not UTF-8: \xff\xfe\x00, and\nlines\n"
	machine.Copy(t, "/etc/systemd/system/values.service", 0o644, []byte(unit))
	machine.Copy(t, "/etc/values.env", 0o600, []byte(environment))
	machine.Copy(t, "/etc/secret", 0o600, []byte(secret))

	result, err := machine.Try("systemctl daemon-reload && systemctl start --wait values; journalctl -u values --no-pager -o cat; journalctl -b --no-pager -o cat -t systemd -g values", "")
	require.NoError(t, err)
	read := func(name string) string { return machine.Run(t, "cat /var/lib/values/"+name) }
	require.Zero(t, mustTry(t, machine, "test -s /var/lib/values/credential").Code, result.Stdout+result.Stderr)
	assert.Equal(t, strings.Join(nasty(), "\x00")+"\x00", read("args"))
	assert.ElementsMatch(t, want, strings.Split(strings.TrimSuffix(read("environment"), "\x00"), "\x00"))
	assert.Equal(t, secret, read("credential"))
	assert.Equal(t, service.Description+"\n", machine.Run(t, "systemctl show -p Description --value values"))
	assert.NotZero(t, mustTry(t, machine, "test -e /run/canary").Code, "nothing was carried out")
}

func mustTry(t *testing.T, machine *machinetest.Machine, command string) machinetest.Result {
	t.Helper()
	result, err := machine.Try(command, "")
	require.NoError(t, err)
	return result
}
