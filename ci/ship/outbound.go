package ship

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	ciforge "github.com/slipway-ci/slipway/ci/forge"
	"github.com/slipway-ci/slipway/ci/oci/credentials"
	"github.com/slipway-ci/slipway/ci/oci/registry"
	"github.com/slipway-ci/slipway/ci/oci/tag"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/release/forge"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/secret"
)

// outbound is what publish pushes, and what it shows to whom. It is put together before any work begins, so that a missing
// name or login costs no build.
type outbound struct {
	images  []outboundImage
	hosts   map[string]registry.Host
	logins  logins
	signing signing
	hub     forge.Forge // nil: no release is made
	secrets []string    // nobody may read them
}

// outboundImage is one app's image, with its names.
type outboundImage struct {
	app  project.App
	host string // its registry, as credentials are asked for
	tags tag.Tags
}

// fact says which tags the image gets, why, and why no others.
func (o outboundImage) fact() report.Fact {
	var why []string
	for _, t := range o.tags.Tags {
		why = append(why, t.Name+": "+t.Reason)
	}
	for _, reason := range o.tags.Without {
		why = append(why, "no "+reason)
	}
	return report.Fact{What: "tags of " + o.app.Name, Value: strings.Join(o.tags.Names(), ", "), Why: strings.Join(why, "; ")}
}

// finder looks for logins where this user keeps them.
func finder(o Options) credentials.Finder {
	home, _ := os.UserHomeDir() // without one, no login is kept there
	return credentials.Finder{Getenv: o.Getenv, Home: home}
}

// logins are the credentials of a run.
type logins struct {
	found      map[string]credentials.Credential // by host, looked up once
	identities map[string]project.RegistryIdentity
	identify   func(ctx context.Context, audience string) (token string, err error)
}

func newLogins(o Options, p project.Publish) logins {
	l := logins{found: map[string]credentials.Credential{}, identities: map[string]project.RegistryIdentity{}}
	for host, r := range p.Registries {
		if r.Identity != nil {
			l.identities[host] = *r.Identity
		}
	}
	l.identify = ciforge.IdentityToken(o.Getenv, &http.Client{Timeout: tokenPatience})
	return l
}

// Credential is the login that was found at the beginning of the run, or else the identity of this job, which is asked for anew
// each time: it holds for minutes, and a build may take longer. The client that gets it keeps it out of its errors.
func (l logins) Credential(ctx context.Context, host string) (credentials.Credential, error) {
	found := l.found[host]
	identity, takes := l.identities[host]
	if !found.Empty() || !takes {
		return found, nil
	}
	token, err := l.identify(ctx, identity.Audience)
	if err != nil {
		return found, fmt.Errorf("publish.registries says that it takes the identity of a CI job, and there is no login either: %w", err)
	}
	return credentials.Credential{Username: identity.Username, Password: token, Source: "the identity of this job"}, nil
}

// describe says what a host is shown.
func (l logins) describe(host string) string {
	if _, takes := l.identities[host]; takes && l.found[host].Empty() {
		return "the identity of this job"
	}
	return l.found[host].String()
}

var _ registry.Keychain = logins{}

// newOutbound finds out what there is to push, and the credentials for it.
func newOutbound(ctx context.Context, o Options, p project.Project) (outbound, error) {
	images, err := outboundImages(p)
	if err != nil {
		return outbound{}, &UsageError{err.Error()}
	}
	out := outbound{images: images, hosts: hosts(p.Publish), logins: newLogins(o, p.Publish)}
	for _, image := range images {
		if err := out.logIn(ctx, finder(o), image.host); err != nil {
			return outbound{}, &UsageError{err.Error()}
		}
	}
	if err := errors.Join(out.readSigning(ctx, o, p), out.readHub(ctx, o, p)); err != nil {
		return outbound{}, &UsageError{err.Error()}
	}
	return out, nil
}

