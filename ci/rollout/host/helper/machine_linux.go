package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// machine is where the helper runs. All of it is below root, which is "/" on every real one.
type machine struct {
	root    string
	self    string // the helper's own path, as it was called
	systemd systemd
	web     *http.Client // asks instances
}

// newMachine finds its root from the path that the helper was called by: PREFIX/opt/slipway/helper/…. So tests have machines
// in a directory, and nobody can move a real one.
func newMachine(self string) (*machine, error) {
	root, _, ok := strings.Cut(self, protocol.HelperDir+"/")
	if !ok || !filepath.IsAbs(self) {
		return nil, usageError{fmt.Sprintf("slipway-host runs from %s/<sha256>, called by its whole path, not as %q", protocol.HelperDir, self)}
	}
	return &machine{root: root + "/", self: self, systemd: systemd{run: command}, web: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true},
	}}, nil
}

// path is where something of the machine is.
func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.root}, parts...)...)
}

// read reads a file that the kernel or the distribution writes, "" when it is not there.
func (m *machine) read(path string) string {
	data, err := os.ReadFile(m.path(path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// service is one application on the machine. Everything that it keeps is below dir, in the directory of all services.
type service struct {
	*machine
	name  string
	store disk   // protocol.StateDir
	units disk   // protocol.UnitDir
	fence uint64 // of the step that is being done, 0 while none is
}

// service opens a service, making its directories. The caller closes it.
func (m *machine) service(name string) (*service, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(m.path(protocol.StateDir, name, "releases"), 0o755); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", name, err)
	}
	store, err := openDisk(m.path(protocol.StateDir))
	if err != nil {
		return nil, err
	}
	if err := widen(store, ".", name, name+"/releases"); err != nil {
		store.Close()
		return nil, err
	}
	units, err := openDisk(m.path(protocol.UnitDir))
	if err != nil {
		store.Close()
		return nil, err
	}
	return &service{machine: m, name: name, store: store, units: units}, nil
}

func (s *service) close() {
	s.store.Close()
	s.units.Close()
}

// file is a path in the store.
func (s *service) file(parts ...string) string {
	return filepath.Join(append([]string{s.name}, parts...)...)
}

func (s *service) unit(suffix string) string { return s.name + "-" + suffix + ".service" }

// blobs is the name in the store that no service can have.
const blobs = "blobs"

func checkName(name string) error {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(name) || name == blobs {
		return refuse("use 1 to 63 of a-z, 0-9 and -", "service %q is no name for a unit and a directory", name)
	}
	return nil
}

func checkSum(sum string) error {
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(sum) {
		return refuse("", "%q is no SHA-256 in hexadecimal", sum)
	}
	return nil
}

// checkDigest takes the name of a release apart, which becomes that of a directory.
func checkDigest(digest string) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || checkSum(sum) != nil {
		return "", refuse("", "%q is no digest of a release", digest)
	}
	return sum, nil
}
