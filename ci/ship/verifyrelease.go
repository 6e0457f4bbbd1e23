package ship

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/attest"
	"github.com/slipway-ci/slipway/ci/attest/keyless"
	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// VerifyRelease as a verb.
const verifyRelease Verb = "verify-release"

// Trust says whose signature counts: a key's, or that of somebody with a certificate. Left out, it is the key of slipway.yaml.
type Trust struct {
	Key      []byte // public key, as PEM
	Issuer   string // who says who signed, with
	Identity string // who signed: both exactly, there are no patterns
	Root     []byte // trusted_root.json of the authority; nil takes that of slipway.yaml, or asks for that of the public Sigstore
}

// VerifyOptions says which release is verified, and whom to trust. Of the Options, Source and Config name the project (which
// may be missing); the rest is for a rebuild.
type VerifyOptions struct {
	Options
	Reference string // registry.example.org/team/app:1.2.3, or @sha256:…
	Trust     Trust
	Rebuild   bool // build the commit again, and compare
}

// VerifyRelease proves a published image, or says why it cannot: that all of it has the digests it claims, that the trusted one
// signed it, that there is a signed provenance and a signed bill of materials. What is missing fails. With Rebuild the commit
// is built again from a fresh clone, on an engine without a cache, and compared bit for bit.
func VerifyRelease(ctx context.Context, o VerifyOptions, observer report.Observer) (report.Run, error) {
	started := time.Now()
	var err error
	if o.Options, err = o.settled(); err != nil {
		return refusal(ctx, verifyRelease, started, err)
	}
	repository, err := registry.Repository(o.Reference)
	if err != nil {
		return refusal(ctx, verifyRelease, started, &UsageError{err.Error()})
	}
	p, err := neighbour(ctx, o.Options)
	if err != nil {
		return refusal(ctx, verifyRelease, started, err)
	}
	trust, err := o.trust(ctx, p)
	if err != nil {
		return refusal(ctx, verifyRelease, started, &UsageError{err.Error()})
	}
	client, secrets, err := reader(ctx, o.Options, p, repository)
	if err != nil {
		return refusal(ctx, verifyRelease, started, &UsageError{err.Error()})
	}
	defer client.Close()
	opening := report.Run{Slipway: o.Slipway, Project: o.Reference, Verb: string(verifyRelease), Started: started}
	v := &releaseVerifier{VerifyOptions: o, project: p, trusted: trust, client: client, repository: repository, report: report.NewRecorder(opening, observer, time.Now)}
	hide(v.report, o.Options, secrets)
	return v.carryOut(ctx)
}

// neighbour is the project beside which a release is verified. None is needed: without one, nothing is configured.
func neighbour(ctx context.Context, o Options) (project.Project, error) {
	p, err := project.Load(ctx, project.Options{Source: o.Source, Config: o.Config, PinnedGo: PinnedGo, Getenv: o.Getenv})
	var config *project.ConfigError
	if errors.As(err, &config) {
		return p, err
	}
	if err != nil && o.Config != "" {
		return p, err
	}
	return p, nil
}

// trust is who must have signed.
func (o VerifyOptions) trust(ctx context.Context, p project.Project) (attest.Trust, error) {
	t := o.Trust
	switch {
	case len(t.Key) > 0 && (t.Issuer != "" || t.Identity != ""):
		return nil, errors.New("a key and an identity are named: name one of both")
	case len(t.Key) > 0:
		return attest.ReadPublicKey(t.Key)
	case (t.Issuer == "") != (t.Identity == ""):
		return nil, errors.New("--identity and --issuer belong together: who signed, and who says so")
	case t.Identity != "":
		return o.identity(ctx, p.Publish.Keyless)
	case p.Publish.Keyless != nil:
		return nil, errors.New("slipway.yaml signs without a key, so it does not say whom to trust: name --issuer and --identity, such as\n\n" +
			"  --issuer https://token.actions.githubusercontent.com \\\n  --identity https://github.com/OWNER/NAME/.github/workflows/release.yml@refs/tags/v1.2.3")
	case p.Publish.Key.IsZero():
		return nil, errors.New("it is not said whom to trust: name a public key with --key, or --issuer and --identity")
	}
	var own outbound
	if err := own.readSigning(ctx, o.Options, p); err != nil {
		return nil, err
	}
	return own.signing.trust(ctx)
}

// identity trusts somebody by name. The root is the one that is given, or that of slipway.yaml, or the public one.
func (o VerifyOptions) identity(ctx context.Context, k *project.Keyless) (attest.Trust, error) {
	root, err := o.root(ctx, k)
	if err != nil {
		return nil, err
	}
	return keyless.NewTrust(o.Trust.Issuer, o.Trust.Identity, root)
}

func (o VerifyOptions) root(ctx context.Context, k *project.Keyless) (keyless.Root, error) {
	switch {
	case o.Trust.Root != nil:
		return keyless.ReadRoot(o.Trust.Root)
	case k != nil:
		return keylessRoot(ctx, o.Options, k.Root)
	}
	return keyless.PublicRoot(ctx, o.Cache)
}

// reader is a client that reads the release.
func reader(ctx context.Context, o Options, p project.Project, repository string) (*registry.Client, []string, error) {
	out := outbound{logins: newLogins(o, p.Publish)}
	host, err := registry.HostOf(repository)
	if err != nil {
		return nil, nil, err
	}
	if err := out.logIn(ctx, finder(o), host); err != nil {
		return nil, nil, err
	}
	client, err := registry.New(registry.Options{Credentials: out.logins, Hosts: hosts(p.Publish)})
	return client, out.secrets, err
}

