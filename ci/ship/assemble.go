package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/pipelines/runtimebase"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/release/linuxpkg"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// assembly is what is made of the binaries of a run.
type assembly struct {
	run       *run
	built     pipelines.Built
	archives  []pipelines.Archive
	digests   map[string]v1.Hash // by app
	packages  []linuxpkg.Package
	changelog string
	bills     []bill
}

// assemble builds the binaries and puts archives and images together from them, in the staging directory.
func (a *assembly) assemble(ctx context.Context) (err error) {
	if a.built, err = a.run.stages.Build(ctx, a.run.dist.output()); err != nil || a.built.Failed {
		return err
	}
	if len(a.built.Binaries) == 0 {
		return a.nothing()
	}
	group, groupCtx := errgroup.WithContext(ctx)
	if a.run.verb.packages() {
		group.Go(func() error { return a.pack(groupCtx) })
	}
	if a.run.verb.images() {
		group.Go(func() error { return a.images(groupCtx) })
	}
	if err := group.Wait(); err != nil || a.run.verb != Publish || a.run.failed() != ExitOK {
		return err
	}
	return errors.Join(a.writeBills(), a.writeChangelog(ctx))
}

// nothing ends a run in which no target could be built, as with a dependency that needs cgo. The steps have said why.
func (a *assembly) nothing() error {
	const text = "no program was built: none of the default targets can be"
	if a.run.verb == Ship {
		a.run.report.Warn(text)
		return nil
	}
	return &UsageError{text + "; name the app in slipway.yaml with targets and build that fit"}
}

func (a *assembly) pack(ctx context.Context) (err error) {
	if a.archives, err = a.run.stages.Package(ctx, a.built, a.run.dist.output()); err != nil {
		return err
	}
	return a.linuxPackages(ctx)
}

// images assembles the image of each app with linux targets, makes it canonical and writes it as an OCI layout.
func (a *assembly) images(ctx context.Context) error {
	a.digests = map[string]v1.Hash{}
	apps := imagedApps(a.run.project, a.built)
	if len(apps) == 0 {
		return nil
	}
	stage := a.run.report.Stage("image")
	for _, app := range apps {
		if err := a.image(ctx, stage, app); err != nil {
			return err
		}
	}
	stage.Done(plural(len(apps), "image"))
	return nil
}

func imagedApps(p project.Project, built pipelines.Built) []project.App {
	var apps []project.App
	for _, app := range p.Apps {
		for _, b := range built.Binaries {
			if b.App.Name == app.Name && b.Target.OS == "linux" && app.Image.Enabled {
				apps = append(apps, app)
				break
			}
		}
	}
	return apps
}

func (a *assembly) image(ctx context.Context, stage *report.StageRecorder, app project.App) error {
	options := imageOptions(a.run.project, app)
	inputs, err := imageInputs(app, a.built, a.run.from, options)
	if err != nil {
		return fmt.Errorf("name what the image of %s is made of: %w", app.Name, err)
	}
	if digest, ok := a.reuse(app, inputs); ok {
		a.digests[app.Name] = digest
		stage.Step(app.Name).Done(report.Result{Status: report.Cached, Summary: digest.String()})
		return nil
	}
	if inputs != "" {
		options.Annotations[inputsAnnotation] = inputs
	}
	raw := filepath.Join(a.run.dist.staging, ".image-"+app.Name+".tar")
	defer os.Remove(raw)
	step, err := a.run.stages.Image(ctx, stage, app, a.built, a.run.from, raw)
	if err != nil && (ctx.Err() != nil || a.run.session.Lost(err) != nil) {
		step.Cancel() // neither the project nor its Dockerfile is to blame
		return err
	}
	if err != nil {
		step.Fail(imageFailure(app, err))
		return nil
	}
	index, err := oci.ReadTar(raw)
	if err != nil {
		return err
	}
	canonical, err := oci.Canonical(index, options)
	if err != nil {
		return fmt.Errorf("make the image of %s canonical: %w", app.Name, err)
	}
	layout := filepath.Join(a.run.dist.staging, imagesDir, app.Name)
	if err := os.MkdirAll(filepath.Dir(layout), 0o755); err != nil {
		return fmt.Errorf("write the image of %s: %w", app.Name, err)
	}
	digest, err := oci.WriteLayout(layout, canonical)
	if err != nil {
		return err
	}
	a.digests[app.Name] = digest
	step.Done(report.Result{Summary: digest.String()})
	return nil
}

// imageOptions is what the image says about itself.
func imageOptions(p project.Project, app project.App) oci.Options {
	options := oci.Options{
		Created: p.Version.Date, Labels: labels(p, app), Annotations: annotations(p, app), User: fmt.Sprintf("%d:%d", app.Image.User, app.Image.User),
		Attributes: map[string]oci.Attributes{},
	}
	if app.Image.Base == "" {
		for _, dir := range runtimebase.Owned() {
			options.Attributes[dir.Path] = oci.Attributes{UID: dir.UID, GID: dir.GID, Mode: dir.Mode}
		}
	}
	if app.Service != nil {
		options.ExposedPorts = []string{fmt.Sprintf("%d/tcp", app.Service.Port)}
	}
	return options
}

// annotations are the image's labels as the OCI image specification names them (annotations.md).
func annotations(p project.Project, app project.App) map[string]string {
	values := map[string]string{
		"org.opencontainers.image.title":    app.Name,
		"org.opencontainers.image.version":  p.Version.Version,
		"org.opencontainers.image.revision": p.Version.Commit,
		"org.opencontainers.image.created":  p.Version.Date.UTC().Format(time.RFC3339),
		"org.opencontainers.image.source":   p.Source.URL,
	}
	for name, value := range values {
		if value == "" {
			delete(values, name)
		}
	}
	return values
}

func labels(p project.Project, app project.App) map[string]string {
	values := annotations(p, app)
	values["org.opencontainers.image.base.name"] = cmp.Or(app.Image.Base, runtimebase.Name())
	for name, value := range app.Image.Labels {
		values[name] = value
	}
	return values
}

// deliver writes the lists and moves everything into the output directory.
func (a *assembly) deliver() error {
	artifacts, err := a.list()
	if err != nil {
		return err
	}
	if err := a.writeLists(artifacts); err != nil {
		return err
	}
	if err := a.run.dist.deliver(); err != nil {
		return err
	}
	a.run.images, a.run.made, a.run.notes, a.run.bills = a.digests, artifacts, a.changelog, map[string][]byte{}
	for _, b := range a.bills {
		a.run.bills[b.path] = b.data
	}
	for _, each := range artifacts {
		a.run.report.Artifact(report.Artifact{Name: each.Name, Path: each.Path, Kind: string(each.Kind), Target: each.Target, Digest: each.Digest, Size: each.Size})
	}
	return nil
}

// list is everything that was made, with digests, in the order of apps and targets.
func (a *assembly) list() ([]artifact.Artifact, error) {
	var all []artifact.Artifact
	for _, b := range a.built.Binaries {
		all = append(all, artifact.Artifact{
			Name: b.App.Name, Path: b.Path, Kind: artifact.Binary, Target: b.Target.String(), Digest: "sha256:" + b.Info.SHA256, Size: b.Info.Size,
		})
	}
	for _, archive := range a.archives {
		digest, size, err := artifact.Digest(filepath.Join(a.run.dist.staging, archive.Path))
		if err != nil {
			return nil, err
		}
		all = append(all, artifact.Artifact{Name: archive.Path, Path: archive.Path, Kind: artifact.Archive, Target: archive.Binary.Target.String(), Digest: "sha256:" + digest, Size: size})
	}
	files, err := a.packageArtifacts()
	if err != nil {
		return nil, err
	}
	all = append(all, files...)
	all = append(all, a.changelogArtifact()...)
	for _, b := range a.bills {
		all = append(all, b.artifact())
	}
	for _, app := range a.run.project.Apps {
		digest, ok := a.digests[app.Name]
		if !ok {
			continue
		}
		size, err := dirSize(filepath.Join(a.run.dist.staging, imagesDir, app.Name))
		if err != nil {
			return nil, err
		}
		all = append(all, artifact.Artifact{Name: app.Name, Path: imagesDir + "/" + app.Name, Kind: artifact.Image, Digest: digest.String(), Size: size})
	}
	return all, nil
}

// writeLists writes checksums.txt, artifacts.json and metadata.json.
func (a *assembly) writeLists(artifacts []artifact.Artifact) error {
	staging := a.run.dist.staging
	var sums []artifact.Sum
	for _, each := range artifacts {
		if each.Kind != artifact.Image {
			sums = append(sums, artifact.Sum{Name: each.Path, SHA256: strings.TrimPrefix(each.Digest, "sha256:")})
		}
	}
	checksums := filepath.Join(staging, "checksums.txt")
	if err := writeFile(checksums, func(f *os.File) error { return artifact.WriteChecksums(f, sums) }); err != nil {
		return err
	}
	digest, size, err := artifact.Digest(checksums)
	if err != nil {
		return err
	}
	all := append(append([]artifact.Artifact{}, artifacts...), artifact.Artifact{Name: "checksums.txt", Path: "checksums.txt", Kind: artifact.Checksums, Digest: "sha256:" + digest, Size: size})
	if err := writeFile(filepath.Join(staging, "artifacts.json"), func(f *os.File) error { return artifact.WriteArtifacts(f, all) }); err != nil {
		return err
	}
	p := a.run.project
	return writeFile(filepath.Join(staging, "metadata.json"), func(f *os.File) error {
		return artifact.WriteMetadata(f, artifact.Metadata{
			Project: p.Name, Version: p.Version.Version, Tag: p.Version.Tag, Commit: p.Version.Commit, Date: p.Version.Date,
			GoVersion: p.Go.Version, SlipwayVersion: a.run.options.Slipway,
		})
	})
}

// smoke runs each image, read back from the output directory, for this machine's platform.
func (a *assembly) smoke(ctx context.Context) error {
	apps := imagedApps(a.run.project, a.built)
	if len(apps) == 0 {
		return nil
	}
	stage := a.run.report.Stage("smoke")
	for _, app := range apps {
		if !a.hasPlatform(app) {
			stage.Step(app.Name).Done(report.Result{Status: report.NotChecked, Summary: "there is no image for linux/" + hostArch()})
			continue
		}
		if err := a.smokeOne(ctx, stage, app); err != nil {
			return err
		}
	}
	stage.Done("")
	return nil
}

func (a *assembly) hasPlatform(app project.App) bool {
	for _, b := range a.built.Binaries {
		if b.App.Name == app.Name && b.Target.OS == "linux" && b.Target.Arch == hostArch() {
			return true
		}
	}
	return false
}

func (a *assembly) smokeOne(ctx context.Context, stage *report.StageRecorder, app project.App) error {
	file := filepath.Join(a.run.dist.staging, ".smoke-"+app.Name+".tar")
	defer os.Remove(file)
	if err := WriteImage(file, a.run.dist.dir, app.Name, target.Target{OS: "linux", Arch: hostArch()}); err != nil {
		return fmt.Errorf("read the image of %s back: %w", app.Name, err)
	}
	return a.run.stages.Smoke(ctx, stage, app, file)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
