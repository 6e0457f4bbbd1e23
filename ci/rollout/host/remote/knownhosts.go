package remote

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// keys decide whether a machine is the one that is known.
type keys struct {
	name    string // as it is looked up: host:port
	address string // as it was asked for
	db      *knownhosts.HostKeyDB
	file    string // where the user keeps keys
	offered ssh.PublicKey
}

func (o Options) keys(s settings, address string) (*keys, error) {
	var files []string
	for _, name := range slices.Concat(s.userKnown, s.systemKnown) {
		if info, err := os.Stat(name); err == nil && (info.Mode().IsRegular() || info.Mode()&os.ModeCharDevice != 0) {
			files = append(files, name)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, &RefusedError{Address: address, What: fmt.Sprintf("known hosts cannot be read: %v", err), Next: "mend or remove that line"}
	}
	k := &keys{name: s.known, address: address, db: db, file: o.userFile("known_hosts")}
	if len(s.userKnown) > 0 {
		k.file = s.userKnown[0]
	}
	return k, nil
}

// algorithms are those of the keys that are known, so that the machine shows one of these and not another one of its keys
// (golang/go#29286).
func (k *keys) algorithms() []string { return k.db.HostKeyAlgorithms(k.name) }

// check is an ssh.HostKeyCallback.
func (k *keys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	k.offered = key
	err := k.db.HostKeyCallback()(k.name, remote, key)
	var revoked *xknownhosts.RevokedError
	var unknown *xknownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return k.refuse(fmt.Sprintf("its host key is revoked: %s, in %s:%d", fingerprint(key), revoked.Revoked.Filename, revoked.Revoked.Line),
			"somebody may be in between: ask the machine's administrator")
	case errors.As(err, &unknown) && len(unknown.Want) > 0:
		return k.changed(key)
	case errors.As(err, &unknown):
		return k.unknown(key)
	}
	return k.certificate(err)
}

func (k *keys) unknown(key ssh.PublicKey) error {
	return k.refuse("its host key is not known: it shows "+fingerprint(plain(key)),
		fmt.Sprintf("compare that with what the machine says (ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub), then: %s", file(plain(key)), k.add(key)))
}

// changed is a key that is not the known one, or one of another type.
func (k *keys) changed(key ssh.PublicKey) error {
	what := "its host key is not the one that is known"
	if !slices.ContainsFunc(k.db.HostKeys(k.name), func(known knownhosts.PublicKey) bool { return known.Type() == plain(key).Type() }) {
		what = "its host key is of a type that is not known of it"
	}
	return k.refuse(fmt.Sprintf("%s: it shows %s, and known is %s", what, fingerprint(plain(key)), k.known()),
		fmt.Sprintf("somebody may be in between. If the machine was set up anew: ssh-keygen -R %s -f %s, then: %s", Quote(k.label()), Quote(k.file), k.add(key)))
}

// known are the fingerprints that are known.
func (k *keys) known() string {
	var list []string
	for _, key := range k.db.HostKeys(k.name) {
		text := fingerprint(key.PublicKey)
		if key.Cert {
			text += " (of an authority)"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// certificate is an error of a key that an authority signed.
func (k *keys) certificate(err error) error {
	next := "have a new certificate made for the machine"
	if strings.Contains(err.Error(), "expired") || strings.Contains(err.Error(), "not yet valid") {
		next = "look at the clocks of both machines, then " + next
	}
	return k.refuse("the certificate of its host key is not accepted: "+strings.TrimPrefix(err.Error(), "ssh: "), next)
}

func (k *keys) add(key ssh.PublicKey) string {
	return fmt.Sprintf("echo %s >> %s", Quote(knownhosts.Line([]string{k.name}, plain(key))), Quote(k.file))
}

func (k *keys) label() string { return knownhosts.Normalize(k.name) }

func (k *keys) refuse(what, next string) error {
	return &RefusedError{Address: k.address, What: what, Next: next}
}

// plain is the key of a certificate.
func plain(key ssh.PublicKey) ssh.PublicKey {
	if certificate, ok := key.(*ssh.Certificate); ok {
		return certificate.Key
	}
	return key
}

// file is how sshd names the file of a key: ssh_host_ed25519_key.
func file(key ssh.PublicKey) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(key.Type(), "ssh-"), "-")
	return name
}
