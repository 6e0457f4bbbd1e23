package sbom

import (
	"fmt"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/slipway-ci/slipway/ci/attest"
)

// MediaType is that of a document, as a blob and as the type of a referrer.
const MediaType = "application/vnd.cyclonedx+json"

// Subject says what a document is about.
type Subject struct {
	Name    string    // greeter
	Version string    // 1.2.3
	Digest  string    // of a binary: "sha256:…"; images know theirs
	Time    time.Time // of the commit
	Commit  string
	Source  string // address of the repository; a password in it is left out
}

// properties are what CycloneDX has no place for.
func (s Subject) properties() []cdx.Property {
	if s.Commit == "" {
		return nil
	}
	return []cdx.Property{{Name: "slipway:commit", Value: s.Commit}}
}

func (s Subject) references() *[]cdx.ExternalReference {
	address := attest.RepositoryURL(s.Source)
	if address == "" {
		return nil
	}
	return &[]cdx.ExternalReference{{Type: cdx.ERTypeVCS, URL: address}}
}

// goVersion is a version as Go modules have it: with a v.
func (s Subject) goVersion() string {
	if s.Version != "" && s.Version[0] >= '0' && s.Version[0] <= '9' {
		return "v" + s.Version
	}
	return s.Version
}

// sha256Of is a digest in the form of CycloneDX.
func sha256Of(digest string) *[]cdx.Hash {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
}

// qualifier is one of the pairs at the end of a package URL.
type qualifier struct{ key, value string }

// packageURL is a purl. The name keeps its slashes and its case, as all tools
// write Go modules, whatever the specification says of case. Qualifiers come
// sorted by key; empty ones are left out.
func packageURL(kind, name, version string, qualifiers ...qualifier) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = escape(part)
	}
	text := "pkg:" + kind + "/" + strings.Join(parts, "/")
	if version != "" {
		text += "@" + escape(version)
	}
	separator := "?"
	for _, q := range qualifiers {
		if q.value != "" {
			text += separator + q.key + "=" + escape(q.value)
			separator = "&"
		}
	}
	return text
}

// escape writes what is no letter, digit or one of .-_~: as %XX: stricter than
// url.PathEscape, which leaves the + of a version.
func escape(text string) string {
	var out strings.Builder
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(".-_~:", c) >= 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// imageURL is the purl of an image.
func imageURL(name, digest, architecture string) string {
	return packageURL("oci", strings.ToLower(name), digest, qualifier{"arch", architecture})
}

func platformName(os, architecture, variant string) string {
	name := fmt.Sprintf("%s/%s", os, architecture)
	if variant != "" {
		name += "/" + variant
	}
	return name
}
