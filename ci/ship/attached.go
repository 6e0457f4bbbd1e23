package ship

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/attest/sbom"
	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// attachments are what a registry keeps about an image: bills of materials, statements, the signature. The signature is the
// last one: where it is, all of the others are.
func (r *run) attachments(ctx context.Context, client *registry.Client, witness testimony, app project.App, index v1.ImageIndex) ([]registry.Artifact, error) {
	root, platforms, err := describe(index)
	if err != nil {
		return nil, err
	}
	all, err := r.billsOf(app, index, root, platforms)
	if err != nil {
		return nil, err
	}
	statements, err := witness.statements(app, root, platforms, r.bills[imageBill(app)])
	if err != nil {
		return nil, err
	}
	if r.outbound.signing.by == nil {
		return r.unsigned(all, root, statements)
	}
	signature, err := attest.Signature(attest.Subject{Digest: root.Digest.String()})
	if err != nil {
		return nil, err
	}
	trust, err := r.outbound.signing.trust(ctx)
	if err != nil {
		return nil, err
	}
	there := known{client: client, repository: app.Image.Repository, root: root.Digest, trust: trust, steady: r.outbound.signing.steady}
	for _, s := range append(statements, signature) {
		signed, err := r.signed(ctx, there, root, s)
		if err != nil {
			return nil, err
		}
		all = append(all, signed...)
	}
	return all, nil
}

// describe is an index as something that others are about, with its images.
func describe(index v1.ImageIndex) (root v1.Descriptor, platforms []v1.Descriptor, err error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return root, nil, err
	}
	digest, err := index.Digest()
	size, sizeErr := index.Size()
	kind, kindErr := index.MediaType()
	root = v1.Descriptor{MediaType: kind, Size: size, Digest: digest}
	return root, manifest.Manifests, errors.Join(err, sizeErr, kindErr)
}

// billsOf attaches a bill of materials to the image of each platform, and one of them all to the index.
func (r *run) billsOf(app project.App, index v1.ImageIndex, root v1.Descriptor, platforms []v1.Descriptor) ([]registry.Artifact, error) {
	all := []registry.Artifact{attached(root, sbom.MediaType, r.bills[imageBill(app)], nil)}
	for _, platform := range platforms {
		image, err := index.Image(platform.Digest)
		if err != nil {
			return nil, err
		}
		document, err := sbom.Image(billSubject(r.project, app), image)
		if err != nil {
			return nil, fmt.Errorf("say what is in the image for %s: %w", platform.Platform, err)
		}
		all = append(all, attached(platform, sbom.MediaType, document, nil))
	}
	return all, nil
}

// attached is something about a subject.
func attached(subject v1.Descriptor, kind string, data []byte, annotations map[string]string) registry.Artifact {
	subject.Platform, subject.Annotations = nil, nil
	return registry.Artifact{Type: kind, Subject: subject, Parts: []registry.Part{{MediaType: kind, Data: data}}, Annotations: annotations}
}

// unsigned attaches statements that nobody vouches for.
func (r *run) unsigned(all []registry.Artifact, root v1.Descriptor, statements []attest.Statement) ([]registry.Artifact, error) {
	for _, s := range statements {
		if s.Type == attest.PredicateSBOM { // it is there as a document already
			continue
		}
		refer, err := attest.ReferUnsigned(s, r.project.Version.Date)
		if err != nil {
			return nil, err
		}
		all = append(all, attached(root, refer.Type, refer.Data, refer.Annotations))
	}
	return all, nil
}

// signed attaches a statement with its signature, unless the registry has one that says the same.
func (r *run) signed(ctx context.Context, there known, root v1.Descriptor, s attest.Statement) ([]registry.Artifact, error) {
	same, err := there.has(ctx, s)
	if same || err != nil {
		return nil, err
	}
	bundle, err := attest.Sign(ctx, r.outbound.signing.by, s)
	if err != nil {
		return nil, err
	}
	refer, err := attest.Refer(bundle, r.project.Version.Date)
	if err != nil {
		return nil, err
	}
	return []registry.Artifact{attached(root, refer.Type, refer.Data, refer.Annotations)}, nil
}

