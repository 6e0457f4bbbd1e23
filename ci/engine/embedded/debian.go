package embedded

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// debian fetches packages from the mirrors that this machine's apt is set up for, and unpacks them elsewhere. Lists,
// status and archives are private: the host's own apt is read, never changed, and nothing is installed.
type debian struct {
	work string // for lists and archives; removed by the caller
	arch string // dpkg's name
	env  []string
}

// assumed are packages that others depend on and whose files we do not need: an interpreter for scripts nobody calls,
// installers, manual pages.
var assumed = []string{"perl", "liberror-perl", "debconf", "dpkg", "passwd", "netbase", "openssl", "tar", "install-info"}

// unwanted are directories of packages that are not unpacked.
var unwanted = []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bash-completion",
	"usr/share/doc-base", "usr/share/perl5", "usr/share/perl", "usr/share/gdb", "usr/share/bug", "usr/share/menu", "usr/share/git-core/contrib",
	"usr/lib/tmpfiles.d", "usr/lib/systemd", "usr/share/applications", "usr/share/polkit-1", "usr/share/python3"}

func (d debian) lists() string    { return filepath.Join(d.work, "lists") }
func (d debian) archives() string { return filepath.Join(d.work, "archives") }
func (d debian) config() string   { return filepath.Join(d.work, "apt.conf") }

// unpack puts the packages and all they depend on into root.
func (d debian) unpack(ctx context.Context, root string, packages []string) error {
	if err := d.prepare(); err != nil {
		return fmt.Errorf("prepare apt: %w", err)
	}
	if err := d.apt(ctx, "update"); err != nil {
		return fmt.Errorf("fetch Debian's package lists (see /etc/apt for the mirrors): %w", err)
	}
	if err := d.apt(ctx, append([]string{"install", "--yes", "--download-only"}, packages...)...); err != nil {
		return fmt.Errorf("fetch Debian packages: %w", err)
	}
	archives, err := filepath.Glob(filepath.Join(d.archives(), "*.deb"))
	if err != nil {
		return err
	}
	slices.Sort(archives)
	for _, archive := range archives {
		if err := d.extract(ctx, archive, root); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
		}
	}
	return nil
}

func (d debian) prepare() error {
	for _, dir := range []string{filepath.Join(d.lists(), "partial"), filepath.Join(d.archives(), "partial")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(d.work, "status"), []byte(statusOf(assumed, d.arch)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(d.config(), []byte(aptConfig(d.work)), 0o644)
}

// aptConfig is read after the host's configuration. Hooks are cleared: they act on the host.
func aptConfig(work string) string {
	return strings.ReplaceAll(`#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::CNF;
Dir::State "WORK";
Dir::State::lists "WORK/lists";
Dir::State::status "WORK/status";
Dir::State::extended_states "WORK/extended_states";
Dir::Cache "WORK";
Dir::Cache::archives "WORK/archives";
Dir::Log "WORK";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
`, "WORK", work)
}

func statusOf(packages []string, arch string) string {
	var b strings.Builder
	for _, name := range packages {
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nPriority: optional\nSection: misc\nMaintainer: slipway\nArchitecture: %s\nMulti-Arch: foreign\nVersion: 999:999\nDescription: assumed\n\n", name, arch)
	}
	return b.String()
}

func (d debian) apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet=2", "--config-file=" + d.config()}, args...)...)
	cmd.Env = append(slices.Clone(d.env), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	_, err := output(cmd)
	return err
}

func (d debian) extract(ctx context.Context, archive, root string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", archive)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	unpacked := untar(stdout, root)
	if unpacked != nil {
		cmd.Cancel()
	}
	if err := cmd.Wait(); err != nil && unpacked == nil {
		return fmt.Errorf("dpkg-deb: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return unpacked
}

// untar unpacks into a merged-/usr root. It goes through os.Root, so that no name and no link leads out of it.
func untar(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // dpkg-deb pads its output
			return err
		}
		if err != nil {
			return err
		}
		if err := untarOne(root, header, archive); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func untarOne(root *os.Root, header *tar.Header, content io.Reader) error {
	name := mergedUsr(header.Name)
	if name == "." || isUnwanted(name) {
		return nil
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(header.Mode & 0o777)
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return replace(root, name, func() error { return root.Symlink(header.Linkname, name) })
	case tar.TypeLink:
		return replace(root, name, func() error { return root.Link(mergedUsr(header.Linkname), name) })
	case tar.TypeReg:
		return replace(root, name, func() error { return writeFile(root, name, mode, content) })
	}
	return nil
}

// replace makes room first: two packages may carry the same name, and files are often hard links.
func replace(root *os.Root, name string, create func() error) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return create()
}

func writeFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// mergedUsr is the name in a root where /bin, /sbin and /lib* are links into /usr.
func mergedUsr(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	first, _, _ := strings.Cut(name, "/")
	switch first {
	case "":
		return "."
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
		return "usr/" + name
	}
	return name
}

func isUnwanted(name string) bool {
	return slices.ContainsFunc(unwanted, func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") })
}
