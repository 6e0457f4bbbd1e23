package sbom

import (
	"cmp"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// debianPackage is what the list of installed packages says of one.
type debianPackage struct {
	name, version, architecture string
	source, sourceVersion       string // "" when they are the package's own
}

// parsePackages reads a list of installed packages: paragraphs of fields. What
// was removed and has left its configuration is not installed.
func parsePackages(text string) []debianPackage {
	var list []debianPackage
	for paragraph := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		fields := parseFields(paragraph)
		status := fields["status"]
		if fields["package"] == "" || fields["version"] == "" || (status != "" && !strings.HasSuffix(status, " installed")) {
			continue
		}
		source, version, _ := strings.Cut(fields["source"], " ")
		list = append(list, debianPackage{
			name: fields["package"], version: fields["version"], architecture: fields["architecture"],
			source: source, sourceVersion: strings.Trim(version, "()"),
		})
	}
	return list
}

// parseFields reads one paragraph. Lines that go on are not needed.
func parseFields(paragraph string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(paragraph) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ":")
		if ok && key != "" && key[0] != ' ' && key[0] != '\t' {
			fields[strings.ToLower(key)] = strings.TrimSpace(value)
		}
	}
	return fields
}

// component names the source package too, as advisories go by that.
func (p debianPackage) component(release map[string]string) cdx.Component {
	system := cmp.Or(release["ID"], "debian")
	distro := system
	if version := release["VERSION_ID"]; version != "" {
		distro += "-" + version
	}
	upstream := ""
	if p.source != "" {
		upstream = p.source
		if p.sourceVersion != "" {
			upstream += "@" + p.sourceVersion
		}
	}
	purl := packageURL("deb", system+"/"+p.name, p.version,
		qualifier{"arch", p.architecture}, qualifier{"distro", distro}, qualifier{"upstream", upstream})
	return cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: p.name, Version: p.version, PackageURL: purl}
}
