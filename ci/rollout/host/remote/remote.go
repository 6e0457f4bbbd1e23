// Package remote runs commands on machines: over SSH ("ssh://deploy@web1:22"), or on this one ("local:").
//
//	machine, err := remote.Open(ctx, "ssh://deploy@web1", remote.Options{Getenv: os.Getenv})
//	err = machine.Run(ctx, "/opt/tool/"+remote.Quote(name), remote.Streams{Stdin: request, Stdout: &answer})
//
// It reads what OpenSSH reads (~/.ssh/config, /etc/ssh/ssh_config, known_hosts, the agent, key files) and goes through jump
// hosts. What it does not do, on purpose:
//
//   - There is no way not to check host keys, and nobody is asked. An unknown or changed key is an error that has both
//     fingerprints, and the command that makes the key known. StrictHostKeyChecking is not read.
//   - "Match exec" runs no command: such a block is skipped. ProxyCommand is refused, and says so.
//   - The agent is never forwarded, and there are no passwords.
//
// Every wait ends. A machine that does not answer for 15 seconds is given up, also in the middle of a command.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// ErrUnreachable says that nothing was sent: there is no connection, or it could not be used.
var ErrUnreachable = errors.New("it cannot be reached")

// ErrBroken says that the connection ended after a command was sent. Whether it was carried out is not known.
var ErrBroken = errors.New("the connection broke, and it is not known what became of the command")

// RefusedError says why a machine cannot be used as it is, and what to do. Nothing was changed.
type RefusedError struct{ Address, What, Next string }

// Error says both.
func (e *RefusedError) Error() string { return e.Address + ": " + e.What + ": " + e.Next }

// ExitError says that a command failed.
type ExitError struct {
	Code   int // -1 when a signal ended it
	Stderr string
}

// Error is the last that it said.
func (e *ExitError) Error() string {
	return fmt.Sprintf("the command ended with %d: %s", e.Code, strings.TrimSpace(e.Stderr))
}

// Streams are the input and outputs of a command. What is nil is empty, or thrown away.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Machine runs commands. It can run several at once.
type Machine interface {
	// Run runs a command in the login's shell and waits for its end. It is ErrUnreachable when the command was not sent,
	// ErrBroken when it is not known what became of it, and an *ExitError when it failed. When ctx ends, nobody waits for the
	// command any more; it may go on.
	Run(ctx context.Context, command string, streams Streams) error
	// Lost is closed when the connection is.
	Lost() <-chan struct{}
	Close() error
}

// PassphraseVariable holds the passphrase of encrypted key files, where there is no agent.
const PassphraseVariable = "SLIPWAY_SSH_PASSPHRASE"

// Options say who connects, and how. The zero value is the user of this process, without an agent.
type Options struct {
	Getenv    func(string) string
	Home      string        // where .ssh is; "" means the user's
	User      string        // "" means the user's name, where neither the address nor the configuration has one
	System    string        // OpenSSH's directory; "" means /etc/ssh
	Timeout   time.Duration // for a connection: 10 s
	KeepAlive time.Duration // how often the machine is asked whether it is there: 5 s. After three times without an answer it is given up
	// Dial opens connections, if it is set.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) normalize() (Options, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Home == "" || o.User == "" {
		current, err := user.Current()
		if err != nil {
			return o, fmt.Errorf("find out whose SSH configuration to read: %w", err)
		}
		if o.Home == "" {
			o.Home = current.HomeDir
		}
		if o.User == "" {
			o.User = current.Username
		}
	}
	if o.System == "" {
		o.System = "/etc/ssh"
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 5 * time.Second
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	return o, nil
}

// Open connects to "local:" or "ssh://[user@]host[:port]". The host may be a name of the SSH configuration.
func Open(ctx context.Context, address string, o Options) (Machine, error) {
	if address == "local:" {
		return newLocal(), nil
	}
	o, err := o.normalize()
	if err != nil {
		return nil, err
	}
	asked, err := parse(address)
	if err != nil {
		return nil, err
	}
	d := dialer{Options: o, address: address}
	client, err := d.route(ctx, asked)
	if err != nil {
		return nil, err
	}
	return newConnection(client, o.KeepAlive), nil
}

// Check says whether an address can be opened at all, without opening it.
func Check(address string) error {
	if address == "local:" {
		return nil
	}
	_, err := parse(address)
	return err
}

// hop is a machine as somebody named it.
type hop struct{ user, host, port string }

func parse(address string) (hop, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "ssh" || parsed.Hostname() == "" || strings.TrimPrefix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return hop{}, fmt.Errorf("address %q: use ssh://user@host:port, or local: for this machine", address)
	}
	if _, ok := parsed.User.Password(); ok {
		return hop{}, errors.New("an address holds a password: use a key, and take the password out of the file")
	}
	asked := hop{user: parsed.User.Username(), host: parsed.Hostname(), port: parsed.Port()}
	return asked, asked.check()
}

// parseJump reads an element of ProxyJump: [user@]host[:port], or an ssh:// address.
func parseJump(text string) (hop, error) {
	if strings.HasPrefix(text, "ssh://") {
		return parse(text)
	}
	return parse("ssh://" + text)
}

// check refuses names that OpenSSH refuses too, or that could be taken for something else.
func (h hop) check() error {
	for _, part := range []string{h.user, h.host} {
		if strings.HasPrefix(part, "-") || strings.ContainsAny(part, "'`\"$\\;&<>|(){} \t\r\n\x00") {
			return fmt.Errorf("%q is no name of a machine or of a user", part)
		}
	}
	return nil
}

func (o Options) userFile(name string) string { return filepath.Join(o.Home, ".ssh", name) }

// defaultKeys are tried where the configuration names none.
func (o Options) defaultKeys() []string {
	var files []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		if _, err := os.Stat(o.userFile(name)); err == nil {
			files = append(files, o.userFile(name))
		}
	}
	return files
}

// fingerprint is a key as OpenSSH shows it.
func fingerprint(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }
