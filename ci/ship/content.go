package ship

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host"
	"github.com/slipway-ci/slipway/ci/secret"
	"github.com/slipway-ci/slipway/ci/systemd"
)

// content is what a release is made of: programs, and what they are told.
type content struct {
	version, commit string
	programs        map[string]host.Program // by Go's name of an architecture
	binary          string                  // file name
	variables       map[string]string
	secrets         map[string]string
	files           map[string][]byte
}

// told reads what a release is told: variables, secrets and files. Everything that is wrong is said at once.
func told(ctx context.Context, o Options, e project.Environment, flags []string) (content, error) {
	c := content{secrets: map[string]string{}, files: map[string][]byte{}}
	file, err := e.ReadVariables()
	if err != nil {
		return c, &UsageError{err.Error()}
	}
	var wrong []error
	if c.variables, err = e.Variables(file, flags); err != nil {
		wrong = append(wrong, err)
	}
	source := secret.Source{Getenv: o.Getenv, Environ: o.Environ, Dir: o.Source}
	for _, name := range slices.Sorted(maps.Keys(e.Secrets)) {
		value, err := e.Secrets[name].Read(ctx, source)
		if err == nil {
			err = secret.Check(value)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("environments.%s.secrets.%s: %w", e.Name, name, err))
		}
		c.secrets[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(e.Files)) {
		text, err := os.ReadFile(e.Files[name])
		if err != nil {
			wrong = append(wrong, fmt.Errorf("environments.%s.files.%s: %w", e.Name, name, err))
		}
		c.files[name] = text
	}
	if len(wrong) > 0 {
		return c, &UsageError{errors.Join(wrong...).Error()}
	}
	return c, nil
}

// hidden are the values that nobody may read.
func (c content) hidden() []string { return slices.Sorted(maps.Values(c.secrets)) }

// hostSpec is the service on machines with systemd.
func (c content) hostSpec(e project.Environment, arches []string, proxies map[string]host.Program) host.Spec {
	s := host.Spec{
		Service: e.Service, Binary: c.binary, Version: c.version, Commit: c.commit, Programs: map[string]host.Program{}, Arguments: e.Arguments,
		Environment: variableList(c.variables), Ports: host.Ports(e.Ports), Drain: e.Drain, Keep: e.Keep, State: e.State, Writable: e.Writable,
		Limits: e.Limits, Relax: e.Relax, LogFile: e.LogFile, Switch: e.Switch,
	}
	if service := e.App.Service; service != nil {
		s.Health, s.Grace, s.Start = service.Health, service.Grace, service.Start
	}
	if e.Filebeat != "" {
		s.Filebeat = &host.Filebeat{Dir: e.Filebeat, Environment: e.Name}
	}
	for _, arch := range arches {
		if program, ok := c.programs[arch]; ok {
			s.Programs[arch] = program
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.secrets)) {
		s.Secrets = append(s.Secrets, host.Secret{Name: name, Value: c.secrets[name], Environment: slices.Contains(e.SecretVariables, name)})
	}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		s.Files = append(s.Files, host.File{Path: name, Content: c.files[name]})
	}
	if p := e.Proxy; p != nil {
		s.Proxy = &host.Proxy{Programs: proxies, Listen: p.Listen, Domains: p.Domains, TLS: p.TLS, Cert: p.Cert, Key: p.Key}
	}
	return s
}

func variableList(variables map[string]string) []systemd.Variable {
	var list []systemd.Variable
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, systemd.Variable{Name: name, Value: variables[name]})
	}
	return list
}

// unfold lays a release out in a directory of this machine, for commands of the user's to bring to where it belongs: bin/ARCH/NAME,
// environment, credentials/NAME and the files. It is whole or not there.
func (c content) unfold(e project.Environment, below string) (rollout.Release, string, error) {
	parts := c.parts(e)
	place := filepath.Join(below, strings.TrimPrefix(parts.Digest(), "sha256:"))
	if _, err := os.Stat(place); err == nil {
		return parts, place, nil
	}
	if err := os.MkdirAll(below, 0o700); err != nil {
		return parts, "", fmt.Errorf("make directory of releases: %w", err)
	}
	staging, err := os.MkdirTemp(below, ".new-")
	if err != nil {
		return parts, "", fmt.Errorf("lay out the release: %w", err)
	}
	defer os.RemoveAll(staging)
	text, err := systemd.EnvironmentFile(variableList(c.variables))
	if err != nil {
		return parts, "", &UsageError{err.Error()}
	}
	files := map[string][]byte{"environment": []byte(text)}
	for name, value := range c.secrets {
		files[filepath.Join("credentials", name)] = []byte(value)
	}
	maps.Copy(files, c.files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err = errors.Join(err, writeBelow(staging, name, files[name]))
	}
	for arch, program := range c.programs {
		err = errors.Join(err, copyProgram(program.Path, filepath.Join(staging, "bin", arch, c.binary)))
	}
	if err == nil {
		err = os.Rename(staging, place)
	}
	if err != nil {
		return parts, "", fmt.Errorf("lay out the release: %w", err)
	}
	return parts, place, nil
}

func writeBelow(dir, name string, text []byte) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func copyProgram(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, source)
	return errors.Join(err, file.Close())
}

// parts are the digests of a release that commands of the user's roll out.
func (c content) parts(e project.Environment) rollout.Release {
	programs := map[string]string{}
	for arch, program := range c.programs {
		programs[arch] = program.SHA256
	}
	secrets := map[string]string{} // by their digest: it may be read
	for name, value := range c.secrets {
		sum := sha256.Sum256([]byte(value))
		secrets[name] = hex.EncodeToString(sum[:])
	}
	return rollout.Release{
		Artifact: partDigest(programs), Configuration: partDigest([]any{c.files, e.Arguments}),
		Environment: partDigest([]any{c.variables, secrets}), Unit: partDigest([]any{e.Service, e.Rollout.Strategy}),
	}
}

func partDigest(value any) string {
	text, _ := json.Marshal(value) // maps of strings are always written, and always in the same way
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// builtPrograms are the linux programs that a run has made of an app. Of several variants of an architecture it takes the plain one.
func (r *run) builtPrograms(app project.App) (map[string]host.Program, error) {
	programs := map[string]host.Program{}
	for _, a := range r.made {
		os, rest, _ := strings.Cut(a.Target, "/")
		arch, variant, _ := strings.Cut(rest, "/")
		if _, taken := programs[arch]; a.Name != app.Name || string(a.Kind) != "binary" || os != "linux" || taken && variant != "" {
			continue
		}
		programs[arch] = host.Program{Path: filepath.Join(r.dist.dir, a.Path), SHA256: strings.TrimPrefix(a.Digest, "sha256:"), Size: a.Size}
	}
	if len(programs) == 0 {
		return nil, &UsageError{fmt.Sprintf("%s has no linux program to roll out: add linux/amd64 to its targets", cmp.Or(app.Name, "this project"))}
	}
	return programs, nil
}
