package linuxpkg

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/ci/target"
)

// unsupported says that a format has no package for a binary.
type unsupported struct {
	format Format
	target target.Target
	why    string
}

func (e *unsupported) Error() string {
	return fmt.Sprintf("no %s for %s: %s", e.format, e.target, e.why)
}

func asUnsupported(err error) (*unsupported, bool) {
	var e *unsupported
	return e, errors.As(err, &e)
}

// arch is a format's name for a processor.
func arch(f Format, t target.Target) (string, error) {
	names := map[Format]map[string]string{Deb: debArch(), RPM: rpmArch(), APK: apkArch()}[f]
	key := t.Arch
	if t.Arch == "arm" {
		key += cmp.Or(t.Variant, "7")
	}
	if name := names[key]; name != "" {
		return name, nil
	}
	return "", &unsupported{f, t, "there is no such architecture"}
}

func debArch() map[string]string {
	return map[string]string{
		"amd64": "amd64", "386": "i386", "arm64": "arm64", "arm7": "armhf", "arm6": "armhf", "arm5": "armel", "riscv64": "riscv64", "s390x": "s390x",
		"ppc64le": "ppc64el", "ppc64": "ppc64", "mips64le": "mips64el", "mips64": "mips64", "mipsle": "mipsel", "mips": "mips", "loong64": "loong64",
	}
}

func rpmArch() map[string]string {
	return map[string]string{
		"amd64": "x86_64", "386": "i686", "arm64": "aarch64", "arm7": "armv7hl", "arm6": "armv6hl", "arm5": "armv5tel", "riscv64": "riscv64", "s390x": "s390x",
		"ppc64le": "ppc64le", "ppc64": "ppc64", "mips64le": "mips64el", "mips64": "mips64", "mipsle": "mipsel", "mips": "mips", "loong64": "loongarch64",
	}
}

func apkArch() map[string]string {
	return map[string]string{
		"amd64": "x86_64", "386": "x86", "arm64": "aarch64", "arm7": "armv7", "arm6": "armhf", "riscv64": "riscv64", "s390x": "s390x",
		"ppc64le": "ppc64le", "loong64": "loongarch64",
	}
}

// libc is what a package of a binary that is linked to glibc depends on.
func libc(f Format, t target.Target) (string, error) {
	switch f {
	case Deb:
		return "libc6", nil
	case RPM:
		if wide(t.Arch) {
			return "libc.so.6()(64bit)", nil
		}
		return "libc.so.6", nil
	}
	return "", &unsupported{f, t, "the binary is linked to glibc, and Alpine has musl: build it without cgo"}
}

func wide(arch string) bool {
	switch arch {
	case "386", "arm", "mips", "mipsle":
		return false
	}
	return true
}
