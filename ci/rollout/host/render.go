package host

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/systemd"
)

// Rendered is a release, ready to be put onto hosts.
type Rendered struct {
	Release rollout.Release
	// Hosts is what a host of each architecture is told. All have the same digest, so that a fleet of several architectures
	// runs one release.
	Hosts map[string]protocol.Release
	// Blobs are all contents, by SHA-256.
	Blobs map[string]Blob
}

// Needs is what a release wants of a host.
func (r Rendered) Needs(arch string) protocol.Needs {
	needs := protocol.Needs{Arch: arch, User: r.Hosts[arch].User}
	release := r.Hosts[arch]
	for _, digest := range blobsOf(release) {
		needs.Bytes += r.Blobs[digest].Size
	}
	for _, slot := range slices.Sorted(maps.Keys(release.Slots)) {
		if port := release.Slots[slot].Port; port != 0 {
			needs.Ports = append(needs.Ports, port)
		}
	}
	if release.Filebeat != nil {
		needs.Filebeat = release.Filebeat.Dir
	}
	if proxy := release.Traffic.Proxy; proxy != nil {
		needs.Listen = proxy.Listen
		if proxy.TLS == "files" {
			needs.Files = []string{proxy.Cert, proxy.Key}
		}
	}
	return needs
}

// blobsOf are the contents that a host needs for a release, each once.
func blobsOf(release protocol.Release) []string {
	digests := map[string]bool{}
	for _, file := range release.Files {
		digests[file.SHA256] = true
	}
	if release.Traffic.Proxy != nil {
		digests[release.Traffic.Proxy.Binary] = true
	}
	return slices.Sorted(maps.Keys(digests))
}

// Where things are in a release's directory.
const (
	binaryDir         = "bin"
	credentialDir     = "credentials"
	environmentFile   = "environment"      // variables
	secretEnvironment = "credentials.env"  // secrets that are variables
	placeholder       = "0000000000000000" // stands for the digest, which cannot be part of what it is made of
	secretMode        = fs.FileMode(0o400) // systemd reads it as root, and shows the service its own copy
	programMode       = fs.FileMode(0o755) // the account of the service is not the file's owner
	defaultFileMode   = fs.FileMode(0o644)
	maxAccount        = 31
)

// Render makes a release of a service. It is pure: the same Spec gives the same bytes, and no file is read.
func (s Spec) Render() (Rendered, error) {
	s.Binary = cmp.Or(s.Binary, s.Service)
	if err := s.check(); err != nil {
		return Rendered{}, err
	}
	r := Rendered{Hosts: map[string]protocol.Release{}, Blobs: map[string]Blob{}}
	files, err := s.files()
	if err != nil {
		return Rendered{}, err
	}
	for _, file := range files {
		r.Blobs[file.blob.SHA256] = file.blob
	}
	units, err := s.units(placeholder)
	if err != nil {
		return Rendered{}, err
	}
	if r.Release, err = s.release(files, units); err != nil {
		return Rendered{}, err
	}
	return r, s.hosts(&r, files)
}

// hosts writes down what each architecture gets, now that the digest is known.
func (s Spec) hosts(r *Rendered, files []content) error {
	digest := r.Release.Digest()
	slots, err := s.units(digest)
	if err != nil {
		return err
	}
	for arch, program := range s.Programs {
		r.Blobs[program.SHA256] = program.blob()
		release := s.common()
		release.Release, release.Digest, release.Slots = r.Release, digest, slots
		release.Files = []protocol.File{{Path: path.Join(binaryDir, s.Binary), SHA256: program.SHA256, Mode: uint32(programMode)}}
		for _, file := range files {
			release.Files = append(release.Files, protocol.File{Path: file.path, SHA256: file.blob.SHA256, Mode: uint32(file.mode)})
		}
		if s.Proxy != nil {
			proxy := s.Proxy.Programs[arch]
			r.Blobs[proxy.SHA256] = proxy.blob()
			if release.Traffic.Proxy, err = s.proxy(proxy.SHA256); err != nil {
				return err
			}
		}
		r.Hosts[arch] = release
	}
	return nil
}

