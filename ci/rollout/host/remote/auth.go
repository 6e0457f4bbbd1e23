package remote

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKeys is how many keys are tried. sshd ends a connection after six.
const maxKeys = 6

// identity is the keys to log in with, and what was found on the way, for the error when none is accepted.
type identity struct {
	signers []ssh.Signer
	tried   []string
	close   func()
}

func (i *identity) note(format string, args ...any) {
	i.tried = append(i.tried, fmt.Sprintf(format, args...))
}

// identity looks for keys: first those of the configuration, from the agent or from their files, then the agent's others.
func (o Options) identity(s settings) *identity {
	i := &identity{close: func() {}}
	held := i.agent(s.agent)
	var files []ssh.Signer
	for _, file := range s.identities {
		if signer := o.file(i, file, held); signer != nil {
			files = append(files, certified(signer, append([]string{file + "-cert.pub"}, s.certificates...))...)
		}
	}
	i.signers = files
	if !s.identitiesOnly {
		i.signers = append(i.signers, held...)
	}
	i.signers = distinct(i.signers)
	if len(i.signers) > maxKeys {
		i.note("%d more keys, which were not tried: name the right one with IdentityFile", len(i.signers)-maxKeys)
		i.signers = i.signers[:maxKeys]
	}
	return i
}

// agent asks an agent for its keys.
func (i *identity) agent(socket string) []ssh.Signer {
	if socket == "" {
		i.note("agent: none (SSH_AUTH_SOCK is not set)")
		return nil
	}
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		i.note("agent: %v", err)
		return nil
	}
	i.close = func() { conn.Close() }
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // a key that wants a touch gets the time for it
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		i.note("agent: %v", err)
		return nil
	}
	for _, signer := range signers {
		i.note("agent: %s", fingerprint(signer.PublicKey()))
	}
	if len(signers) == 0 {
		i.note("agent: it holds no key")
	}
	return signers
}

// file is the key of a file. Of an encrypted one the agent may hold the key.
func (o Options) file(i *identity, name string, held []ssh.Signer) ssh.Signer {
	if signer := holds(held, name); signer != nil {
		return signer
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		i.note("%s: there is no such file", name)
		return nil
	}
	if err != nil {
		i.note("%s: %v", name, err)
		return nil
	}
	signer, err := ssh.ParsePrivateKey(data)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		return o.encrypted(i, name, data)
	}
	if err != nil {
		i.note("%s: %v", name, err)
		return nil
	}
	i.note("%s: %s", name, fingerprint(signer.PublicKey()))
	return signer
}

func (o Options) encrypted(i *identity, name string, data []byte) ssh.Signer {
	passphrase := o.Getenv(PassphraseVariable)
	if passphrase == "" {
		i.note("%s: it is encrypted: ssh-add it, or set %s", name, PassphraseVariable)
		return nil
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(data, []byte(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		i.note("%s: the passphrase in %s is not its own", name, PassphraseVariable)
		return nil
	}
	if err != nil {
		i.note("%s: %v", name, err)
		return nil
	}
	i.note("%s: %s", name, fingerprint(signer.PublicKey()))
	return signer
}

// holds finds the agent's key of a file, by its public half beside it.
func holds(held []ssh.Signer, name string) ssh.Signer {
	for _, public := range []string{name, name + ".pub"} {
		data, err := os.ReadFile(public)
		if err != nil {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(data)
		if err != nil {
			continue
		}
		for _, signer := range held {
			if bytes.Equal(signer.PublicKey().Marshal(), key.Marshal()) {
				return signer
			}
		}
	}
	return nil
}

// certified are a key's certificates, and the key.
func certified(signer ssh.Signer, files []string) []ssh.Signer {
	var list []ssh.Signer
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(data)
		certificate, ok := key.(*ssh.Certificate)
		if err != nil || !ok {
			continue
		}
		if with, err := ssh.NewCertSigner(certificate, signer); err == nil {
			list = append(list, with)
		}
	}
	return append(list, signer)
}

func distinct(signers []ssh.Signer) []ssh.Signer {
	var list []ssh.Signer
	for _, signer := range signers {
		if !slices.ContainsFunc(list, func(s ssh.Signer) bool { return bytes.Equal(s.PublicKey().Marshal(), signer.PublicKey().Marshal()) }) {
			list = append(list, signer)
		}
	}
	return list
}

// refused says that no key was accepted, and which there were.
func (i *identity) refused(s settings, address string) error {
	return &RefusedError{Address: address,
		What: fmt.Sprintf("%s may not log in: no key is accepted. Tried: %s", s.user, strings.Join(i.tried, "; ")),
		Next: fmt.Sprintf("add the public half of one of them to ~%s/.ssh/authorized_keys on the machine, or name the right key with IdentityFile in ~/.ssh/config", s.user)}
}
