// Package rootfs makes the root filesystems that Slipway works with, as files in the user's cache, each once:
//
//   - [Toolchain]: Go itself, from the module golang.org/toolchain, fetched through GOPROXY and checked by the checksum
//     database. Builds run in it. Never the machine's own GOROOT: the same version gives the same bits everywhere.
//
//   - [Tests]: a small Debian with a shell, git, time zones and a C compiler, because tests expect a system around them.
//
//   - [Base]: what images are built on unless they name a base of their own.
//
// Toolchain and base are OCI layouts in a tar file, the form that an engine imports without a registry.
package rootfs
