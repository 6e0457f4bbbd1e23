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
	Key        secret.Reference    // private key; the zero value signs nothing
	Password   secret.Reference    // of the key; the zero value for none
}

// Registry is what is different with one registry.
type Registry struct {
	HTTP bool   // without TLS
	CA   string // absolute file of further authorities, "" for none
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
