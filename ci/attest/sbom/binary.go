package sbom

import (
	"cmp"
	"errors"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// settings are the build settings that are listed beside GO…: how it was built.
// Flags for compiler and linker are not: they hold paths of the machine, and
// whatever somebody passes with -X.
var settings = []string{"-buildmode", "-compiler", "-race", "-tags", "-trimpath", "CGO_ENABLED", "DefaultGODEBUG", "vcs.modified", "vcs.revision", "vcs.time"}

// Binary is the document of one Go binary, from what debug/buildinfo reads of it.
func Binary(s Subject, info *debug.BuildInfo) ([]byte, error) {
	if info == nil || info.GoVersion == "" {
		return nil, errors.New("write bill of materials: the binary does not say how it was built: was it built with Go?")
	}
	d := newDocument()
	about := program(d, s, info)
	about.ExternalReferences = s.references()
	about.Properties = properties(append(*orNone(about.Properties), s.properties()...)...)
	return d.write(about, s)
}

// program adds what a binary was made of, and returns the binary itself.
func program(d *document, s Subject, info *debug.BuildInfo) cdx.Component {
	version := mainVersion(s, info)
	about := cdx.Component{
		BOMRef:     "binary:" + s.Name + "@" + cmp.Or(s.Digest, version),
		Type:       cdx.ComponentTypeApplication,
		Name:       s.Name,
		Version:    cmp.Or(s.Version, version),
		Hashes:     sha256Of(s.Digest),
		Properties: properties(buildProperties(info)...),
	}
	if info.Main.Path != "" {
		about.PackageURL = packageURL("golang", info.Main.Path, version)
	}
	d.need(about.BOMRef, d.add(standardLibrary(info.GoVersion)))
	for _, module := range info.Deps {
		d.need(about.BOMRef, d.add(library(module)))
	}
	return about
}

// mainVersion is the version that the binary has of itself, or else the
// subject's: a build without -buildvcs knows none.
func mainVersion(s Subject, info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return s.goVersion()
}

func buildProperties(info *debug.BuildInfo) []cdx.Property {
	list := []cdx.Property{{Name: "slipway:go:version", Value: info.GoVersion}}
	if info.Path != "" {
		list = append(list, cdx.Property{Name: "slipway:go:package", Value: info.Path})
	}
	for _, setting := range info.Settings {
		if slices.Contains(settings, setting.Key) || strings.HasPrefix(setting.Key, "GO") {
			list = append(list, cdx.Property{Name: "slipway:go:build:" + setting.Key, Value: setting.Value})
		}
	}
	return list
}

// standardLibrary is what every Go program has, under the name that the Go
// vulnerability database and the scanners know.
func standardLibrary(goVersion string) cdx.Component {
	version, _, _ := strings.Cut(strings.TrimPrefix(goVersion, "go"), " ") // "go1.26.8 X:experiment"
	purl := packageURL("golang", "stdlib", version)
	return cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: "stdlib", Version: version, PackageURL: purl}
}

// library is a module. A replaced one is listed as what was really built in.
func library(module *debug.Module) cdx.Component {
	built, replaces := module, ""
	if module.Replace != nil {
		built, replaces = module.Replace, module.Path+"@"+module.Version
		if local(built) {
			return directory(module)
		}
	}
	purl := packageURL("golang", built.Path, built.Version)
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: built.Path, Version: built.Version, PackageURL: purl}
	var list []cdx.Property
	if built.Sum != "" { // of a list of hashes, in Go's own form: no digest of a file
		list = append(list, cdx.Property{Name: "slipway:go:sum", Value: built.Sum})
	}
	if replaces != "" {
		list = append(list, cdx.Property{Name: "slipway:go:replaces", Value: replaces})
		c.BOMRef += "#replaces=" + escape(replaces)
	}
	c.Properties = properties(list...)
	return c
}

// local tells whether a replacement is a directory.
func local(replacement *debug.Module) bool {
	unversioned := replacement.Version == "" || replacement.Version == "(devel)"
	return unversioned || strings.HasPrefix(replacement.Path, ".") || path.IsAbs(replacement.Path)
}

// directory is a module whose code is a directory: it has the name of what it
// replaces, and no version. The place is told if it is one in the repository.
func directory(module *debug.Module) cdx.Component {
	place := module.Replace.Path
	if !strings.HasPrefix(place, ".") {
		place = "a directory of the machine that built it"
	}
	purl := packageURL("golang", module.Path, "")
	return cdx.Component{
		BOMRef: purl + "#directory=" + escape(place), Type: cdx.ComponentTypeLibrary, Name: module.Path, PackageURL: purl,
		Properties: properties(cdx.Property{Name: "slipway:go:directory", Value: place}, cdx.Property{Name: "slipway:go:replaces", Value: module.Path + "@" + module.Version}),
	}
}

func orNone(list *[]cdx.Property) *[]cdx.Property {
	if list == nil {
		return &[]cdx.Property{}
	}
	return list
}
