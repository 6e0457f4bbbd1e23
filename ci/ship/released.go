package ship

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout/host"
)

// published rolls out an image that a registry has. Nothing is built.
func (r *roller) published(ctx context.Context, verb Verb, started time.Time, observer report.Observer, then func(context.Context, *roller) int) (report.Run, error) {
	reference, err := r.reference()
	if err != nil {
		return refusal(ctx, verb, started, &UsageError{err.Error()})
	}
	repository, err := registry.Repository(reference)
	if err != nil {
		return refusal(ctx, verb, started, &UsageError{err.Error()})
	}
	trust, err := r.trusted(ctx)
	if err != nil {
		return refusal(ctx, verb, started, &UsageError{err.Error()})
	}
	client, secrets, err := reader(ctx, r.Options, r.project, repository)
	if err != nil {
		return refusal(ctx, verb, started, &UsageError{err.Error()})
	}
	defer client.Close()
	secrets = append(secrets, r.content.hidden()...)
	opened := opening(verb, r.Options, r.project, started)
	opened.Version, opened.VersionWhy, opened.Commit, opened.Dirty = r.Release, "--release", "", false
	r.report = report.NewRecorder(opened, observer, time.Now)
	hide(r.report, r.Options, secrets)
	dir, err := os.MkdirTemp("", "slipway-release-")
	if err != nil {
		return refusal(ctx, verb, started, fmt.Errorf("make a directory for the release: %w", err))
	}
	defer os.RemoveAll(dir)
	stage := r.report.Stage("release")
	fetch := fetched{client: client, reference: reference, repository: repository, trust: trust, stage: stage}
	if err := fetch.into(ctx, dir, &r.content, r.environment.App); err != nil {
		return r.report.Finish(r.fail(ctx, stage, err)), nil
	}
	stage.Done(r.content.version)
	return r.report.Finish(then(ctx, r)), nil
}

// reference is the image of the release: a version is a tag of the app's repository.
func (r *roller) reference() (string, error) {
	repository := r.environment.App.Image.Repository
	switch {
	case strings.Contains(r.Release, "/"):
		return r.Release, nil
	case repository == "":
		return "", fmt.Errorf("--release %s: slipway.yaml does not say where %s is published: add image: {repository: …} to the app, or name the whole image", r.Release, r.environment.App.Name)
	case strings.HasPrefix(r.Release, "sha256:"):
		return repository + "@" + r.Release, nil
	}
	return repository + ":" + strings.TrimPrefix(r.Release, "v"), nil
}

// trusted is whose signature counts, nil where nothing is signed and nobody is named. A project that signs gets nothing unsigned.
func (r *roller) trusted(ctx context.Context) (attest.Trust, error) {
	p := r.project.Publish
	named := len(r.Trust.Key) > 0 || r.Trust.Identity != "" || r.Trust.Issuer != ""
	if !named && p.Key.IsZero() && p.Keyless == nil {
		return nil, nil
	}
	return VerifyOptions{Options: r.Options, Trust: r.Trust}.trust(ctx, r.project)
}

// fetched is a release on its way from a registry.
type fetched struct {
	client                *registry.Client
	reference, repository string
	trust                 attest.Trust
	stage                 *report.StageRecorder
}

// into fetches the release, which checks all of its digests, proves who signed it, and takes the programs out of it.
func (f fetched) into(ctx context.Context, dir string, c *content, app project.App) error {
	step := f.stage.Step("fetch")
	layout := filepath.Join(dir, "image")
	root, err := f.client.Fetch(ctx, f.reference, layout)
	if err != nil {
		step.Cancel()
		return fmt.Errorf("fetch %s: %w", f.reference, err)
	}
	step.Done(report.Result{Summary: root.Digest.String()})
	if err := f.prove(ctx, root); err != nil {
		return err
	}
	index, err := oci.ReadLayout(layout)
	if err != nil {
		return err
	}
	step = f.stage.Step("programs")
	if err := unpack(index, dir, c, app.Binary); err != nil {
		step.Cancel()
		return fmt.Errorf("%s: %w", f.reference, err)
	}
	step.Done(report.Result{Summary: strings.Join(slices.Sorted(maps.Keys(c.programs)), ", ")})
	return nil
}

// prove wants the signature of the trusted one, on this digest.
func (f fetched) prove(ctx context.Context, root v1.Descriptor) error {
	step := f.stage.Step("signature")
	if f.trust == nil {
		step.Done(report.Result{Status: report.NotChecked, Summary: "slipway.yaml signs nothing"})
		return nil
	}
	bundles, err := bundlesOf(ctx, f.client, f.repository, root.Digest, "")
	if err != nil {
		step.Cancel()
		return err
	}
	found, err := attest.Find(bundles, f.trust, attest.Want{Digest: root.Digest.String(), Predicate: attest.PredicateSignature})
	if err != nil {
		step.Cancel()
		return fmt.Errorf("%s is not signed by %s: %w", f.reference, f.trust, err)
	}
	step.Done(report.Result{Summary: "by " + found[0].By.String()})
	return nil
}

// unpack takes the program out of each linux image of an index.
func unpack(index v1.ImageIndex, dir string, c *content, binary string) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	c.programs, c.binary = map[string]host.Program{}, binary
	for _, m := range manifest.Manifests {
		if m.Platform == nil || m.Platform.OS != "linux" || m.Platform.Architecture == "" {
			continue
		}
		if _, taken := c.programs[m.Platform.Architecture]; taken && m.Platform.Variant != "" {
			continue
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			return err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		if len(config.Config.Entrypoint) == 0 {
			return errors.New("the image has no entrypoint, so it is not known which file is the program")
		}
		program, err := extract(image, config.Config.Entrypoint[0], filepath.Join(dir, "bin", m.Platform.Architecture, binary))
		if err != nil {
			return err
		}
		c.programs[m.Platform.Architecture] = program
		c.version, c.commit = config.Config.Labels["org.opencontainers.image.version"], config.Config.Labels["org.opencontainers.image.revision"]
	}
	if len(c.programs) == 0 {
		return errors.New("it has no image for linux")
	}
	return nil
}

// extract writes a file of an image: that of the last layer that has it.
func extract(image v1.Image, name, to string) (host.Program, error) {
	layers, err := image.Layers()
	if err != nil {
		return host.Program{}, err
	}
	for _, layer := range slices.Backward(layers) {
		program, err := extractFrom(layer, path.Clean("/"+name), to)
		if !errors.Is(err, errNotThere) {
			return program, err
		}
	}
	return host.Program{}, fmt.Errorf("its program %s is in none of its layers", name)
}

var errNotThere = errors.New("the layer does not have it")

func extractFrom(layer v1.Layer, name, to string) (host.Program, error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return host.Program{}, err
	}
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return host.Program{}, errNotThere
		case err != nil:
			return host.Program{}, fmt.Errorf("read layer: %w", err)
		case path.Clean("/"+header.Name) == name && header.Typeflag == tar.TypeReg:
			return writeProgram(archive, to)
		}
	}
}

func writeProgram(from io.Reader, to string) (host.Program, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return host.Program{}, fmt.Errorf("write program: %w", err)
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return host.Program{}, fmt.Errorf("write program: %w", err)
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, sum), from)
	if err = errors.Join(err, file.Close()); err != nil {
		return host.Program{}, fmt.Errorf("write program: %w", err)
	}
	return host.Program{Path: to, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size}, nil
}
