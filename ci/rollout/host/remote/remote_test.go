package remote_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
	"github.com/slipway-ci/slipway/ci/rollout/host/sshtest"
)

func options(t *testing.T, home sshtest.Home) remote.Options {
	return remote.Options{Home: home.Dir, User: "me", System: t.TempDir(), KeepAlive: 300 * time.Millisecond, Timeout: 5 * time.Second}
}

func open(t *testing.T, server *sshtest.Server, home sshtest.Home) remote.Machine {
	t.Helper()
	machine, err := remote.Open(t.Context(), server.Address(), options(t, home))
	require.NoError(t, err)
	t.Cleanup(func() { machine.Close() })
	return machine
}

func TestRun(t *testing.T) {
	server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell})
	for name, machine := range map[string]remote.Machine{"ssh": open(t, server, sshtest.NewHome(t, server)), "local": local(t)} {
		t.Run(name, func(t *testing.T) {
			var out, fail bytes.Buffer
			require.NoError(t, machine.Run(t.Context(), "cat; echo no >&2", remote.Streams{Stdin: strings.NewReader("yes"), Stdout: &out, Stderr: &fail}))
			assert.Equal(t, "yes", out.String())
			assert.Equal(t, "no\n", fail.String())
			var exit *remote.ExitError
			require.ErrorAs(t, machine.Run(t.Context(), "echo why >&2; exit 7", remote.Streams{}), &exit)
			assert.Equal(t, 7, exit.Code)
			assert.Contains(t, exit.Error(), "why")
			require.NoError(t, machine.Run(t.Context(), "true", remote.Streams{Stdin: bytes.NewReader(make([]byte, 8<<20))}), "it reads none of its input")
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			begin := time.Now()
			err := machine.Run(ctx, "sleep 5", remote.Streams{})
			require.ErrorIs(t, err, remote.ErrBroken)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Less(t, time.Since(begin), 3*time.Second)
		})
	}
}

func local(t *testing.T) remote.Machine {
	machine, err := remote.Open(t.Context(), "local:", remote.Options{})
	require.NoError(t, err)
	return machine
}

// Host keys: each that is not the known one is a hard stop, before anything runs.
func TestOpen_HostKeys(t *testing.T) {
	ran := false
	exec := func(context.Context, sshtest.Call) int { ran = true; return 0 }
	server := sshtest.Start(t, sshtest.Options{Exec: exec})
	shown := ssh.FingerprintSHA256(server.HostKeys[0].PublicKey())
	other, _ := sshtest.NewKey(t)
	rsa := rsaKey(t)
	line := func(key ssh.Signer) string { return knownhosts.Line([]string{server.Host()}, key.PublicKey()) }
	for name, try := range map[string]struct {
		known string
		parts []string
	}{
		"unknown":         {"", []string{"is not known", shown, "echo '[127.0.0.1]:", ">>", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"}},
		"changed":         {line(other), []string{"not the one that is known", shown, ssh.FingerprintSHA256(other.PublicKey()), "ssh-keygen -R '[127.0.0.1]:"}},
		"other type only": {line(rsa), []string{"of a type that is not known", shown, ssh.FingerprintSHA256(rsa.PublicKey())}},
		"revoked":         {line(server.HostKeys[0]) + "\n@revoked " + line(server.HostKeys[0]), []string{"is revoked", shown}},
		"unreadable":      {"what is this", []string{"known hosts cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			home := sshtest.NewHome(t, server)
			home.Write(t, "known_hosts", try.known+"\n")
			home.Write(t, "config", home.Read(t, "config")+"StrictHostKeyChecking no\n")
			_, err := remote.Open(t.Context(), server.Address(), options(t, home))
			var refused *remote.RefusedError
			require.ErrorAs(t, err, &refused)
			for _, part := range try.parts {
				assert.ErrorContains(t, err, part)
			}
			assert.False(t, ran)
			if name == "unknown" {
				// The command that the error shows makes the key known.
				_, command, _ := strings.Cut(err.Error(), "then: ")
				require.NoError(t, local(t).Run(t.Context(), command, remote.Streams{}))
				open(t, server, home)
			}
		})
	}
}

func rsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	key, err := os.ReadFile(filepath.Join("testdata", "rsa_host_key"))
	require.NoError(t, err)
	signer, err := ssh.ParsePrivateKey(key)
	require.NoError(t, err)
	return signer
}

// A machine has several keys and one of them is known: that is the one to ask for (golang/go#29286).
func TestOpen_AsksForTheKeyThatIsKnown(t *testing.T) {
	first, _ := sshtest.NewKey(t)
	second := rsaKey(t)
	server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell, HostKeys: []ssh.Signer{first, second}})
	for _, key := range server.HostKeys {
		home := sshtest.NewHome(t, server)
		home.Write(t, "known_hosts", knownhosts.Line([]string{server.Host()}, key.PublicKey())+"\n")
		open(t, server, home)
	}
}

