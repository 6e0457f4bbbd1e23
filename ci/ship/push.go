package ship

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/oci/tag"
	"github.com/slipway-ci/slipway/ci/release/ledger"
	"github.com/slipway-ci/slipway/ci/report"
)

// push pushes what was tested: the images, one after the other, and then a release with the files. It needs no engine: all of it
// is read from the output directory. What is done is written down below reports; the registry and the forge are asked all the
// same, because they know better.
func (r *run) push(ctx context.Context) (err error) {
	book, err := ledger.Open(filepath.Join(r.dist.dir, reportsDir, ledgerFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	if err := r.pushImages(ctx, book); err != nil || r.failed() != ExitOK {
		return err
	}
	return r.release(ctx, book)
}

func (r *run) pushImages(ctx context.Context, book *ledger.Ledger) error {
	if len(r.outbound.images) == 0 {
		return nil
	}
	stage := r.report.Stage("publish")
	for _, app := range r.project.Apps {
		if app.Image.Enabled && app.Image.Repository == "" {
			stage.Step(app.Name).Done(report.Result{Status: report.Skipped, Summary: "slipway.yaml names no image.repository for it"})
		}
	}
	witness, err := r.testify() // once: it reads the toolchain, whatever the number of images
	if err != nil {
		return err
	}
	var pushed []string
	for _, image := range r.outbound.images {
		step := stage.Step(image.app.Name)
		done, err := r.pushOne(ctx, step, witness, image, pushed, book)
		switch {
		case err != nil && ctx.Err() != nil:
			step.Cancel()
			return context.Cause(ctx)
		case err != nil:
			step.Fail(pushFailure(image, err))
			return nil
		}
		pushed = append(pushed, image.app.Image.Repository)
		r.report.Published(done.published)
		step.Done(done.result())
	}
	stage.Done(plural(len(pushed), "image"))
	return nil
}

// pushed is what became of one image.
type pushed struct {
	published report.Published
	blobs     registry.Blobs
	changed   bool
}

// pushOne pushes one image, and writes down what the registry has of it as soon as that is certain. Layers that another image of
// this run has brought are taken from there.
func (r *run) pushOne(ctx context.Context, step *report.StepRecorder, witness testimony, image outboundImage, before []string, book *ledger.Ledger) (pushed, error) {
	name := image.app.Name
	layout := filepath.Join(r.dist.dir, imagesDir, name)
	root, err := oci.ReadLayout(layout)
	if err != nil {
		return pushed{}, err
	}
	digest, err := root.Digest()
	if err != nil {
		return pushed{}, err
	}
	if digest != r.images[name] {
		return pushed{}, fmt.Errorf("%s is %s, and %s was tested: another run has changed the output directory", layout, digest, r.images[name])
	}
	var unwritten error
	client, err := registry.New(registry.Options{
		Credentials: r.outbound.logins, Hosts: r.outbound.hosts,
		OnFact: func(f registry.Fact) {
			unwritten = errors.Join(unwritten, record(book, ledgerKinds[f.Kind], f.Reference, f.Digest.String()))
		},
		OnProgress: func(p registry.Progress) { step.Progress(progressText(p)) },
		OnRetry:    func(t registry.Retry) { r.report.Note(retryText(t)) },
	})
	if err != nil {
		return pushed{}, err
	}
	defer client.Close()
	step.Progress("saying what is in it, and how it was made")
	artifacts, err := r.attachments(ctx, client, witness, image.app, root)
	if err != nil {
		return pushed{}, err
	}
	result, err := client.Push(ctx, registry.Request{
		Repository: image.app.Image.Repository, Root: root, Artifacts: artifacts, Tags: registryTags(image.tags), MountFrom: before, Force: r.options.Force,
	})
	if err = errors.Join(err, unwritten); err != nil {
		return pushed{}, err
	}
	done := outcomeOf(name, result)
	if done.published.Signed, err = r.outbound.signing.who(ctx); err != nil {
		return pushed{}, err
	}
	done.published.Attached, err = attachedTo(artifacts)
	return done, err
}

func registryTags(tags tag.Tags) []registry.Tag {
	list := make([]registry.Tag, len(tags.Tags))
	for i, t := range tags.Tags {
		list[i] = registry.Tag{Name: t.Name, Fixed: t.Fixed}
	}
	return list
}

func outcomeOf(app string, result registry.Result) pushed {
	done := pushed{
		published: report.Published{App: app, Repository: result.Repository, Digest: result.Root.Digest.String(), Sent: result.Bytes.Sent},
		blobs:     result.Blobs,
	}
	for _, t := range result.Tags {
		done.published.Tags = append(done.published.Tags, t.Name)
		done.changed = done.changed || t.Changed
	}
	return done
}

// result says how the push ended: a push that changed nothing is shown as cached.
func (p pushed) result() report.Result {
	tags := strings.Join(p.published.Tags, ", ")
	if p.published.Signed == "" {
		tags += "; not signed"
	}
	if !p.changed && p.blobs.Sent == 0 {
		return report.Result{Status: report.Cached, Summary: fmt.Sprintf("%s is there already, as %s", p.published.Digest, tags)}
	}
	return report.Result{Summary: fmt.Sprintf("%s as %s; sent %s", p.published.Digest, tags, size(p.published.Sent))}
}

func progressText(p registry.Progress) string {
	return fmt.Sprintf("%s of %s", size(p.Sent+p.Skipped), size(p.Total))
}

func retryText(r registry.Retry) string {
	return fmt.Sprintf("%s: %s; trying again in %s", r.What, r.Cause, r.Wait.Round(100e6))
}

// pushFailure is the card of an image that a registry did not take. The errors of the registry's client say what to do.
func pushFailure(image outboundImage, err error) report.Failure {
	f := report.Failure{
		Title: image.app.Name + " cannot be pushed to " + image.app.Image.Repository, Tail: strings.Split(err.Error(), "\n"),
		Next: "run slipway publish again: what has arrived is not sent again",
	}
	var (
		auth   *registry.AuthError
		taken  *registry.TagExistsError
		host   *registry.HostError
		differ *registry.DigestError
	)
	switch {
	case errors.As(err, &auth):
		f.Title, f.Next = fmt.Sprintf("%s does not let us in", auth.Registry), ""
	case errors.As(err, &taken):
		f.Title = fmt.Sprintf("%s is published already, with another content", taken.Tag)
		f.Tail = []string{"there: " + taken.There.String(), "here:  " + taken.Wanted.String()}
		f.Next = "tag a new version; or, if nobody relies on the old content, slipway publish --force"
	case errors.As(err, &host):
		f.Title, f.Next = fmt.Sprintf("%s cannot be trusted", host.Registry), ""
	case errors.As(err, &differ):
		f.Title, f.Next = "the registry has something else than was pushed", ""
	}
	return f
}
