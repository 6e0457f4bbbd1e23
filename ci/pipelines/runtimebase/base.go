// Package runtimebase assembles the root filesystem that a static program
// needs at run time, from pinned Go modules alone: no registry, nothing of the
// host. It is what gcr.io/distroless/static offers:
//
//   - the public CA roots in /etc/ssl/certs/ca-certificates.crt, from
//     golang.org/x/crypto/x509roots;
//   - the time zones in /usr/share/zoneinfo, from the Go toolchain;
//   - the users root, nobody and nonroot (65532), with /home/nonroot;
//   - /etc/nsswitch.conf, /etc/os-release, /tmp, /var/tmp and /run.
//
// Assemble gives the same entries on every machine. Base.Digest names their
// content. A copy through a build context loses owners and may lose modes: hand
// the entries' UID, GID and Mode to ci/oci, which sets them again.
package runtimebase

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// NonRoot is the number of the user and of the group that programs run as.
const NonRoot = 65532

const (
	dirMode    = 0o755
	fileMode   = 0o644
	sharedMode = 0o1777 // everybody writes, nobody removes what is another's
	ownMode    = 0o700
)

// Entry is a directory or a file.
type Entry struct {
	Path     string // absolute
	Dir      bool
	Mode     int64 // Unix's twelve bits
	UID, GID int
	Data     []byte // of a file
}

// Base is the assembled root filesystem.
type Base struct {
	Entries []Entry // sorted: each directory before what it holds
	Roots   Roots
	// Version is the date of the CA roots, for people. Digest tells bases apart.
	Version string
}

// Assemble makes the root filesystem. Zones is the toolchain's
// lib/time/zoneinfo.zip.
func Assemble(zones io.ReaderAt, size int64) (Base, error) {
	roots, err := readRoots()
	if err != nil {
		return Base{}, fmt.Errorf("read CA roots: %w", err)
	}
	zoneFiles, err := Zones(zones, size)
	if err != nil {
		return Base{}, err
	}
	entries := append(fixedEntries(), Entry{Path: rootsPath, Mode: fileMode, Data: roots.PEM})
	entries = withParents(append(entries, zoneFiles...))
	slices.SortFunc(entries, func(a, b Entry) int { return comparePaths(a.Path, b.Path) })
	return Base{Entries: entries, Roots: roots, Version: version()}, nil
}

// Report says in one line what the base is, for the outcome of a run.
func (b Base) Report() string {
	text := fmt.Sprintf("assembled from Go modules: %d CA roots of %s", b.Roots.Count, b.Version)
	if len(b.Roots.LeftOut) > 0 {
		text += fmt.Sprintf(" (%d left out: trusted under conditions that a file cannot state)", len(b.Roots.LeftOut))
	}
	return text + ", time zones, users"
}

// fixedEntries are those that are the same in every version.
func fixedEntries() []Entry {
	return []Entry{
		{Path: "/etc/group", Mode: fileMode, Data: []byte(group)},
		{Path: "/etc/nsswitch.conf", Mode: fileMode, Data: []byte(nsswitch)},
		{Path: "/etc/os-release", Mode: fileMode, Data: []byte(osRelease(version()))},
		{Path: "/etc/passwd", Mode: fileMode, Data: []byte(passwd)},
		{Path: "/home/nonroot", Dir: true, Mode: ownMode, UID: NonRoot, GID: NonRoot},
		{Path: "/root", Dir: true, Mode: ownMode},
		{Path: "/run", Dir: true, Mode: dirMode},
		{Path: "/tmp", Dir: true, Mode: sharedMode},
		{Path: "/var/tmp", Dir: true, Mode: sharedMode},
	}
}

const passwd = `root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
`

const group = `root:x:0:
tty:x:5:
staff:x:50:
nonroot:x:65532:
nobody:x:65534:
`

const nsswitch = `passwd: files
group: files
hosts: files dns
networks: files
protocols: files
services: files
`

func osRelease(version string) string {
	return fmt.Sprintf(`NAME="Slipway static base"
PRETTY_NAME="Slipway static base %[1]s"
ID=slipway-static
VERSION_ID="%[1]s"
HOME_URL="https://github.com/slipway-ci/slipway"
`, version)
}

// withParents adds the directories above each entry that are not there.
func withParents(entries []Entry) []Entry {
	known := map[string]bool{"/": true}
	for _, entry := range entries {
		known[entry.Path] = true
	}
	for _, entry := range slices.Clone(entries) {
		for dir := path.Dir(entry.Path); !known[dir]; dir = path.Dir(dir) {
			known[dir] = true
			entries = append(entries, Entry{Path: dir, Dir: true, Mode: dirMode})
		}
	}
	return entries
}

// comparePaths compares element by element, so that a directory comes right
// before what it holds.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}