// common is what is the same on all hosts.
func (s Spec) common() protocol.Release {
	return protocol.Release{
		Version: s.Version, Commit: s.Commit, Service: s.Service, User: account(s.Service),
		Health: s.Health, Timeout: rollout.Duration(s.Timeout), Grace: rollout.Duration(cmp.Or(s.Grace, systemd.DefaultGrace)),
		Drain: rollout.Duration(s.Drain), Keep: s.Keep, LogFile: s.LogFile, Traffic: protocol.Traffic{Switch: s.Switch},
		Filebeat: s.filebeat(),
	}
}

func (s Spec) proxy(binary string) (*protocol.Proxy, error) {
	units, err := proxyUnits(s.Service, *s.Proxy, binary)
	return &protocol.Proxy{Binary: binary, Units: units, Listen: s.Proxy.Listen, Domains: s.Proxy.Domains,
		TLS: s.Proxy.TLS, Cert: s.Proxy.Cert, Key: s.Proxy.Key}, err
}

// release is the digests of all parts. The version is none of them: what is the same under another name is not rolled out again.
func (s Spec) release(files []content, units map[string]protocol.Instance) (rollout.Release, error) {
	var configuration, environment []protocol.File
	for _, file := range files {
		entry := protocol.File{Path: file.path, SHA256: file.blob.SHA256, Mode: uint32(file.mode)}
		if file.environment {
			environment = append(environment, entry)
		} else {
			configuration = append(configuration, entry)
		}
	}
	common := s.common()
	common.Version, common.Commit, common.Keep, common.Files = "", "", 0, configuration
	proxies := map[string]string{}
	if s.Proxy != nil {
		var err error
		if common.Traffic.Proxy, err = s.proxy(placeholder); err != nil {
			return rollout.Release{}, err
		}
		proxies = digests(s.Proxy.Programs)
	}
	return rollout.Release{
		Artifact:      digestOf(digests(s.Programs)),
		Configuration: digestOf([]any{common, proxies}),
		Environment:   digestOf(environment),
		Unit:          digestOf(units),
	}, nil
}

func digests(programs map[string]Program) map[string]string {
	list := map[string]string{}
	for arch, program := range programs {
		list[arch] = program.SHA256
	}
	return list
}

