package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
)

// What our few lines of shell end with, so that it is known which of them it was.
const (
	damaged  = 117 // the upload is not what was sent
	noSudo   = 118
	noHelper = 119
)

// identity is what a machine says of itself before anything is asked of a helper.
type identity struct {
	kernel, arch, init, user string
	helper                   Program
}

// architectures are Go's names of what uname says.
var architectures = map[string]string{
	"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386",
	"riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x", "loongarch64": "loong64",
}

// hello is asked first. It changes nothing, and needs nothing but a shell.
const hello = `echo "slipway $(uname -s) $(uname -m) $(cat /proc/1/comm 2>/dev/null || echo unknown) $(id -un)"`

// shell runs a script with the machine's shell, whichever the login has.
func shell(script string) string { return "exec /bin/sh -c " + remote.Quote(script) }

// identify finds out what the machine is, and refuses what no release can run on.
func (m *machine) identify(ctx context.Context, conn remote.Machine) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, m.options.Answer)
	defer cancel()
	var out bytes.Buffer
	if err := conn.Run(ctx, shell(hello), remote.Streams{Stdout: &out}); err != nil {
		var exit *remote.ExitError
		if errors.As(err, &exit) {
			return identity{}, m.refuse("its login has no shell: "+strings.TrimSpace(exit.Stderr), "give the account a shell, such as /bin/sh")
		}
		return identity{}, err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) < 5 || fields[0] != "slipway" {
		return identity{}, m.refuse(fmt.Sprintf("its login's shell does not answer as one: %.200q", out.String()), "give the account a shell, such as /bin/sh")
	}
	what := identity{kernel: fields[1], arch: architectures[fields[2]], init: fields[3], user: strings.Join(fields[4:], " ")}
	return what, m.fits(&what, fields[2])
}

// fits says what is in the way of every release.
func (m *machine) fits(what *identity, machine string) error {
	var problems []error
	if what.kernel != "Linux" {
		problems = append(problems, m.refuse("it runs "+what.kernel, "use a machine with Linux and systemd"))
	}
	if what.init != "systemd" {
		problems = append(problems, m.refuse("process 1 is "+what.init+", not systemd", "use a machine that systemd runs, not a plain container"))
	}
	helper, ok := m.options.Helpers[what.arch]
	if !ok {
		problems = append(problems, m.refuse("it is a machine of "+machine+", for which nothing was built",
			"add linux/"+orUnknown(what.arch, machine)+" to the targets in slipway.yaml"))
	}
	what.helper = helper
	return errors.Join(problems...)
}

func orUnknown(arch, machine string) string {
	if arch == "" {
		return machine
	}
	return arch
}

func (m *machine) refuse(what, next string) error {
	return &remote.RefusedError{Address: m.host.Address, What: what, Next: next}
}

func (i identity) path() string {
	return path.Join(protocol.HelperDir, i.helper.SHA256, "slipway-host")
}

// call runs the helper for one request, as root.
func (i identity) call() string {
	return shell(fmt.Sprintf(`[ -x %[1]s ] || exit %[2]d
[ "$(id -u)" = 0 ] && exec %[1]s call
command -v sudo >/dev/null 2>&1 || exit %[3]d
export LC_ALL=C; exec sudo -n %[1]s call`, remote.Quote(i.path()), noHelper, noSudo))
}

// installation puts a helper in its place, once it is there completely. The digest is all that differs.
func (i identity) installation() string {
	script := fmt.Sprintf(`set -eu; umask 022; d=%s; t="$d/.upload.$$"
mkdir -p "$d"; trap 'rm -f "$t"' EXIT; cat >"$t"
echo %s"  $t" | sha256sum -c - >/dev/null 2>&1 || exit %d
chmod 755 "$t"; sync "$t" 2>/dev/null || sync; mv -f "$t" "$d/slipway-host"`, remote.Quote(path.Dir(i.path())), remote.Quote(i.helper.SHA256), damaged)
	return shell(fmt.Sprintf(`[ "$(id -u)" = 0 ] && exec /bin/sh -c %[1]s
command -v sudo >/dev/null 2>&1 || exit %[2]d
export LC_ALL=C; exec sudo -n /bin/sh -c %[1]s`, remote.Quote(script), noSudo))
}

// install uploads the helper.
func (m *machine) install(ctx context.Context, conn remote.Machine, what identity) error {
	file, err := os.Open(what.helper.Path)
	if err != nil {
		return fmt.Errorf("read helper: %w", err)
	}
	defer file.Close()
	err = conn.Run(ctx, what.installation(), remote.Streams{Stdin: file})
	var exit *remote.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Code == damaged:
		return m.refuse("the helper did not arrive as "+what.helper.SHA256, "it is not what was built any more: build it again ("+what.helper.Path+")")
	case errors.As(err, &exit) && refusedBySudo(exit) != "":
		return m.refuse(fmt.Sprintf("%s may not install the helper: %s", what.user, refusedBySudo(exit)),
			fmt.Sprintf("let it (in /etc/sudoers.d/slipway: %s ALL=(root) NOPASSWD: ALL), or put %s there as root: install -D -m 755 slipway-host %s. From then on this is enough: %s",
				what.user, what.helper.Path, what.path(), what.sudoers()))
	}
	return m.explain(err, what)
}

// sudoers is the line that lets a login run helpers, and nothing else. Only root can put one there.
func (i identity) sudoers() string {
	return i.user + " ALL=(root) NOPASSWD: " + protocol.HelperDir + "/*/slipway-host call"
}

// refusedBySudo is why sudo did not run a command, "" when it did. What it says about the host's name is a warning.
func refusedBySudo(exit *remote.ExitError) string {
	for line := range strings.Lines(exit.Stderr) {
		if line = strings.TrimSpace(line); exit.Code == 1 && strings.HasPrefix(line, "sudo: ") && !strings.HasPrefix(line, warning) {
			return line
		}
	}
	return ""
}

// explain makes of how our shell ended what a user can act on.
func (m *machine) explain(err error, what identity) error {
	var exit *remote.ExitError
	if !errors.As(err, &exit) {
		return m.named(err)
	}
	switch {
	case exit.Code == noSudo:
		return m.refuse(what.user+" is not root, and there is no sudo", "install sudo, or log in as root with a key")
	case refusedBySudo(exit) != "":
		return m.refuse(fmt.Sprintf("%s may not run the helper as root: %s", what.user, refusedBySudo(exit)),
			"write this line into /etc/sudoers.d/slipway: "+what.sudoers())
	case strings.Contains(exit.Stderr, "No space left"):
		return m.refuse("its disk is full", "free some space below "+path.Dir(protocol.HelperDir))
	}
	return m.named(err)
}
