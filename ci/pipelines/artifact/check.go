package artifact

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

// Static is the Link of a Want that allows no shared library.
const Static = "static"

// Want says what a binary must be.
type Want struct {
	Target target.Target
	// Link is "static" when the binary must need no shared library. Systems
	// whose programs always use the system's own library (macOS, Windows,
	// OpenBSD, Solaris, Android, …) are not held to it.
	Link string
	CGO  bool
	// Module is the path of the main module. Empty means any.
	Module string
	// GoVersion is the version of the Go that compiled it, such as "1.26.8". Empty means any.
	GoVersion string
}

// Info is what a binary turned out to be.
type Info struct {
	Format    string // ELF, Mach-O, PE, XCOFF, Plan 9 or WebAssembly
	Machine   string // GOARCH of the file's header
	Static    bool   // no program interpreter and no shared library; always false where the format cannot tell
	Module    string // path of the main module
	Package   string // path of the main package
	GoVersion string // such as go1.26.8
	Settings  map[string]string
	SHA256    string
	Size      int64
}

// MismatchError says in what a binary is not what was asked for.
type MismatchError struct {
	Path  string
	What  string // "machine", "GOOS", …
	Found string
	Want  string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("check %s: %s is %s, wanted %s", e.Path, e.What, e.Found, e.Want)
}

// Check reads the binary at path and compares it with what is wanted. The Info
// is as complete as the file allows, also when there is an error. The error
// joins a *MismatchError for each thing that is wrong.
func Check(path string, want Want) (Info, error) {
	file, err := os.Open(path)
	if err != nil {
		return Info{}, fmt.Errorf("open binary: %w", err)
	}
	defer file.Close()
	return CheckReader(file, path, want)
}

// CheckReader does what Check does. The name is for errors.
func CheckReader(r io.ReaderAt, name string, want Want) (Info, error) {
	info, err := digest(r)
	if err != nil {
		return info, fmt.Errorf("read %s: %w", name, err)
	}
	image, err := inspect(r, info.Size)
	if err != nil {
		return info, fmt.Errorf("check %s: %w", name, err)
	}
	info.Format, info.Machine, info.Static = image.format, image.machine, image.static
	found := mismatches{path: name}
	found.checkHeader(image, want)
	if image.tells(r) {
		found.readBuildInfo(r, &info, want)
	}
	return info, errors.Join(found.errs...)
}

// Digest returns the SHA-256, in hexadecimal, and the size of a file.
func Digest(path string) (sha256 string, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	defer file.Close()
	info, err := digest(file)
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return info.SHA256, info.Size, nil
}

func digest(r io.ReaderAt) (Info, error) {
	sum := sha256.New()
	size, err := io.Copy(sum, io.NewSectionReader(r, 0, 1<<62))
	return Info{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size}, err
}

type mismatches struct {
	path string
	errs []error
}

func (m *mismatches) compare(what, found, want string) {
	if found == want {
		return
	}
	if found == "" {
		found = "not set"
	}
	m.errs = append(m.errs, &MismatchError{Path: m.path, What: what, Found: found, Want: want})
}

func (m *mismatches) checkHeader(image image, want Want) {
	m.compare("format", image.format, formatOf(want.Target))
	m.compare("machine", image.machine, want.Target.Arch)
	if want.Link == Static && canBeStatic(want.Target) && !image.static {
		m.compare("linking", image.dynamic, "static")
	}
}

// canBeStatic tells whether Go makes static programs for the system at all.
func canBeStatic(t target.Target) bool {
	switch t.OS {
	case "linux", "freebsd", "netbsd", "dragonfly":
		return true
	}
	return false
}

// tells says whether a binary's build information can be read: not in WebAssembly, not in XCOFF without symbols, and not in every
// one for Plan 9, where it may lie at a place at which debug/buildinfo does not look.
func (i image) tells(r io.ReaderAt) bool {
	if i.format == formatXCOFF || i.format == formatPlan9 {
		_, err := buildinfo.Read(r)
		return err == nil
	}
	return i.format != formatWasm
}

func (m *mismatches) readBuildInfo(r io.ReaderAt, info *Info, want Want) {
	build, err := buildinfo.Read(r)
	if err != nil {
		m.errs = append(m.errs, fmt.Errorf("check %s: read Go build information: %w", m.path, err))
		return
	}
	info.Module, info.Package, info.GoVersion = build.Main.Path, build.Path, build.GoVersion
	info.Settings = make(map[string]string, len(build.Settings))
	for _, setting := range build.Settings {
		info.Settings[setting.Key] = setting.Value
	}
	m.checkBuildInfo(*info, want)
}

func (m *mismatches) checkBuildInfo(info Info, want Want) {
	for _, variable := range want.Target.Env() {
		key, value, _ := strings.Cut(variable, "=")
		m.compare(key, settingLike(info.Settings[key], value), value)
	}
	m.compare("CGO_ENABLED", info.Settings["CGO_ENABLED"], map[bool]string{false: "0", true: "1"}[want.CGO])
	if want.Module != "" {
		m.compare("main module", info.Module, want.Module)
	}
	if want.GoVersion != "" {
		m.compare("Go version", goNumber(info.GoVersion), goNumber(want.GoVersion))
	}
}

// settingLike drops the options after a comma ("7,hardfloat") that the wanted
// value does not speak of.
func settingLike(found, want string) string {
	if strings.Contains(want, ",") {
		return found
	}
	before, _, _ := strings.Cut(found, ",")
	return before
}

// goNumber is the plain number: "go1.26.8 X:exp" gives "1.26.8".
func goNumber(version string) string {
	number, _, _ := strings.Cut(strings.TrimPrefix(version, "go"), " ")
	return number
}
