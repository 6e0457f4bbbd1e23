package sbom

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime/debug"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Places in an image that tell about it. None has a slash before it.
const (
	packageDir   = "var/lib/dpkg/"
	packageList  = packageDir + "status"
	packageLists = packageDir + "status.d/" // one file a package: distroless
	packageFiles = packageDir + "info/"
	zonesDir     = "usr/share/zoneinfo/"
)

// releases are where a distribution says its name, the first one first.
var releases = []string{"etc/os-release", "usr/lib/os-release"}

// rootsPaths are where distributions keep the public certificate authorities.
var rootsPaths = []string{"etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem"}

// maxKept is the largest program that is looked into: it is held in memory.
const maxKept = 1 << 30

// inventory is what an image holds.
type inventory struct {
	files    map[string]string           // digests of all plain files, by path
	programs map[string]*debug.BuildInfo // Go binaries, by path
	packages []debianPackage
	owned    map[string]bool   // paths that packages account for
	release  map[string]string // of the first of releases that is there
	roots    map[string]int    // how many certificates, by path
}

// look reads the files of an image, as a container sees them.
func look(image v1.Image) (_ *inventory, err error) {
	content := mutate.Extract(image)
	defer func() { err = errors.Join(err, content.Close()) }()
	v := &inventory{files: map[string]string{}, programs: map[string]*debug.BuildInfo{}, owned: map[string]bool{}, roots: map[string]int{}}
	told := map[string]map[string]string{}
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if err := v.visit(name, header.Size, archive, told); err != nil {
			return nil, fmt.Errorf("/%s: %w", name, err)
		}
	}
	// the archive has an end even when it broke off: the error comes after it
	if _, err := io.Copy(io.Discard, content); err != nil {
		return nil, err
	}
	for _, name := range releases {
		if v.release == nil {
			v.release = told[name]
		}
	}
	return v, nil
}

// visit hashes a file, and keeps what it tells.
func (v *inventory) visit(name string, size int64, content io.Reader, told map[string]map[string]string) error {
	buffered := bufio.NewReader(content)
	sum := sha256.New()
	head, err := buffered.Peek(len(elfMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if size > maxKept || !(bytes.Equal(head, elfMagic) || tells(name)) {
		if _, err := io.Copy(sum, buffered); err != nil {
			return err
		}
		v.files[name] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
		return nil
	}
	data, err := io.ReadAll(io.TeeReader(buffered, sum))
	if err != nil {
		return err
	}
	v.files[name] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	v.keep(name, data, told)
	return nil
}

var elfMagic = []byte("\x7fELF")

// tells says whether a file tells about others, by its name.
func tells(name string) bool {
	for _, known := range append(rootsPaths, releases...) {
		if name == known {
			return true
		}
	}
	return strings.HasPrefix(name, packageDir)
}

func (v *inventory) keep(name string, data []byte, told map[string]map[string]string) {
	switch {
	case bytes.HasPrefix(data, elfMagic):
		if info, err := buildinfo.Read(bytes.NewReader(data)); err == nil {
			v.programs[name] = info
		}
	case name == releases[0] || name == releases[1]:
		told[name] = parseRelease(string(data))
	case name == packageList, strings.HasPrefix(name, packageLists) && !strings.HasSuffix(name, ".md5sums"):
		v.packages = append(v.packages, parsePackages(string(data))...)
	case strings.HasPrefix(name, packageLists):
		v.own(string(data), func(line string) string { _, file, _ := strings.Cut(line, "  "); return file })
	case strings.HasPrefix(name, packageFiles) && strings.HasSuffix(name, ".list"):
		v.own(string(data), func(line string) string { return line })
	case !strings.HasPrefix(name, packageDir):
		v.roots[name] = bytes.Count(data, []byte("-----BEGIN CERTIFICATE-----"))
	}
}

// own notes the files that a package's list names.
func (v *inventory) own(list string, file func(line string) string) {
	for line := range strings.Lines(list) {
		if name := file(strings.TrimSpace(line)); name != "" {
			v.owned[merged(name)] = true
		}
	}
}

// accounted tells whether a package accounts for a file, or it is a file of the
// list of packages itself.
func (v *inventory) accounted(name string) bool {
	return v.owned[merged(name)] || strings.HasPrefix(name, packageDir)
}

// merged is a path where /bin is a link to /usr/bin, and so on, as lists of
// packages and the image may name either.
func merged(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	first, _, _ := strings.Cut(name, "/")
	switch first {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
		return "usr/" + name
	}
	return name
}
