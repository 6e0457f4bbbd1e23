package project

import (
	"time"

	"github.com/slipway-ci/slipway/ci/target"
)

// Defaults of what slipway.yaml may say.
const (
	DefaultUser        = 65532
	DefaultHealth      = "/health"
	DefaultGrace       = 10 * time.Second
	DefaultStart       = 30 * time.Second
	DefaultBudget      = 2 * time.Minute
	defaultConfig      = "slipway.yaml"
	defaultDist        = "dist"
	maxConfigSize      = 64 << 10
	maxConfigNesting   = 32
	maxVariableSize    = 4 << 10
	unversioned        = "0.0.0-unversioned"
	shortCommitDigits  = 7
	maxListedInReasons = 5
	imageFile          = "Dockerfile.runtime" // read for images, beside the build inputs
)

// Options says where to look. The zero value of Config and Dist means the
// default; Getenv may be nil and then nothing is read from the environment.
type Options struct {
	Source   string                   // directory of the project; "" is the working directory
	Config   string                   // configuration file; "" is slipway.yaml in Source, if it is there
	Dist     string                   // output directory, never an input; "" is dist in Source
	Unasked  bool                     // pass over slipway.yaml: everything is inferred
	PinnedGo string                   // Go version of this release: 1.26.8
	Getenv   func(name string) string // environment for git
}

// Project is everything the stages need to know. All directories in it are
// relative to Root and use slashes.
type Project struct {
	Root      string    // absolute; what is uploaded
	Name      string    // last element of the module path, or the directory
	Go        GoVersion // the toolchain that builds and tests
	Workspace string    // go.work file relative to Root, "" for none
	Modules   []Module  // what verify covers
	Apps      []App     // what is built; none for a library
	Verify    Verify
	Publish   Publish
	Hook      Hook

	Environments []Environment // by name

	Version Version
	Source  Source
	Outputs []string // directories that earlier runs of ours made
	Reasons []Reason // every inferred value with its reason, in reading order
}

// GoVersion is a full release of Go: 1.26.8, never 1.26.
type GoVersion struct{ Version, Reason string }

// Module is one go.mod.
type Module struct {
	Dir       string // relative to Root, "." for the root
	Path      string // module path
	Go        string // the go line, "" when there is none
	HasTests  bool
	Vendor    bool // dependencies come from a vendor directory
	Workspace bool // listed in Project.Workspace; others need GOWORK=off
}

// App is one program to ship.
type App struct {
	Name         string // allow-listed: safe in paths, units and image names
	Binary       string // file name without .exe: Name, or the name Go would give
	Dir          string // module or package directory relative to Root
	Main         string // package relative to Dir: "." or "./cmd/x"
	ModuleDir    string // directory of the enclosing go.mod relative to Root
	Workspace    bool   // the module is listed in Project.Workspace
	Targets      []target.Target
	TargetsNamed bool // named in slipway.yaml: one that cannot be built fails
	Build        Build
	Vars         map[string]string // main.version: 1.2.3, expanded
	Image        Image
	Packages     *Packages // nil: none are made
	Service      *Service  // nil: not a service
}

// Build is how the compiler and the linker are called.
type Build struct {
	CGO     bool
	Link    string // "static" or "auto"
	Tags    []string
	Ldflags []string
	Gcflags []string
	Env     map[string]string
}

// Image is the container image of an app.
type Image struct {
	Enabled    bool     // there is a linux target
	Repository string   // where publish pushes; "" when not said
	Tags       []string // templates; none for the usual tags
	Latest     bool     // a release gets the tag latest too
	Base       string   // "" means the base that Slipway assembles itself
	User       int
	Labels     map[string]string
}

// Packages are what Linux distributions install an app with.
type Packages struct {
	Formats                                    []string // deb, rpm, apk
	Description, Homepage, License, Maintainer string
}

// Service is how a running app is asked whether it is well.
type Service struct {
	Port   int
	Health string
	Grace  time.Duration // from SIGTERM to the end
	Start  time.Duration // from the start to the first healthy answer
}

// Verify is how strict the verify stage is.
type Verify struct {
	Strict   bool
	Race     bool
	Short    bool // go test -short
	Retry    int  // how often tests that failed are run again
	Coverage Coverage
	Vuln     Vuln
}

// Hook is how a push is verified.
type Hook struct {
	Budget time.Duration // after that it goes on
}

// Coverage holds the lowest share of covered statements, in percent.
type Coverage struct{ Min float64 }

// Vuln lists the vulnerabilities that somebody decided to live with.
type Vuln struct{ Ignore []Ignore }

// Ignore is one accepted vulnerability. Until is the zero time when no end
// was given.
type Ignore struct {
	ID, Reason string
	Until      time.Time
}

// Version says which state of the sources is shipped.
type Version struct {
	Version string    // 1.2.3-4-gabc1234-dirty, no leading v
	Tag     string    // v1.2.3, the tag it is counted from; "" for none
	Commit  string    // full; "" without git
	Short   string    // first seven digits of Commit
	Date    time.Time // commit time in UTC; 1980-01-01 without one
	Dirty   bool      // a build input differs from Commit
	Reason  string
}

// Source is where the sources live. Both fields may be empty.
type Source struct {
	URL    string // https address of the repository, without credentials
	Branch string
}

// Reason explains one value that nobody wrote down, or where a written one
// came from.
type Reason struct{ What, Value, Why string }
