package project

// The types below are the format of slipway.yaml. The yaml tag is the key,
// need:"yes" makes it required, rule names what the value must be, that of a
// list or mapping what is in it (rules.go), keys what the keys must be,
// some:"yes" that a list may not be empty, doc explains it to people. The JSON
// Schema is made of nothing else.

type config struct {
	Version int           `yaml:"version" rule:"version" need:"yes" doc:"Format of this file. Always 1, and the first key."`
	Go      goConfig      `yaml:"go" doc:"The Go that builds and tests."`
	Verify  verifyConfig  `yaml:"verify" doc:"What must hold before anything is shipped."`
	Apps    []appConfig   `yaml:"apps" some:"yes" doc:"The programs to ship. Left out: every package main that is found."`
	Hook    hookConfig    `yaml:"hook" doc:"How the hook of slipway hook install verifies what is pushed."`
	Publish publishConfig `yaml:"publish" doc:"How publish talks to registries, and what it signs with."`

	Environments map[string]environmentConfig `yaml:"environments" keys:"name" doc:"Where deploy rolls out to, by name."`
}

type hookConfig struct {
	Budget string `yaml:"budget" rule:"time" doc:"After this time a push goes on, and what was not checked is said. Left out: 2m."`
}

type publishConfig struct {
	Registries map[string]registryConfig `yaml:"registries" keys:"host" doc:"Registries, as host or host:port, that are not reached over TLS with certificates that the system trusts, or that let jobs of a CI system in."`
	GitHub     *gitHubConfig             `yaml:"github" doc:"Where archives and packages of a release are uploaded. Left out: nowhere."`
	Sign       signConfig                `yaml:"sign" doc:"What signs images and what is said about them. Left out: nothing is signed."`
}

type registryConfig struct {
	HTTP bool   `yaml:"http" doc:"Talk without TLS: everyone in between can read and change what is pushed."`
	CA   string `yaml:"ca" rule:"place" doc:"File of certificates, as PEM, of further authorities."`

	OIDC *registryIdentityConfig `yaml:"oidc" doc:"The registry takes the identity that GitHub Actions or GitLab gives a job, as a password. Used where there is no login."`
}

type registryIdentityConfig struct {
	Username string `yaml:"username" rule:"noNUL" need:"yes" doc:"The user that goes with it, as the registry names it."`
	Audience string `yaml:"audience" rule:"noNUL" doc:"Whom the identity is for. Left out: the registry's host."`
}

type gitHubConfig struct {
	Repository string `yaml:"repository" rule:"gitHub" need:"yes" doc:"Where releases are made, as owner/name."`
	API        string `yaml:"api" rule:"address" doc:"Address of the API. Left out: GITHUB_API_URL, or that of GitHub itself."`
	Token      string `yaml:"token" rule:"secret" doc:"Where the token is. Left out: env://GITHUB_TOKEN."`
}

type signConfig struct {
	Key      string         `yaml:"key" rule:"secret" doc:"Where the private key is: env://NAME, file://PATH or cmd://COMMAND."`
	Password string         `yaml:"password" rule:"secret" doc:"Where the password of the key is, in the same way. Left out: the key has none."`
	Keyless  *keylessConfig `yaml:"keyless" doc:"Sign without a key, with a certificate of Sigstore for whoever a token names, such as a workflow of GitHub. {} is the public Sigstore. Left out: a key signs."`
}

type keylessConfig struct {
	Token      string `yaml:"token" rule:"secret" doc:"Where the token is that says who signs. Left out: env://SIGSTORE_ID_TOKEN, or else the one that GitHub Actions or GitLab gives a job."`
	Fulcio     string `yaml:"fulcio" rule:"address" doc:"Address of the certificate authority. Left out: that of the public Sigstore."`
	Rekor      string `yaml:"rekor" rule:"address" doc:"Address of the log. Left out: that of the public Sigstore with its authority, else none."`
	Timestamps string `yaml:"timestamps" rule:"address" doc:"Whole address of a timestamp authority. Left out: none."`
	Root       string `yaml:"root" rule:"place" doc:"File of the trusted root (trusted_root.json). Left out: that of the public Sigstore."`
}

type goConfig struct {
	Version string `yaml:"version" rule:"go" doc:"Go release. Left out: the higher of go.mod's go and toolchain lines and Slipway's own."`
}

type verifyConfig struct {
	Strict   bool           `yaml:"strict" doc:"Style findings and known vulnerabilities fail too."`
	Race     *bool          `yaml:"race" doc:"Run the tests with the race detector. Left out: true."`
	Short    bool           `yaml:"short" doc:"Run go test -short."`
	Retry    int            `yaml:"retry" rule:"retries" doc:"How often tests that failed are run again. One that passes then is flaky: it is shown as that, and fails nothing. Left out: never."`
	Coverage coverageConfig `yaml:"coverage" doc:"Test coverage."`
	Modules  []string       `yaml:"modules" rule:"place" some:"yes" doc:"Directories of the modules to verify. Left out: those of go.work, else the root module."`
	Vuln     vulnConfig     `yaml:"vuln" doc:"Known vulnerabilities."`
}

type coverageConfig struct {
	Min float64 `yaml:"min" rule:"percent" doc:"Lowest share of covered statements, in percent."`
}

type vulnConfig struct {
	Ignore []ignoreConfig `yaml:"ignore" doc:"Vulnerabilities that do not count."`
}

type ignoreConfig struct {
	ID     string `yaml:"id" rule:"filled" need:"yes" doc:"Identifier in the Go vulnerability database."`
	Reason string `yaml:"reason" rule:"filled" need:"yes" doc:"Why it does not matter here."`
	Until  string `yaml:"until" rule:"date" doc:"Last day it is ignored, as 2006-01-02."`
}

type appConfig struct {
	Name     string            `yaml:"name" rule:"name" need:"yes" doc:"Name of the program: a-z, 0-9 and -."`
	Dir      string            `yaml:"dir" rule:"place" doc:"Directory of its module or package. Left out: the directory of this file."`
	Main     string            `yaml:"main" rule:"place" doc:"Package main, relative to dir. Left out: dir itself."`
	Targets  []string          `yaml:"targets" rule:"target" some:"yes" doc:"What to build for, as os/arch or os/arch/variant. Left out: linux, darwin and windows on amd64 and arm64."`
	Build    buildConfig       `yaml:"build" doc:"How to compile and link."`
	Vars     map[string]string `yaml:"vars" rule:"template" doc:"String variables to set, as templates. Left out: version variables that package main declares."`
	Image    imageConfig       `yaml:"image" doc:"The container image."`
	Packages *packagesConfig   `yaml:"packages" doc:"Packages for Linux distributions. Left out: none are made."`
	Service  *serviceConfig    `yaml:"service" doc:"Says that the program is a service, and how to ask it for its health."`
}

type buildConfig struct {
	CGO     bool              `yaml:"cgo" doc:"Compile C code."`
	Link    string            `yaml:"link" rule:"link" doc:"static or auto. Left out: static without cgo, auto with it."`
	Tags    []string          `yaml:"tags" rule:"tag" doc:"Build tags."`
	Ldflags []string          `yaml:"ldflags" rule:"noNUL" doc:"Further flags of the linker."`
	Gcflags []string          `yaml:"gcflags" rule:"noNUL" doc:"Further flags of the compiler."`
	Env     map[string]string `yaml:"env" rule:"noNUL" keys:"variable" doc:"Further environment of the build."`
}

type imageConfig struct {
	Repository string            `yaml:"repository" rule:"repository" doc:"Where to publish, as registry/name."`
	Tags       []string          `yaml:"tags" rule:"tagTemplate" some:"yes" doc:"Tags, as templates. Left out: the version, major.minor of a release, and the commit."`
	Latest     bool              `yaml:"latest" doc:"A release gets the tag latest too."`
	Base       string            `yaml:"base" rule:"base" doc:"Base image. Left out: one that Slipway assembles."`
	User       *int              `yaml:"user" rule:"user" doc:"User id that runs the program. Left out: 65532."`
	Labels     map[string]string `yaml:"labels" rule:"noNUL" keys:"label" doc:"Further labels."`
}

type packagesConfig struct {
	Formats     []string `yaml:"formats" rule:"format" some:"yes" doc:"deb, rpm, apk. Left out: all three."`
	Description string   `yaml:"description" rule:"noNUL" doc:"What the program is for. The first line is the summary."`
	Homepage    string   `yaml:"homepage" rule:"noNUL" doc:"Address of a page about it."`
	License     string   `yaml:"license" rule:"noNUL" doc:"SPDX identifier of its license, such as Apache-2.0."`
	Maintainer  string   `yaml:"maintainer" rule:"noNUL" doc:"Who answers for the package: Name <address>."`
}

type serviceConfig struct {
	Port   int    `yaml:"port" rule:"port" need:"yes" doc:"Port it listens on."`
	Health string `yaml:"health" rule:"health" doc:"Path that answers 200 when it is well. Left out: /health."`
	Grace  string `yaml:"grace" rule:"time" doc:"Time from SIGTERM to the end. Left out: 10s."`
	Start  string `yaml:"start" rule:"time" doc:"Time from the start to the first healthy answer. Left out: 30s."`
}
