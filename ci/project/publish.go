package project

import (
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
}

// Registry is what is different with one registry.
type Registry struct {
	HTTP bool   // without TLS
	CA   string // absolute file of further authorities, "" for none
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
	return nil
}

func (l *loader) registry(field, host string, c registryConfig) Registry {
	r := Registry{HTTP: c.HTTP}
	if !ruleOf("host").allows(host) {
		l.doc.blame(field, fmt.Sprintf("%q is no registry", host), "write host or host:port, such as registry.example.org:5000")
	}
	if !l.doc.has(field + ".ca") {
		return r
	}
	dir, ok := l.local(field+".ca", c.CA)
	switch {
	case !ok:
	case !isFile(l.fsys, dir):
		l.doc.blame(field+".ca", fmt.Sprintf("there is no file %q", c.CA), "a file of certificates, relative to "+defaultConfig)
	case c.HTTP:
		l.doc.blame(field+".ca", "is of no use without TLS", "remove http: true, or this line")
	default:
		r.CA = filepath.Join(l.site.root, filepath.FromSlash(dir))
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