func TestOpen_HashedNamesAliasesAndAuthorities(t *testing.T) {
	authority, _ := sshtest.NewKey(t)
	key, _ := sshtest.NewKey(t)
	certify := func(until time.Time, name string) ssh.Signer {
		certificate := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{name}, ValidBefore: uint64(until.Unix())}
		require.NoError(t, certificate.SignCert(rand.Reader, authority))
		signer, err := ssh.NewCertSigner(certificate, key)
		require.NoError(t, err)
		return signer
	}
	tomorrow, yesterday := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour)
	plain := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell, HostKeys: []ssh.Signer{key}})
	home := sshtest.NewHome(t, plain)
	home.Write(t, "known_hosts", knownhosts.Line([]string{xknownhosts.HashHostname(plain.Host())}, key.PublicKey())+"\n")
	hashed := xknownhosts.HashHostname(knownhosts.Normalize(plain.Host())) + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	home.Write(t, "known_hosts", hashed+"\n")
	open(t, plain, home)

	home.Write(t, "known_hosts", "")
	home.Write(t, "more", "web1 "+string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	home.Write(t, "config", "HostKeyAlias web1\nUserKnownHostsFile ~/.ssh/known_hosts ~/.ssh/more ~/.ssh/missing\n")
	open(t, plain, home)

	certified := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell, HostKeys: []ssh.Signer{certify(tomorrow, "127.0.0.1")}})
	home = sshtest.NewHome(t, certified)
	home.Write(t, "known_hosts", "@cert-authority * "+string(ssh.MarshalAuthorizedKey(authority.PublicKey())))
	open(t, certified, home)

	over := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell, HostKeys: []ssh.Signer{certify(yesterday, "127.0.0.1")}})
	home = sshtest.NewHome(t, over)
	home.Write(t, "known_hosts", "@cert-authority * "+string(ssh.MarshalAuthorizedKey(authority.PublicKey())))
	_, err := remote.Open(t.Context(), over.Address(), options(t, home))
	assert.ErrorContains(t, err, "clocks")
}

func TestOpen_Keys(t *testing.T) {
	server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell})
	home := sshtest.NewHome(t, server)
	good := home.Read(t, "id_ed25519")
	_, secret := sshtest.NewKey(t)
	wrong, err := ssh.MarshalPrivateKey(secret, "")
	require.NoError(t, err)
	raw, err := ssh.ParseRawPrivateKey([]byte(good))
	require.NoError(t, err)
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(raw, "", []byte("open sesame"))
	require.NoError(t, err)
	home.Write(t, "locked", string(pem.EncodeToMemory(locked)))
	home.Write(t, "locked.pub", string(ssh.MarshalAuthorizedKey(server.Key.PublicKey())))
	home.Write(t, "wrong", string(pem.EncodeToMemory(wrong)))
	env := map[string]string{}
	try := func(config string, variables map[string]string) error {
		home.Write(t, "config", config)
		o := options(t, home)
		o.Getenv = func(name string) string { return variables[name] }
		machine, err := remote.Open(t.Context(), server.Address(), o)
		if err == nil {
			machine.Close()
		}
		return err
	}
	refused := func(err error, parts ...string) {
		t.Helper()
		var r *remote.RefusedError
		require.ErrorAs(t, err, &r)
		for _, part := range append(parts, "authorized_keys") {
			assert.ErrorContains(t, err, part)
		}
	}
	require.NoError(t, try("", env), "the default key is found")
	refused(try("IdentityFile ~/.ssh/wrong\n", env), "no key is accepted", "wrong: ssh-ed25519 SHA256:", "agent: none")
	refused(try("IdentityFile ~/.ssh/missing\n", env), "there is no such file")
	refused(try("IdentityFile ~/.ssh/locked\n", env), "it is encrypted: ssh-add it, or set SLIPWAY_SSH_PASSPHRASE")
	refused(try("IdentityFile ~/.ssh/locked\n", map[string]string{remote.PassphraseVariable: "no"}), "the passphrase in SLIPWAY_SSH_PASSPHRASE")
	require.NoError(t, try("IdentityFile ~/.ssh/locked\n", map[string]string{remote.PassphraseVariable: "open sesame"}))

	socket := keyring(t, raw)
	env["SSH_AUTH_SOCK"] = socket
	require.NoError(t, try("IdentityFile ~/.ssh/locked\nIdentitiesOnly yes\n", env), "the agent holds the encrypted key")
	require.NoError(t, try("IdentityFile ~/.ssh/wrong\n", env), "the agent's keys are tried too")
	refused(try("IdentityFile ~/.ssh/wrong\nIdentitiesOnly yes\n", env))
	require.NoError(t, try("IdentityFile ~/.ssh/wrong\nIdentityAgent "+socket+"\n", nil))
	refused(try("IdentityFile ~/.ssh/wrong\nIdentityAgent none\n", env), "agent: none")
	refused(try("IdentityFile ~/.ssh/wrong\n", map[string]string{"SSH_AUTH_SOCK": "/nowhere"}), "agent: dial unix /nowhere")
}

