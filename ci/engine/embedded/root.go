package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// rootRevision changes when what is done with the packages changes.
const rootRevision = "1"

// rootPackages are what the engine calls, and busybox for the shell that git's submodules need.
var rootPackages = []string{"iptables", "dnsmasq-base", "git", "ca-certificates", "slirp4netns", "busybox"}

// useless are files of those packages that nobody calls: git's servers and mail clients, translations of characters.
var useless = []string{"usr/lib/git-core/git-http-push", "usr/lib/git-core/git-imap-send", "usr/lib/git-core/git-http-backend", "usr/lib/git-core/git-daemon",
	"usr/lib/git-core/scalar", "usr/bin/scalar", "usr/share/git-core/templates/hooks", "usr/share/gitweb", "usr/share/i18n", "usr/lib/*/gconv", "usr/lib/*/perl-base", "etc/init.d"}

// rootLayer is Debian's part of the engine's root. Its key has the release but not the packages' versions: what is there stays.
func rootLayer(arch string) layer {
	sum := sha256.Sum256([]byte(strings.Join(append(slices.Clone(rootPackages), rootRevision, arch, debianRelease()), " ")))
	return layer{name: "root", title: "Debian packages for the engine's root", key: hex.EncodeToString(sum[:])[:16], build: func(ctx context.Context, dir string) error {
		return buildRoot(ctx, dir, arch)
	}}
}

func buildRoot(ctx context.Context, dir, arch string) error {
	if err := aptNeeded(); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, ".work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := skeleton(dir); err != nil {
		return err
	}
	if err := (debian{work: work, arch: arch, env: inherited()}).unpack(ctx, dir, rootPackages); err != nil {
		return err
	}
	return finishRoot(dir)
}

func aptNeeded() error {
	for _, command := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(command); err != nil {
			return fmt.Errorf("the engine's root is made from Debian packages, and %s is not here: use Debian or Ubuntu, a container runtime, or --engine ADDRESS", command)
		}
	}
	return nil
}

// debianRelease tells apart roots of different releases that share a cache.
func debianRelease() string {
	content, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	var id []string
	for line := range strings.SplitSeq(string(content), "\n") {
		if strings.HasPrefix(line, "ID=") || strings.HasPrefix(line, "VERSION_ID=") {
			id = append(id, line)
		}
	}
	return strings.Join(id, " ")
}

// dpkgArch is Debian's name of a GOARCH.
func dpkgArch(goarch string) string {
	switch goarch {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	}
	return goarch
}

// skeleton is what base packages would have made: merged /usr, mount points, and the accounts that programs look up.
func skeleton(dir string) error {
	for _, d := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc/ssl/certs", "proc", "sys", "dev", "run", "tmp", "root", "var/lib/dagger", "var/tmp", "var/cache", "opt", "usr/local/bin"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	links := map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "../run", "etc/mtab": "../proc/self/mounts"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	files := map[string]string{
		"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		"etc/group":         "root:x:0:\ntty:x:5:\ndip:x:30:\nnogroup:x:65534:\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n",
		"etc/resolv.conf":   "",
		"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// finishRoot does what the packages' install scripts would do, as far as the engine needs it.
func finishRoot(dir string) error {
	for _, pattern := range useless {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	if err := linkIptables(dir, "xtables-nft-multi"); err != nil {
		return err
	}
	for _, applet := range []string{"sh", "sed", "grep", "cat", "ls", "ps", "ip", "uname", "basename", "dirname", "tr", "expr", "rm", "mkdir", "mount"} {
		if err := symlinkIfMissing("busybox", filepath.Join(dir, "usr/bin", applet)); err != nil {
			return err
		}
	}
	if err := bundleCAs(dir); err != nil {
		return err
	}
	return checkRoot(dir)
}

// linkIptables chooses the back end, as update-alternatives would.
func linkIptables(dir, multi string) error {
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		link := filepath.Join(dir, "usr/sbin", name)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(multi, link); err != nil {
			return err
		}
	}
	return nil
}

func symlinkIfMissing(target, link string) error {
	if _, err := os.Lstat(link); err == nil {
		return nil
	}
	return os.Symlink(target, link)
}

// bundleCAs writes Debian's roots as one file. A bundle of the host takes its place when the engine starts.
func bundleCAs(dir string) error {
	certificates, err := filepath.Glob(filepath.Join(dir, "usr/share/ca-certificates/mozilla/*.crt"))
	if err != nil {
		return err
	}
	var bundle []byte
	for _, file := range certificates {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		bundle = append(append(bundle, content...), '\n')
	}
	return os.WriteFile(filepath.Join(dir, "etc/ssl/certs/ca-certificates.crt"), bundle, 0o644)
}

// checkRoot notices a mirror that gave something else than we expect, here and not as a riddle later.
func checkRoot(dir string) error {
	for _, file := range []string{"usr/sbin/xtables-nft-multi", "usr/sbin/dnsmasq", "usr/bin/git", "usr/bin/slirp4netns", "usr/bin/busybox"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			return fmt.Errorf("the Debian packages lack /%s: %w", file, err)
		}
	}
	return nil
}
