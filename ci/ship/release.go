package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/release/changelog"
	"github.com/slipway-ci/slipway/ci/release/forge"
	"github.com/slipway-ci/slipway/ci/release/ledger"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/secret"
)

const (
	changelogFile = "CHANGELOG.md"
	ledgerFile    = "ledger.jsonl"
)

// writeChangelog writes what has changed since the version before.
func (a *assembly) writeChangelog(ctx context.Context) error {
	p := a.run.project
	if p.Version.Commit == "" {
		return nil
	}
	log, err := changelog.Read(ctx, changelog.Options{
		Dir: p.Root, Version: p.Version.Version, Commit: p.Version.Commit, Prefix: tagPrefix(p.Version.Tag), Getenv: a.run.options.Getenv,
	})
	if err != nil {
		return err
	}
	for _, note := range log.Notes {
		a.run.report.Note("changelog: " + note)
	}
	a.changelog = log.Markdown()
	return writeFile(filepath.Join(a.run.dist.staging, changelogFile), func(f *os.File) error {
		_, err := io.WriteString(f, a.changelog)
		return err
	})
}

// tagPrefix is what is before the version in a module's tags: sub/ for sub/v1.2.3.
func tagPrefix(tag string) string {
	if dir := path.Dir(tag); strings.Contains(tag, "/") {
		return dir + "/"
	}
	return ""
}

// changelogArtifact is the changelog as an entry of the lists.
func (a *assembly) changelogArtifact() []artifact.Artifact {
	if a.changelog == "" {
		return nil
	}
	return []artifact.Artifact{{Name: changelogFile, Path: changelogFile, Kind: artifact.Changelog, Digest: digestOf([]byte(a.changelog)), Size: int64(len(a.changelog))}}
}

// releasable says whether a version is one that people release: a tag, and nothing after it. why says what it is instead.
func releasable(v project.Version) (why string) {
	switch {
	case v.Dirty:
		return "the sources differ from their commit"
	case v.Tag == "" || strings.TrimPrefix(path.Base(v.Tag), "v") != v.Version:
		return v.Version + " is no tagged version: git tag v1.2.3, and publish that"
	}
	return ""
}

// readHub finds out where a release is made, and with which token.
func (o *outbound) readHub(ctx context.Context, options Options, p project.Project) error {
	g := p.Publish.GitHub
	if g == nil || releasable(p.Version) != "" {
		return nil
	}
	token, err := g.Token.Read(ctx, secret.Source{Getenv: options.Getenv, Environ: options.Environ, Dir: options.Source})
	if err == nil {
		err = secret.Check(token)
	}
	if err != nil {
		return fmt.Errorf("publish.github.token: %w", err)
	}
	o.secrets = append(o.secrets, token)
	o.hub, err = forge.NewGitHub(forge.GitHubOptions{Repository: g.Repository, API: cmp.Or(g.API, options.Getenv("GITHUB_API_URL")), Token: token})
	if err != nil {
		return fmt.Errorf("publish.github: %w", err)
	}
	return nil
}

// release puts archives, packages, bills of materials and checksums on the forge. It comes after the images: who reads of a
// release can pull it.
func (r *run) release(ctx context.Context, book *ledger.Ledger) error {
	g := r.project.Publish.GitHub
	if g == nil {
		return nil
	}
	stage := r.report.Stage("release")
	step := stage.Step(g.Repository)
	if why := releasable(r.project.Version); why != "" {
		step.Done(report.Result{Status: report.Skipped, Summary: why})
		stage.Done("")
		return nil
	}
	release, err := r.forgeRelease()
	if err != nil {
		step.Cancel()
		return err
	}
	var unwritten error
	result, err := forge.Upload(ctx, r.outbound.hub, release, forge.Options{
		Observe: func(e forge.Event) { r.tellUpload(step, e) },
		OnFile: func(f forge.File) {
			unwritten = errors.Join(unwritten, record(book, ledger.Asset, g.Repository+"/"+release.Tag+"/"+f.Name, f.Digest))
		},
	})
	switch {
	case err != nil && ctx.Err() != nil:
		step.Cancel()
		return context.Cause(ctx)
	case err != nil:
		step.Fail(report.Failure{Title: "the release on GitHub is not complete", Tail: strings.Split(err.Error(), "\n"), Next: "run slipway publish again: what is there is not sent again"})
		return nil
	}
	r.report.Release(report.Release{Tag: release.Tag, URL: result.URL, Files: names(release.Files), Sent: result.Sent})
	step.Done(uploaded(result))
	stage.Done("")
	return errors.Join(unwritten, record(book, ledger.Release, g.Repository+"/"+release.Tag, digestOf([]byte(release.Commit))))
}

func (r *run) forgeRelease() (forge.Release, error) {
	v := r.project.Version
	release := forge.Release{Tag: v.Tag, Commit: v.Commit, Name: v.Version, Notes: r.notes, Prerelease: strings.Contains(v.Version, "-")}
	release.Latest = !release.Prerelease
	for _, each := range r.made {
		if each.Kind != artifact.Archive && each.Kind != artifact.Package && each.Kind != artifact.SBOM {
			continue
		}
		release.Files = append(release.Files, forge.File{
			Name: forge.AssetName(filepath.Base(each.Path)), Path: filepath.Join(r.dist.dir, filepath.FromSlash(each.Path)), Size: each.Size, Digest: each.Digest,
		})
	}
	sums, err := forge.FileAt(filepath.Join(r.dist.dir, "checksums.txt"))
	release.Files = append(release.Files, sums)
	return release, err
}

func (r *run) tellUpload(step *report.StepRecorder, e forge.Event) {
	text := strings.TrimSpace(e.File + " " + e.Text)
	step.Progress(text)
	if e.Try > 0 {
		r.report.Note(fmt.Sprintf("%s; trying again in %s", text, e.Wait.Round(100*time.Millisecond)))
	}
}

func uploaded(result forge.Result) report.Result {
	if len(result.Sent) == 0 && !result.Published {
		return report.Result{Status: report.Cached, Summary: result.URL + " is complete already"}
	}
	return report.Result{Summary: fmt.Sprintf("%s; %s sent, %d there before", result.URL, plural(len(result.Sent), "file"), len(result.There))}
}

func names(files []forge.File) []string {
	list := make([]string, len(files))
	for i, f := range files {
		list[i] = f.Name
	}
	return list
}

// ledgerKinds is what a registry's facts are called in the ledger.
var ledgerKinds = map[registry.FactKind]ledger.Kind{
	registry.BlobFact: ledger.Blob, registry.ManifestFact: ledger.Manifest, registry.ArtifactFact: ledger.Referrer, registry.TagFact: ledger.Tag,
}

// record adds what is not written down yet.
func record(book *ledger.Ledger, kind ledger.Kind, target, digest string) error {
	e := ledger.Entry{Kind: kind, Target: target, Digest: digest, At: time.Now().UTC()}
	if book.Has(e) {
		return nil
	}
	return book.Record(e)
}
