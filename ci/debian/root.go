// Package debian assembles root filesystems from Debian packages, without a registry and without installing anything on
// the machine.
//
// It runs mmdebstrap, which asks for the machine's own package sources, keys and proxies, so that a mirror or a proxy that
// works for apt works here. A root is written as one tar file, in one step: a root that is there is complete.
package debian

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// ErrUnavailable says that this machine cannot assemble a Debian root.
var ErrUnavailable = errors.New("no Debian root can be assembled here")

// Command is the tool that this package needs on the machine, and Package the Debian package that holds it.
const (
	Command = "mmdebstrap"
	Package = "mmdebstrap"
)

// Spec is what goes into a root.
type Spec struct {
	Suite    string   // "bookworm"
	Arch     string   // Debian's name: amd64, arm64
	Packages []string // beside the minimal base
}

// left out of every root: nobody reads manuals in a container.
var excluded = []string{
	"/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*", "/usr/share/bug/*",
}

// Args is the mmdebstrap command line for a spec; sources are apt source files, aptConf a file of apt options ("" for none).
func (s Spec) Args(out, aptConf string, sources []string) []string {
	packages := append([]string(nil), s.Packages...)
	sort.Strings(packages)
	args := []string{"--quiet", "--format=tar", "--variant=minbase", "--architectures=" + s.Arch, "--include=" + strings.Join(packages, ",")}
	for _, path := range excluded {
		args = append(args, "--dpkgopt=path-exclude="+path)
	}
	if aptConf != "" {
		args = append(args, "--aptopt="+aptConf)
	}
	args = append(args, s.Suite, out)
	return append(args, sources...)
}

// Available reports why no root can be assembled on this machine; nil when one can.
func Available() error {
	if _, err := exec.LookPath(Command); err != nil {
		return fmt.Errorf("%w: %s is not installed", ErrUnavailable, Command)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it needs root", ErrUnavailable)
	}
	return nil
}

// Write assembles a root and writes it to out as a tar file. The file appears only when it is complete.
func Write(ctx context.Context, spec Spec, out string) error {
	if err := Available(); err != nil {
		return err
	}
	sources, err := Sources("/etc/apt")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".debian-")
	if err != nil {
		return fmt.Errorf("make a work directory: %w", err)
	}
	defer os.RemoveAll(work)
	conf, err := aptConf(ctx, work)
	if err != nil {
		return err
	}
	part := filepath.Join(work, "root.tar")
	cmd := exec.CommandContext(ctx, Command, spec.Args(part, conf, sources)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+work, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SOURCE_DATE_EPOCH=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends what it has started
	cmd.WaitDelay = 5 * time.Second
	if output, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %s failed: %v: %s", ErrUnavailable, Command, err, lastLines(string(output), 3))
	}
	return os.Rename(part, out)
}

// Host is the suite and architecture of the Debian that runs here.
func Host(ctx context.Context) (suite, arch string, err error) {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "", "", fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	defer f.Close()
	release := parseRelease(bufio.NewScanner(f))
	if release["ID"] != "debian" || release["VERSION_CODENAME"] == "" {
		return "", "", fmt.Errorf("%w: this is %s, not a Debian release", ErrUnavailable, cmp.Or(release["PRETTY_NAME"], "an unknown system"))
	}
	out, err := exec.CommandContext(ctx, "dpkg", "--print-architecture").Output()
	if err != nil {
		return "", "", fmt.Errorf("%w: ask dpkg for the architecture: %w", ErrUnavailable, err)
	}
	return release["VERSION_CODENAME"], strings.TrimSpace(string(out)), nil
}

func parseRelease(lines *bufio.Scanner) map[string]string {
	values := map[string]string{}
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "=")
		if ok {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	return values
}

// Sources lists the apt source files below dir, in apt's own order.
func Sources(dir string) ([]string, error) {
	var found []string
	if info, err := os.Stat(filepath.Join(dir, "sources.list")); err == nil && info.Size() > 0 {
		found = append(found, filepath.Join(dir, "sources.list"))
	}
	for _, pattern := range []string{"*.list", "*.sources"} {
		matches, err := filepath.Glob(filepath.Join(dir, "sources.list.d", pattern))
		if err != nil {
			return nil, fmt.Errorf("list apt sources: %w", err)
		}
		for _, m := range matches {
			if isDebian(m) {
				found = append(found, m)
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: no package sources in %s", ErrUnavailable, dir)
	}
	return found, nil
}

// isDebian leaves out third-party sources: their keys and suites are of no use to a new root.
func isDebian(path string) bool {
	data, err := os.ReadFile(path)
	return err == nil && strings.Contains(string(data), "debian-archive-keyring")
}

// aptConf writes the machine's apt transport options (proxies, date checks, certificates) to a file in dir.
func aptConf(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "--format", "%f \"%v\";%n", "Acquire").Output()
	if err != nil {
		return "", fmt.Errorf("read the apt configuration: %w", err)
	}
	var kept strings.Builder
	for _, line := range strings.Split(string(out), "\n") {
		if transport(line) {
			kept.WriteString(line + "\n")
		}
	}
	if kept.Len() == 0 {
		return "", nil
	}
	path := filepath.Join(dir, "apt.conf")
	return path, os.WriteFile(path, []byte(kept.String()), 0o600)
}

func transport(line string) bool {
	for _, prefix := range []string{"Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries"} {
		if strings.HasPrefix(line, prefix) && !strings.HasSuffix(line, ` "";`) {
			return true
		}
	}
	return false
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