// digestOf names a value that JSON always writes in the same way.
func digestOf(value any) string {
	text, _ := json.Marshal(value)
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// content is a file of a release.
type content struct {
	path        string
	mode        fs.FileMode
	blob        Blob
	environment bool
}

// files are all but the program, in the order of their paths.
func (s Spec) files() ([]content, error) {
	variables, err := systemd.EnvironmentFile(s.Environment)
	if err != nil {
		return nil, fmt.Errorf("environment of %s: %w", s.Service, err)
	}
	list := []content{{path: environmentFile, mode: secretMode, blob: contentBlob([]byte(variables)), environment: true}}
	var secretVariables []systemd.Variable
	for _, secret := range s.Secrets {
		list = append(list, content{path: path.Join(credentialDir, secret.Name), mode: secretMode, blob: contentBlob([]byte(secret.Value)), environment: true})
		if secret.Environment {
			secretVariables = append(secretVariables, systemd.Variable{Name: secret.Name, Value: secret.Value})
		}
	}
	if len(secretVariables) > 0 {
		text, err := systemd.EnvironmentFile(secretVariables)
		if err != nil {
			return nil, fmt.Errorf("secrets of %s: %w", s.Service, err)
		}
		list = append(list, content{path: secretEnvironment, mode: secretMode, blob: contentBlob([]byte(text)), environment: true})
	}
	for _, file := range s.Files {
		list = append(list, content{path: file.Path, mode: cmp.Or(file.Mode, defaultFileMode), blob: contentBlob(file.Content)})
	}
	slices.SortFunc(list, func(a, b content) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

// units are the instances, as they are when the release has this digest.
func (s Spec) units(digest string) (map[string]protocol.Instance, error) {
	slots := map[string]protocol.Instance{}
	ports := map[string]int{rollout.Blue: s.Ports.Blue}
	if s.Ports.Green != 0 {
		ports[rollout.Green] = s.Ports.Green
	}
	for slot, port := range ports {
		unit, err := systemd.Unit(s.unit(slot, port, protocol.ReleaseDir(s.Service, digest)))
		if err != nil {
			return nil, err
		}
		slots[slot] = protocol.Instance{Unit: unit, Port: port}
	}
	return slots, nil
}

// unit runs an instance from a release's directory.
func (s Spec) unit(slot string, port int, dir string) systemd.Service {
	unit := systemd.Service{
		Name: s.Service + "-" + slot, Description: s.Service + ", " + slot + " instance",
		Command: append([]string{path.Join(dir, binaryDir, s.Binary)}, s.Arguments...),
		User:    account(s.Service), Port: port, EnvironmentFiles: []string{path.Join(dir, environmentFile)},
		Directory: dir, Writable: s.Writable, Notify: s.Notify, Start: s.Start, Grace: s.Grace,
		Restart: s.Restart, Limits: s.Limits, Peers: s.Peers, Relax: s.Relax, LogFile: s.LogFile,
	}
	for _, secret := range s.Secrets {
		unit.Credentials = append(unit.Credentials, systemd.Credential{Name: secret.Name, File: path.Join(dir, credentialDir, secret.Name)})
	}
	if slices.ContainsFunc(s.Secrets, func(secret Secret) bool { return secret.Environment }) {
		unit.EnvironmentFiles = append(unit.EnvironmentFiles, path.Join(dir, secretEnvironment))
	}
	if s.State {
		unit.State, unit.Directory = s.Service, ""
	}
	return unit
}

// account is the name of the account that a service runs under. A long name is cut, and told apart by its digest.
func account(service string) string {
	name := service
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	if len(name) <= maxAccount {
		return name
	}
	sum := sha256.Sum256([]byte(service))
	return name[:maxAccount-9] + "-" + hex.EncodeToString(sum[:4])
}

// check finds what ci/systemd cannot see.
func (s Spec) check() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(s.Programs) == 0 {
		wrong("there is no program")
	}
	if s.Binary == "." || s.Binary == ".." || strings.ContainsAny(s.Binary, "/\x00") {
		wrong("binary %q: it is the name of a file", s.Binary)
	}
	if s.Proxy != nil && len(s.Switch) > 0 {
		wrong("traffic goes through our proxy, or is moved by commands of yours: not both")
	}
	if s.Ports.Green != 0 && s.Proxy == nil && len(s.Switch) == 0 {
		wrong("two instances need something that moves traffic between them: a proxy, or commands")
	}
	if s.Ports.Green != 0 && s.Ports.Green == s.Ports.Blue || s.Ports.Blue == 0 && s.Ports.Green != 0 {
		wrong("ports %d and %d: each instance needs one of its own", s.Ports.Blue, s.Ports.Green)
	}
	if s.Proxy != nil {
		for arch := range s.Programs {
			if _, ok := s.Proxy.Programs[arch]; !ok {
				wrong("there is no proxy for %s", arch)
			}
		}
	}
	problems = append(problems, s.checkProxy()...)
	problems = append(problems, s.checkVariables()...)
	problems = append(problems, s.checkFiles()...)
	problems = append(problems, s.checkFilebeat()...)
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("release of %s: %w", s.Service, err)
	}
	return nil
}

// checkVariables never shows a value. systemd's last assignment wins, so one name must not have two meanings.
func (s Spec) checkVariables() []error {
	var problems []error
	plain := map[string]bool{}
	for _, variable := range s.Environment {
		plain[variable.Name] = true
	}
	if plain["PORT"] && s.Ports.Blue != 0 {
		problems = append(problems, errors.New("variable PORT: each instance is told its own"))
	}
	for _, secret := range s.Secrets {
		if plain[secret.Name] {
			problems = append(problems, fmt.Errorf("%s is a secret and a plain variable: take one of them away", secret.Name))
		}
		if secret.Value == "" {
			problems = append(problems, fmt.Errorf("secret %s is empty", secret.Name))
		}
	}
	return problems
}

func (s Spec) checkFiles() []error {
	var problems []error
	taken := map[string]bool{environmentFile: true, secretEnvironment: true}
	for _, file := range s.Files {
		first, _, _ := strings.Cut(file.Path, "/")
		switch {
		case !fs.ValidPath(file.Path) || file.Path == ".":
			problems = append(problems, fmt.Errorf("file %q: it is a path below the release's directory", file.Path))
		case taken[file.Path] || first == binaryDir || first == credentialDir:
			problems = append(problems, fmt.Errorf("file %q is there already", file.Path))
		}
		taken[file.Path] = true
	}
	return problems
}
