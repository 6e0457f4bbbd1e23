package project

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/slipway-ci/slipway/ci/oci/tag"
	"github.com/slipway-ci/slipway/ci/secret"
)

// Publish is how publish talks to registries, and what it signs with.
type Publish struct {
	Registries map[string]Registry // by host, as references have it
	GitHub     *GitHub             // nil: no release is made there
	Key        secret.Reference    // private key; the zero value signs nothing
	Password   secret.Reference    // of the key; the zero value for none
	Keyless    *Keyless            // signs in place of a key; nil for none
}

// Keyless says which services of Sigstore's kind sign. Rekor or Timestamps is there, or both.
type Keyless struct {
	Token      secret.Reference // who signs; the zero value: what the environment has
	Fulcio     string
	Rekor      string // "" for none
	Timestamps string // "" for none
	Root       string // absolute file; "" for that of the public Sigstore
}

// The services of the public Sigstore.
const (
	publicFulcio = "https://fulcio.sigstore.dev"
	publicRekor  = "https://rekor.sigstore.dev"
)

// Registry is what is different with one registry.
type Registry struct {
	HTTP bool   // without TLS
	CA   string // absolute file of further authorities, "" for none

	Identity *RegistryIdentity // nil: it wants logins
}

// RegistryIdentity says that a registry takes what a CI system says of a job in the place of a password.
type RegistryIdentity struct {
	Username string
	Audience string // never ""
}

// GitHub is where a release with its files is made.
type GitHub struct {
	Repository string // owner/name
	API        string // "" for the usual one
	Token      secret.Reference
}

// choosePublish reads the publish part of the configuration.
func (l *loader) choosePublish(context.Context) error {
	c, p := l.cfg.Publish, &l.project.Publish
	for _, host := range slices.Sorted(maps.Keys(c.Registries)) {
		if p.Registries == nil {
			p.Registries = map[string]Registry{}
		}
		p.Registries[host] = l.registry(join("publish.registries", host), host, c.Registries[host])
	}
	p.GitHub = l.gitHub("publish.github", c.GitHub)
	p.Key = l.secret("publish.sign.key", c.Sign.Key)
	p.Password = l.secret("publish.sign.password", c.Sign.Password)
	if l.doc.has("publish.sign.password") && !l.doc.has("publish.sign.key") {
		l.doc.blame("publish.sign.password", "is there without a key", "name the key too, or remove the line")
	}
	p.Keyless = l.keyless("publish.sign.keyless", c.Sign.Keyless)
	return nil
}

func (l *loader) keyless(field string, c *keylessConfig) *Keyless {
	if c == nil {
		return nil
	}
	for key, address := range map[string]string{"fulcio": c.Fulcio, "rekor": c.Rekor, "timestamps": c.Timestamps} {
		if l.doc.has(field+"."+key) && !ruleOf("address").allows(address) {
			l.doc.blame(field+"."+key, fmt.Sprintf("%q is no address", address), "such as https://fulcio.example.org")
		}
	}
	switch own := l.doc.has(field + ".fulcio"); {
	case l.doc.has("publish.sign.key"):
		l.doc.blame(field, "is there beside a key", "one of both signs: remove the other")
	case own && !l.doc.has(field+".rekor") && !l.doc.has(field+".timestamps"):
		l.doc.blame(field+".fulcio", "is there without rekor and without timestamps", "name one of both: something has to prove when it was signed")
	case own && !l.doc.has(field+".root"):
		l.doc.blame(field+".fulcio", "is there without root", "name the file of its trusted root: that of the public Sigstore does not know it")
	}
	k := &Keyless{Token: l.secret(field+".token", c.Token), Fulcio: c.Fulcio, Rekor: c.Rekor, Timestamps: c.Timestamps, Root: l.file(field+".root", c.Root, "the trusted_root.json")}
	if !l.doc.has(field + ".fulcio") {
		k.Fulcio, k.Rekor = publicFulcio, cmp.Or(k.Rekor, publicRekor)
	}
	return k
}