// testify puts together what this run can say.
func (r *run) testify() (testimony, error) {
	config, err := configDigest(r.options)
	if err != nil {
		return testimony{}, err
	}
	toolchain, err := toolchainMaterial(r.project.Go.Version, r.files.Toolchain)
	if err != nil {
		return testimony{}, err
	}
	base, err := baseMaterial(r.from.Base)
	if err != nil {
		return testimony{}, err
	}
	return testimony{
		project: r.project, config: config, toolchain: toolchain, base: base, verdict: r.verdict, made: r.made,
		builder: attest.Where(r.options.Getenv), slipway: r.options.Slipway, database: publicAddress(r.files.VulnDB()),
	}, nil
}

// publicAddress is the address of a database as others know it, "" for one on this machine: neither the directory nor the port is
// any of their business, and its version says which one it is.
func publicAddress(db pipelines.VulnDB) string {
	if db.Dir != "" || db.Port != 0 {
		return ""
	}
	return db.URL
}

// known is what a registry has about an image already.
type known struct {
	client     *registry.Client
	repository string
	root       v1.Hash
	trust      attest.Trust
	steady     bool // what was signed before has the same bytes now
}

// predicateAnnotation is where cosign looks for what a bundle says.
const predicateAnnotation = "dev.sigstore.bundle.predicateType"

// has says whether a statement that says the same is there, signed by us. Only what can differ from run to run is looked for: all
// else has the same bytes again, and is found by its digest.
func (k known) has(ctx context.Context, s attest.Statement) (bool, error) {
	if k.steady && !slices.Contains([]string{attest.PredicateProvenance, attest.PredicateVulns}, s.Type) {
		return false, nil
	}
	bundles, err := bundlesOf(ctx, k.client, k.repository, k.root, s.Type)
	if err != nil {
		return false, err
	}
	found, err := attest.Find(bundles, k.trust, attest.Want{Digest: k.root.String(), Predicate: s.Type})
	if err != nil { // none, or none of ours: ours is added
		return false, nil
	}
	return slices.ContainsFunc(found, func(v attest.Verified) bool { return attest.Same(v.Statement, s) }), nil
}

// bundlesOf are the bundles that a registry lists with an image, of one kind, or all when it is "".
func bundlesOf(ctx context.Context, client *registry.Client, repository string, root v1.Hash, predicate string) ([][]byte, error) {
	listed, err := client.Referrers(ctx, repository, root, "")
	if err != nil {
		return nil, err
	}
	var bundles [][]byte
	for _, entry := range listed {
		if said := entry.Annotations[predicateAnnotation]; predicate != "" && said != "" && said != predicate {
			continue
		}
		if entry.ArtifactType != attest.MediaType && entry.ArtifactType != registry.EmptyType { // which some registries say of all
			continue
		}
		data, err := bundleOf(ctx, client, repository, entry.Digest)
		if err != nil {
			return nil, err
		}
		if data != nil {
			bundles = append(bundles, data)
		}
	}
	return bundles, nil
}

// bundleOf is the bundle that an artifact holds, nil when it holds something else.
func bundleOf(ctx context.Context, client *registry.Client, repository string, digest v1.Hash) ([]byte, error) {
	raw, _, err := client.Manifest(ctx, repository+"@"+digest.String())
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil || len(manifest.Layers) == 0 || manifest.Layers[0].MediaType != attest.MediaType {
		return nil, nil
	}
	return client.Blob(ctx, repository, manifest.Layers[0])
}

// attachedTo lists what was attached, for the report.
func attachedTo(artifacts []registry.Artifact) ([]report.Attached, error) {
	var all []report.Attached
	for _, a := range artifacts {
		described, err := a.Descriptor()
		if err != nil {
			return nil, err
		}
		all = append(all, report.Attached{Type: cmp.Or(a.Annotations[predicateAnnotation], a.Type), Digest: described.Digest.String()})
	}
	return all, nil
}
