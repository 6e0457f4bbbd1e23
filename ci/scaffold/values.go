package scaffold

import (
	"cmp"
	"path"
	"regexp"
	"strings"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// The actions of the workflow, by their commits: a tag can be moved to other code. Dependabot, which gets a file too, renews them.
const (
	checkout = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
	setupGo  = "actions/setup-go@b7ad1dad31e06c5925ef5d2fc7ad053ef454303e # v7.0.0"
	upload   = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0"
)

// program is what "go install" builds.
const program = "github.com/slipway-ci/slipway/cmd/slipway"

// goImage is the tag of Docker's golang images: a Debian of which there is a root for tests.
const goImage = "1-bookworm"

// values is what the templates are filled with.
type values struct {
	Name, Go, GoWhy, Schema        string
	Strict                         bool
	Modules                        []string // to verify, relative to the project
	Apps                           []appValues
	Repository                     string // owner/name on GitHub
	Title                          string // of the workflow
	Branches                       []string
	Checkout, SetupGo, Upload      string
	Install                        string // argument of go install
	GoImage                        string
	Ship, ShipThere                string // the command, and where Jenkins has it
	Artifact, Dist, JUnit, Archive string
	Coverage, CodeQuality, Outputs string // reports
	Paths, Directories             []string
}

type appValues struct {
	Name, Dir, Main, Image string
	Targets                []string
	Vars                   string // as YAML, "" for none
	Names                  string // of the variables
}

func valuesOf(o Options) values {
	p := o.Project
	dist := path.Join(o.Dir, "dist")
	v := values{
		Name: p.Name, Go: p.Go.Version, GoWhy: "Go " + p.Go.Version + ": " + p.Go.Reason, Schema: schema(o.Slipway), Strict: p.Version.Tag == "",
		Repository: cmp.Or(onGitHub(p.Source.URL), "owner/"+p.Name), Title: "slipway", Branches: []string{branch(p.Source.Branch)},
		Checkout: checkout, SetupGo: setupGo, Upload: upload, Install: program + "@" + release(o.Slipway), GoImage: goImage,
		Artifact: "dist", Dist: dist + "/", JUnit: dist + "/reports/junit.xml", Coverage: "[[parser: 'GO_COV', pattern: " + groovy(dist+"/reports/coverage.out") + "]]",
		CodeQuality: dist + "/reports/codequality.json", Outputs: dist + "/reports/outputs.env", Archive: dist + "/**", Paths: []string{dist + "/"},
	}
	flags := ""
	if o.Dir != "." {
		v.Title += "-" + strings.Trim(unnameable.ReplaceAllString(o.Dir, "-"), "-")
		flags = " " + report.Shell("-C", o.Dir)
	}
	v.Ship, v.ShipThere = "slipway ship"+flags, `"$WORKSPACE_TMP/bin/slipway" ship`+flags
	for _, m := range p.Modules {
		if dir, inside := relative(o.Base, m.Dir); inside {
			v.Modules = append(v.Modules, dir)
			v.Directories = append(v.Directories, "/"+strings.TrimPrefix(path.Join(o.Dir, dir), "."))
		}
	}
	for _, app := range p.Apps {
		v.Apps = append(v.Apps, appOf(o.Base, app, v.Repository))
	}
	return v
}

// unnameable is what is left out of names of workflows.
var unnameable = regexp.MustCompile(`[^A-Za-z0-9]+`)

func appOf(base string, app project.App, repository string) appValues {
	v := appValues{Name: app.Name, Main: app.Main}
	v.Dir, _ = relative(base, app.Dir)
	for _, t := range app.Targets {
		v.Targets = append(v.Targets, t.String())
	}
	owner, _, _ := strings.Cut(repository, "/")
	v.Image = "ghcr.io/" + strings.ToLower(owner) + "/" + app.Name
	var pairs, names []string
	for _, known := range []struct{ name, template string }{{"main.version", "{{.Version}}"}, {"main.commit", "{{.Commit}}"}, {"main.date", "{{.Date}}"}} {
		if _, ok := app.Vars[known.name]; ok {
			pairs, names = append(pairs, known.name+`: "`+known.template+`"`), append(names, known.name)
		}
	}
	if len(pairs) > 0 {
		v.Vars, v.Names = "{"+strings.Join(pairs, ", ")+"}", strings.Join(names, ", ")
	}
	return v
}

// relative is a directory of the root as it is written in slipway.yaml, which lies in base.
func relative(base, dir string) (written string, inside bool) {
	switch {
	case base == dir:
		return ".", true
	case base == ".":
		return dir, true
	}
	return strings.CutPrefix(dir, base+"/")
}

// branch is the branch whose pushes are shipped: the one that is checked out. One that a workflow would take for a pattern is not.
func branch(name string) string {
	if name == "" || strings.ContainsAny(name, `*?+[]!\`) {
		return "main"
	}
	return name
}

// onGitHub is owner/name of an address there, or "".
func onGitHub(address string) string {
	name, ok := strings.CutPrefix(address, "https://github.com/")
	if !ok || strings.Count(name, "/") != 1 {
		return ""
	}
	return name
}

// A version that the module proxy has: a release, a prerelease, a pseudo-version. What git makes of a commit after a tag
// (1.2.3-4-gabc1234) looks like a prerelease and is none.
var (
	published   = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
	unpublished = regexp.MustCompile(`-\d+-g[0-9a-f]{7,}|-dirty|^v?0\.0\.0-unversioned|^v?0\.0\.0-g`)
)

// release is the version by which others get this program: its own, or the latest where this is a build of somebody's checkout.
func release(version string) string {
	if !published.MatchString(version) || unpublished.MatchString(version) {
		return "latest"
	}
	return "v" + strings.TrimPrefix(version, "v")
}

// schema is the address of the JSON Schema that belongs to a version of this program.
func schema(version string) string {
	at := release(version)
	if at == "latest" {
		at = "main"
	}
	return "https://raw.githubusercontent.com/slipway-ci/slipway/" + at + "/docs/slipway.schema.json"
}