// file is a file of the project, which must be there; "" when it is left out.
func (l *loader) file(field, written, what string) string {
	if !l.doc.has(field) {
		return ""
	}
	place, ok := l.local(field, written)
	if !ok {
		return ""
	}
	if !isFile(l.fsys, place) {
		l.doc.blame(field, fmt.Sprintf("there is no file %q", written), what+", relative to "+defaultConfig)
	}
	return filepath.Join(l.site.root, filepath.FromSlash(place))
}

func (l *loader) registry(field, host string, c registryConfig) Registry {
	r := Registry{HTTP: c.HTTP}
	if c.OIDC != nil {
		r.Identity = &RegistryIdentity{Username: c.OIDC.Username, Audience: cmp.Or(c.OIDC.Audience, host)}
		if l.doc.has(field+".oidc.username") && c.OIDC.Username == "" {
			l.doc.blame(field+".oidc.username", "is empty", "name the user as the registry does")
		}
	}
	if !ruleOf("host").allows(host) {
		l.doc.blame(field, fmt.Sprintf("%q is no registry", host), "write host or host:port, such as registry.example.org:5000")
	}
	r.CA = l.file(field+".ca", c.CA, "a file of certificates")
	if r.CA != "" && c.HTTP {
		l.doc.blame(field+".ca", "is of no use without TLS", "remove http: true, or this line")
	}
	return r
}

func (l *loader) gitHub(field string, c *gitHubConfig) *GitHub {
	if c == nil {
		return nil
	}
	if l.doc.has(field+".repository") && !ruleOf("gitHub").allows(c.Repository) {
		l.doc.blame(field+".repository", fmt.Sprintf("%q is no repository on GitHub", c.Repository), "write owner/name")
	}
	if l.doc.has(field+".api") && !ruleOf("address").allows(c.API) {
		l.doc.blame(field+".api", fmt.Sprintf("%q is no address", c.API), "such as https://github.example.org/api/v3")
	}
	hub := &GitHub{Repository: c.Repository, API: c.API, Token: l.secret(field+".token", c.Token)}
	if !l.doc.has(field + ".token") {
		hub.Token, _ = secret.Parse("env://GITHUB_TOKEN")
	}
	return hub
}

// packages reads what is said of an app's packages.
func (l *loader) packages(field string, c *packagesConfig, app App) *Packages {
	if c == nil {
		return nil
	}
	p := &Packages{Formats: c.Formats, Description: c.Description, Homepage: c.Homepage, License: c.License, Maintainer: c.Maintainer}
	switch {
	case !hasLinux(app.Targets):
		l.doc.blame(field, "is of no use: the app has no linux target", "add one to targets, or remove it")
	case l.doc.has(field+".formats") && c.Formats != nil && len(c.Formats) == 0:
		l.doc.blame(field+".formats", "is empty", "name at least one format, or remove the line")
	case !l.doc.has(field + ".formats"):
		p.Formats = ruleOf("format").values
	}
	for i, format := range c.Formats {
		if !ruleOf("format").allows(format) {
			l.doc.blame(fmt.Sprintf("%s.formats[%d]", field, i), fmt.Sprintf("%q is no format of packages", format), ruleOf("format").choices())
		}
	}
	for key, text := range map[string]string{"description": c.Description, "homepage": c.Homepage, "license": c.License, "maintainer": c.Maintainer} {
		if !ruleOf("noNUL").allows(text) {
			l.doc.blame(field+"."+key, "has a NUL byte, which no package can hold", "remove it")
		}
	}
	return p
}

// secret reads the place of a secret. What is written there is not repeated: a
// mistake may be to write the secret itself.
func (l *loader) secret(field, text string) secret.Reference {
	if !l.doc.has(field) || l.doc.isBlamed(field) {
		return secret.Reference{}
	}
	ref, err := secret.Parse(text)
	if err != nil {
		l.doc.blame(field, err.Error(), "such as env://SIGNING_KEY")
	}
	return ref
}

// checkTags looks at what can be said of templates before there is a version.
func (l *loader) checkTags(field string, tags []string) {
	if l.doc.has(field) && tags != nil && len(tags) == 0 {
		l.doc.blame(field, "is empty", "name at least one tag, or remove the line")
	}
	for i, text := range tags {
		if err := tag.Check(text); err != nil {
			l.doc.blame(fmt.Sprintf("%s[%d]", field, i), err.Error(), "such as {{.Version}} or edge-{{.Short}}")
		}
	}
}
