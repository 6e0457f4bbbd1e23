package remote

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sample = `# a comment
Include conf.d/*
Host web1 web2   # two of them
    HostName %h.example.com
    Port=2222
    User "deploy"
    IdentityFile ~/.ssh/first
    IdentityFile "~/.ssh/with space"
Host *.internal !db.internal
    ProxyJump bastion,jump@second:2200
    IdentitiesOnly yes
Host bastion
  hostname = bastion.example.com
Match host web1.example.com
    HostKeyAlias matched
Match originalhost web2 user deploy
    HostKeyAlias web2-alias
Match exec "touch canary"
    User mallory
Match !exec "false"
    User mallory
Host *
    User fallback
    UserKnownHostsFile ~/.ssh/a ~/.ssh/b
    IdentityFile ~/.ssh/last
    ConnectTimeout 7
`

func configured(t *testing.T, text string, more map[string]string) Options {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, ".ssh", "conf.d"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(home, "etc"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(text), 0o600))
	for name, content := range more {
		require.NoError(t, os.WriteFile(filepath.Join(home, name), []byte(content), 0o600))
	}
	o, err := Options{Home: home, User: "me", System: filepath.Join(home, "etc"), Getenv: func(string) string { return "" }}.normalize()
	require.NoError(t, err)
	return o
}

// OpenSSH itself says what a configuration means. It is asked with the home directory in place of ~ and of what is
// relative, as it looks the home directory up in the machine's accounts.
func TestConfiguration_AsOpenSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("it compares with OpenSSH's ssh, which is not installed")
	}
	harmless := strings.NewReplacer("Match exec \"touch canary\"\n    User mallory\n", "", "Match !exec \"false\"\n    User mallory\n", "").Replace(sample)
	o := configured(t, harmless, map[string]string{
		".ssh/conf.d/one": "Host included\n  Port 3333\n  Match all\n  LogLevel QUIET\n", ".ssh/conf.d/two": "Host web2\n  User from-include\n"})
	file := filepath.Join(o.Home, "openssh")
	text := strings.NewReplacer("~", o.Home, "conf.d/", o.Home+"/.ssh/conf.d/").Replace(harmless)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	for _, asked := range []hop{{host: "web1"}, {host: "web2"}, {host: "WEB1"}, {host: "a.internal"}, {host: "db.internal"}, {host: "bastion"}, {host: "included"},
		{host: "other", port: "99", user: "root"}, {host: "web2", user: "deploy"}} {
		s, err := o.resolve(asked)
		require.NoError(t, err)
		expected := openssh(t, file, asked)
		assert.Equal(t, expected["hostname"], []string{s.host}, "%+v", asked)
		assert.Equal(t, expected["port"], []string{s.port}, "%+v", asked)
		if asked.user == "" && expected["user"][0] != "root" {
			assert.Equal(t, expected["user"], []string{s.user}, "%+v", asked)
		}
		assert.Equal(t, expected["identityfile"], s.identities, "%+v", asked)
		assert.Equal(t, expected["identitiesonly"][0] == "yes", s.identitiesOnly, "%+v", asked)
		assert.Equal(t, strings.Join(expected["userknownhostsfile"], ""), strings.Join(s.userKnown, " "), "%+v", asked)
		assert.Equal(t, strings.Join(expected["proxyjump"], ""), strings.Join(s.jumps, ","), "%+v", asked)
		if alias := expected["hostkeyalias"]; alias != nil {
			assert.Equal(t, alias[0]+":22", s.known, "%+v", asked)
		}
	}
}

func openssh(t *testing.T, file string, asked hop) map[string][]string {
	t.Helper()
	args := []string{"-G", "-F", file}
	if asked.user != "" {
		args = append(args, "-l", asked.user)
	}
	if asked.port != "" {
		args = append(args, "-p", asked.port)
	}
	out, err := exec.Command("ssh", append(args, asked.host)...).CombinedOutput()
	require.NoError(t, err, string(out))
	said := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[keyword] = append(said[keyword], value)
	}
	return said
}

func TestConfiguration_MatchExecRunsNothing(t *testing.T) {
	o := configured(t, sample, nil)
	t.Chdir(o.Home)
	s, err := o.resolve(hop{host: "other"})
	require.NoError(t, err)
	assert.Equal(t, "fallback", s.user)
	assert.NoFileExists(t, filepath.Join(o.Home, "canary"))
}

func TestConfiguration_SystemFileComesAfterTheUsers(t *testing.T) {
	o := configured(t, "Host a\n  Port 1\n", map[string]string{"etc/ssh_config": "Include more\nPort 2\nUser sys\n", "etc/more": "Host b\n  User more\n"})
	s, err := o.resolve(hop{host: "a"})
	require.NoError(t, err)
	assert.Equal(t, "sys@a:1", s.user+"@"+s.address())
	s, err = o.resolve(hop{host: "b"})
	require.NoError(t, err)
	assert.Equal(t, "more@b:2", s.user+"@"+s.address())
}

func TestConfiguration_WhatIsWrongIsNamed(t *testing.T) {
	o := configured(t, "Host a\n  Port \"1\n", nil)
	_, err := o.resolve(hop{host: "a"})
	assert.ErrorContains(t, err, "config:2: a quote is not closed")
	o = configured(t, "Include config\n", nil)
	_, err = o.resolve(hop{host: "a"})
	assert.ErrorContains(t, err, "include each other")
	o = configured(t, "HostName '-oProxyCommand=touch canary'\n", nil)
	_, err = o.resolve(hop{host: "a"})
	assert.ErrorContains(t, err, "is no name of a machine")
}

func TestConfiguration_VariablesAreNotExpandedTwice(t *testing.T) {
	o := configured(t, "IdentityFile ${LOOP}/%d\nIdentityAgent $SOCKET\n", nil)
	o.Getenv = func(name string) string {
		return map[string]string{"LOOP": "${LOOP}", "SOCKET": "/run/agent"}[name]
	}
	s, err := o.resolve(hop{host: "a"})
	require.NoError(t, err)
	assert.Equal(t, []string{"${LOOP}/" + o.Home}, s.identities)
	assert.Equal(t, "/run/agent", s.agent)
}

func TestCheck(t *testing.T) {
	for _, address := range []string{"local:", "ssh://web1", "ssh://deploy@web1:2222", "ssh://deploy@[::1]:22/"} {
		assert.NoError(t, Check(address), address)
	}
	for _, address := range []string{"", "web1", "http://web1", "ssh://", "ssh://a/b", "ssh://u:p@a", "ssh://-oProxyCommand=x", "ssh://a?b", "ssh://$(x)@a", "ssh://a b"} {
		assert.Error(t, Check(address), address)
	}
	assert.NotContains(t, fmt.Sprint(Check("ssh://u:hunter2@a")), "hunter2")
}

func FuzzSplit(f *testing.F) {
	f.Add(`Host "a b" c # d`)
	f.Add(`Port=22`)
	f.Add(`IdentityFile 'it''s' \"x`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := split(line)
		if err == nil && len(words) > 0 {
			assert.LessOrEqual(t, len(strings.Join(words, "")), len(line))
		}
		assert.False(t, !strings.ContainsAny(line, "*?") && wildcard(line, line+"x"), "without a wildcard, only the same name matches")
	})
}