// logIn looks up what a registry will be shown.
func (o *outbound) logIn(ctx context.Context, finder credentials.Finder, host string) error {
	if _, known := o.logins.found[host]; known {
		return nil
	}
	found, err := finder.Credential(ctx, host)
	if err != nil {
		return fmt.Errorf("find the login of %s: %w", host, err)
	}
	for _, value := range found.Secrets() {
		if err := secret.Check(value); err != nil {
			return fmt.Errorf("%s for %s: %w", found, host, err)
		}
	}
	o.logins.found[host], o.secrets = found, append(o.secrets, found.Secrets()...)
	return nil
}

// outboundImages are the images that have a repository, with their tags.
func outboundImages(p project.Project) ([]outboundImage, error) {
	var images []outboundImage
	var problems []error
	for _, app := range p.Apps {
		if !app.Image.Enabled || app.Image.Repository == "" {
			continue
		}
		tags, err := tag.For(tag.Version{Version: p.Version.Version, Commit: p.Version.Commit, Dirty: p.Version.Dirty},
			tag.Options{Latest: app.Image.Latest, Templates: app.Image.Tags})
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", app.Name, err))
		}
		if other := slices.IndexFunc(images, func(i outboundImage) bool { return i.app.Image.Repository == app.Image.Repository }); other >= 0 {
			problems = append(problems, fmt.Errorf("%s and %s have the same image.repository, %s: give each its own", images[other].app.Name, app.Name, app.Image.Repository))
		}
		host, err := registry.HostOf(app.Image.Repository)
		problems = append(problems, err)
		images = append(images, outboundImage{app, host, tags})
	}
	if len(images) == 0 && p.Publish.GitHub == nil {
		problems = append(problems, errors.New(nowhere(p)))
	}
	return images, errors.Join(problems...)
}

// nowhere says why nothing can be published, and what to write.
func nowhere(p project.Project) string {
	for _, app := range p.Apps {
		if app.Image.Enabled {
			return fmt.Sprintf("slipway publish does not know where to push: write it into slipway.yaml, such as\n\n"+
				"  version: 1\n  apps:\n    - name: %s\n      image: {repository: registry.example.org/team/%s}\n\nand run it again", app.Name, app.Name)
		}
	}
	return "slipway publish has no image to push: no app has a linux target"
}

func hosts(p project.Publish) map[string]registry.Host {
	all := map[string]registry.Host{}
	for host, r := range p.Registries {
		all[host] = registry.Host{PlainHTTP: r.HTTP, CAFile: r.CA}
	}
	return all
}

// checkRegistries asks each registry for its version tags while the engine is opened: one that cannot be reached, or wants
// another login, should say so before the tests have run for ten minutes.
func (r *run) checkRegistries(ctx context.Context, stage *report.StageRecorder) error {
	if r.verb != Publish {
		return nil
	}
	for _, image := range r.outbound.images {
		step := stage.Step("registry " + image.app.Image.Repository)
		summary, err := r.askRegistry(ctx, image)
		switch {
		case ctx.Err() != nil:
			step.Cancel()
			return context.Cause(ctx)
		case err != nil:
			step.Fail(pushFailure(image, err))
		default:
			step.Done(report.Result{Summary: summary})
		}
	}
	return nil
}

// askRegistry says what is there already.
func (r *run) askRegistry(ctx context.Context, image outboundImage) (summary string, err error) {
	client, err := registry.New(registry.Options{Credentials: r.outbound.logins, Hosts: r.outbound.hosts})
	if err != nil {
		return "", err
	}
	defer client.Close()
	first := image.app.Image.Repository + ":" + image.tags.Tags[0].Name
	login := r.outbound.logins.describe(image.host)
	found, err := client.Resolve(ctx, first)
	switch {
	case registry.NotFound(err):
		return fmt.Sprintf("answers, with %s; %s is free", login, image.tags.Tags[0].Name), nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("answers, with %s; %s is %s now", login, image.tags.Tags[0].Name, found.Digest), nil
}