// releaseVerifier verifies one release.
type releaseVerifier struct {
	VerifyOptions
	project project.Project
	trusted attest.Trust
	client  *registry.Client
	report  *report.Recorder

	repository string
	root       v1.Descriptor
	index      v1.ImageIndex
	bundles    [][]byte
}

func (v *releaseVerifier) carryOut(ctx context.Context) (report.Run, error) {
	dir, err := os.MkdirTemp("", "slipway-release-")
	if err != nil {
		return report.Run{Verb: string(verifyRelease), ExitCode: ExitFailed}, fmt.Errorf("make a directory for the release: %w", err)
	}
	defer os.RemoveAll(dir)
	code := ExitOK
	if err = v.verify(ctx, dir); err != nil {
		code = ExitCode(ctx, report.Run{}, err)
	}
	if len(v.report.Snapshot().Failures) > 0 {
		code, err = max(code, ExitFailed), nil
	}
	return v.report.Finish(code), err
}

// verify does the checks. One that fails ends it: what comes after would be about something that is not trusted.
func (v *releaseVerifier) verify(ctx context.Context, dir string) error {
	stage := v.report.Stage(string(verifyRelease))
	defer stage.Done("")
	if ok, err := v.content(ctx, stage, dir); !ok {
		return err
	}
	if _, ok := v.statement(stage, "signature", attest.PredicateSignature); !ok {
		return nil
	}
	provenance, ok := v.statement(stage, "provenance", attest.PredicateProvenance)
	if !ok {
		return nil
	}
	if _, ok := v.statement(stage, "bill of materials", attest.PredicateSBOM); !ok {
		return nil
	}
	for _, predicate := range []string{attest.PredicateTests, attest.PredicateCoverage, attest.PredicateVulns} {
		v.mention(stage, predicate)
	}
	if !v.Rebuild {
		return nil
	}
	return v.rebuild(ctx, stage, provenance)
}

// content fetches the release, which checks every digest, and what is said about it.
func (v *releaseVerifier) content(ctx context.Context, stage *report.StageRecorder, dir string) (ok bool, err error) {
	step := stage.Step("digest")
	v.root, err = v.client.Fetch(ctx, v.Reference, dir)
	if err == nil {
		v.index, err = oci.ReadLayout(dir)
	}
	if err == nil {
		v.bundles, err = bundlesOf(ctx, v.client, v.repository, v.root.Digest, "")
	}
	if err != nil && ctx.Err() != nil {
		step.Cancel()
		return false, context.Cause(ctx)
	}
	if err != nil {
		step.Fail(report.Failure{Title: "the release cannot be read as what it claims to be", Tail: strings.Split(err.Error(), "\n")})
		return false, nil
	}
	step.Done(report.Result{Summary: v.root.Digest.String() + ", all of its content"})
	return true, nil
}

// statement wants a signed statement of one kind.
func (v *releaseVerifier) statement(stage *report.StageRecorder, name, predicate string) (attest.Verified, bool) {
	step := stage.Step(name)
	found, err := attest.Find(v.bundles, v.trusted, attest.Want{Digest: v.root.Digest.String(), Predicate: predicate})
	if err != nil {
		step.Fail(report.Failure{
			Title: "the " + name + " does not hold", Cause: err.Error(),
			Next: "do not use this release before it is known why; trusted is " + v.trusted.String(),
		})
		return attest.Verified{}, false
	}
	step.Done(report.Result{Summary: strings.TrimSpace("signed by " + found[0].By.String() + about(found[0].Statement))})
	return found[0], true
}

// mention says whether there is a statement that a release can be without.
func (v *releaseVerifier) mention(stage *report.StageRecorder, predicate string) {
	step := stage.Step(attest.Title(predicate))
	if _, err := attest.Find(v.bundles, v.trusted, attest.Want{Digest: v.root.Digest.String(), Predicate: predicate}); err != nil {
		step.Done(report.Result{Status: report.NotChecked, Summary: err.Error()})
		return
	}
	step.Done(report.Result{Summary: "signed by the same"})
}

// origin is the part of a provenance that is read here.
type origin struct {
	BuildDefinition struct {
		ExternalParameters   struct{ App string }
		ResolvedDependencies []struct {
			URI         string
			Digest      map[string]string
			Annotations map[string]any
		}
	}
	RunDetails struct {
		Builder struct{ ID string }
	}
}

// commit is what was built: its address, and whether it was all of it.
func (o origin) commit() (uri, commit string, modified bool) {
	for _, d := range o.BuildDefinition.ResolvedDependencies {
		if found := d.Digest["gitCommit"]; found != "" {
			modified, _ := d.Annotations["modified"].(bool)
			return strings.TrimPrefix(d.URI, "git+"), found, modified
		}
	}
	return "", "", false
}

func readOrigin(s attest.Statement) (origin, error) {
	var o origin
	if err := json.Unmarshal(s.Predicate, &o); err != nil {
		return o, fmt.Errorf("read the provenance: %w", err)
	}
	return o, nil
}

// about says what a provenance says, in a few words.
func about(s attest.Statement) string {
	if s.Type != attest.PredicateProvenance {
		return ""
	}
	o, err := readOrigin(s)
	if err != nil {
		return ""
	}
	_, commit, modified := o.commit()
	text := "; built by " + o.RunDetails.Builder.ID
	if commit != "" {
		text += " from commit " + commit
	}
	if modified {
		text += ", with changes that are in no commit"
	}
	return text
}
