package ship

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/pipelines/runtimebase"
	"github.com/slipway-ci/slipway/ci/project"
)

// testimony is what a run can say about what it made: how it was made, and how the checks went.
type testimony struct {
	project   project.Project
	config    string          // digest of slipway.yaml
	toolchain attest.Material // Go
	base      attest.Material // of images that name none
	verdict   pipelines.Verdict
	made      []artifact.Artifact
	builder   attest.Builder
	slipway   string
	database  string // of vulnerabilities
}

// statements are all that is said about an app's image. The image is first among the subjects of its provenance; its platforms,
// programs and archives are there too, because they were made in the same way.
func (t testimony) statements(app project.App, root v1.Descriptor, platforms []v1.Descriptor, bill []byte) ([]attest.Statement, error) {
	image := attest.Subject{Name: app.Image.Repository, Digest: root.Digest.String()}
	makers := []func() (attest.Statement, error){
		func() (attest.Statement, error) {
			return attest.Provenance(t.build(app), t.subjects(app, image, platforms)...)
		},
		func() (attest.Statement, error) { return attest.SBOM(bill, image) },
	}
	if len(t.verdict.Tests.Suites) > 0 {
		makers = append(makers, func() (attest.Statement, error) { return attest.Tests(t.verdict.Tests, t.source(), image) })
	}
	if t.verdict.Coverage >= 0 && t.verdict.Profile != "" {
		makers = append(makers, func() (attest.Statement, error) {
			return attest.Coverage(t.verdict.Coverage, t.verdict.Tests, t.source(), image)
		})
	}
	if t.verdict.Vulns.Checked {
		makers = append(makers, func() (attest.Statement, error) { return attest.Vulnerabilities(t.scan(), image) })
	}
	var all []attest.Statement
	for _, state := range makers {
		s, err := state()
		if err != nil {
			return nil, fmt.Errorf("state what is known of %s: %w", app.Name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func (t testimony) source() attest.Source {
	return attest.Source{Repository: t.project.Source.URL, Commit: t.project.Version.Commit, Modified: t.project.Version.Dirty}
}

// build is how an app was made. It says nothing that differs from run to run, but where it ran.
func (t testimony) build(app project.App) attest.Build {
	targets := make([]string, len(app.Targets))
	for i, target := range app.Targets {
		targets[i] = target.String()
	}
	base := t.base
	if name := app.Image.Base; name != "" {
		base = attest.Material{Name: "base image", URI: "docker://" + name}
		if _, digest, pinned := strings.Cut(name, "@"); pinned {
			base.Digest = digest
		}
	}
	return attest.Build{
		Verb: string(Publish), App: app.Name, Targets: targets, Config: t.config, Source: t.source(), Toolchain: t.toolchain,
		Bases: []attest.Material{base}, Builder: t.builder, Slipway: t.slipway,
	}
}

func (t testimony) subjects(app project.App, image attest.Subject, platforms []v1.Descriptor) []attest.Subject {
	all := []attest.Subject{image}
	for _, p := range platforms {
		all = append(all, attest.Subject{Name: app.Image.Repository + " " + p.Platform.String(), Digest: p.Digest.String()})
	}
	for _, a := range t.made {
		if (a.Kind == artifact.Binary && a.Name == app.Name) || (a.Kind == artifact.Archive && strings.HasPrefix(a.Name, app.Name+"_")) {
			all = append(all, attest.Subject{Name: a.Path, Digest: a.Digest})
		}
	}
	return all
}

func (t testimony) scan() attest.Scan {
	v := t.verdict.Vulns
	return attest.Scan{Checked: v.Checked, Tool: v.Tool, Database: t.database, Published: v.Database, Findings: v.Findings, Builder: t.builder,
		Started: t.project.Version.Date, Finished: t.project.Version.Date} // the format wants times; the database's version says how new it is
}

// configDigest is the digest of the configuration that was read, "" when there is none.
func configDigest(o Options) (string, error) {
	data, err := os.ReadFile(cmp.Or(o.Config, filepath.Join(o.Source, "slipway.yaml")))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	return digestOf(data), nil
}

// materialOf is a root filesystem that this program made, as something that went into a build.
func materialOf(name, uri, file string) (attest.Material, error) {
	digest, _, err := artifact.Digest(file)
	if err != nil {
		return attest.Material{}, err
	}
	return attest.Material{Name: name, URI: uri, Digest: "sha256:" + digest}, nil
}

func toolchainMaterial(version, file string) (attest.Material, error) {
	return materialOf("go"+version+" linux/"+hostArch(), "pkg:golang/golang.org/toolchain@v0.0.1-go"+version+".linux-"+hostArch(), file)
}

func baseMaterial(file string) (attest.Material, error) {
	return materialOf(runtimebase.Name(), "", file)
}