func keyring(t *testing.T, key any) string {
	t.Helper()
	ring := agent.NewKeyring()
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	socket := filepath.Join(t.TempDir(), "agent")
	listen, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { listen.Close() })
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn); conn.Close() }()
		}
	}()
	return socket
}

func TestOpen_JumpHosts(t *testing.T) {
	target, first, second := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell}), sshtest.Start(t, sshtest.Options{}), sshtest.Start(t, sshtest.Options{})
	home := sshtest.NewHome(t, target, first, second)
	keys := home.Read(t, "config")
	home.Write(t, "config", fmt.Sprintf("%[5]sHost target\n HostName 127.0.0.1\n Port %[1]s\n ProxyJump %[2]s@%[3]s,ssh://%[2]s@%[4]s\n", port(target), sshtest.User, first.Host(), second.Host(), keys))
	machine, err := remote.Open(t.Context(), "ssh://deploy@target", options(t, home))
	require.NoError(t, err)
	defer machine.Close()
	var out bytes.Buffer
	require.NoError(t, machine.Run(t.Context(), "echo through", remote.Streams{Stdout: &out}))
	assert.Equal(t, "through\n", out.String())
	assert.Equal(t, 1, first.Connections())

	// The jump host's key is checked like any other.
	changed := sshtest.NewHome(t, target, second)
	changed.Write(t, "config", home.Read(t, "config"))
	_, err = remote.Open(t.Context(), "ssh://deploy@target", options(t, changed))
	var refused *remote.RefusedError
	require.ErrorAs(t, err, &refused)

	home.Write(t, "config", "ProxyCommand nc %h %p\n"+keys)
	_, err = remote.Open(t.Context(), target.Address(), options(t, home))
	assert.ErrorContains(t, err, "use ProxyJump")
}

func port(server *sshtest.Server) string {
	_, port, _ := net.SplitHostPort(server.Host())
	return port
}

func TestOpen_Unreachable(t *testing.T) {
	server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell})
	home := sshtest.NewHome(t, server)
	o := options(t, home)
	o.Timeout = 300 * time.Millisecond
	_, err := remote.Open(t.Context(), "ssh://deploy@127.0.0.1:1", o)
	require.ErrorIs(t, err, remote.ErrUnreachable)
	assert.ErrorContains(t, err, "firewall")

	silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and says nothing
	require.NoError(t, err)
	defer silent.Close()
	begin := time.Now()
	_, err = remote.Open(t.Context(), "ssh://deploy@"+silent.Addr().String(), o)
	require.ErrorIs(t, err, remote.ErrUnreachable)
	assert.ErrorContains(t, err, "no answer for 300ms")
	assert.Less(t, time.Since(begin), 3*time.Second)
}

// What was sent and has no answer is told apart from what was not sent.
func TestRun_ConnectionEnds(t *testing.T) {
	for _, fault := range sshtest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell, Fault: func(sshtest.Call) sshtest.Fault { return fault }})
			machine := open(t, server, sshtest.NewHome(t, server))
			begin := time.Now()
			require.ErrorIs(t, machine.Run(t.Context(), "echo", remote.Streams{}), remote.ErrBroken)
			assert.Less(t, time.Since(begin), 3*time.Second, "three keepalives without an answer")
			<-machine.Lost()
			require.ErrorIs(t, machine.Run(t.Context(), "echo", remote.Streams{}), remote.ErrUnreachable)
		})
	}
}

func TestRun_SlowIsNotLost(t *testing.T) {
	server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell, Rate: 16 << 10})
	machine := open(t, server, sshtest.NewHome(t, server))
	var out bytes.Buffer
	require.NoError(t, machine.Run(t.Context(), "head -c 8192 /dev/zero", remote.Streams{Stdout: &out}))
	assert.Equal(t, 8192, out.Len())
}

func TestRun_ManyAtOnce(t *testing.T) {
	server := sshtest.Start(t, sshtest.Options{Exec: sshtest.Shell})
	machine := open(t, server, sshtest.NewHome(t, server))
	results := make(chan error)
	for range 20 {
		go func() { results <- machine.Run(t.Context(), "sleep 0.1", remote.Streams{}) }()
	}
	for range 20 {
		require.NoError(t, <-results)
	}
	assert.Equal(t, 1, server.Connections())
}
