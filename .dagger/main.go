// Takes a Go project from go.mod to a tested, published image.
//
// Each function that is named like a verb of the slipway command does what that verb does, on the same engine, with the same
// results, and returns the same output directory. Nothing has to be configured; a slipway.yaml in the sources overrides what is
// inferred. What happens is written to the log, with the reason of every inferred value.
//
// The version comes from git tags: give a directory that holds .git. Without it, the version is 0.0.0-unversioned.
package main

import (
	"context"

	"dagger/slipway/internal/dagger"

	"github.com/slipway-ci/slipway/ci/ship"
)

// Slipway takes a Go project from go.mod to a tested, published image.
type Slipway struct {
	// +private
	Config string
	// +private
	NoCache bool
	// +private
	Variables []string // NAME=value
	// +private
	SecretNames []string
	// +private
	Secrets []*dagger.Secret // one for each name
}

// New sets what all functions have in common.
func New(
	// Configuration file, as a path in the sources. The default is slipway.yaml, where it is there.
	// +optional
	config string,
	// Run everything, and replay nothing from the cache.
	// +optional
	noCache bool,
) Slipway {
	return Slipway{Config: config, NoCache: noCache}
}

// Sets a variable that the run sees: GOPRIVATE, or one that slipway.yaml names as env://NAME.
func (s Slipway) WithVariable(
	// Name of the variable.
	name string,
	// What it holds. Not for secrets: it can be read in logs.
	value string,
) Slipway {
	s.Variables = append(s.Variables[:len(s.Variables):len(s.Variables)], name+"="+value)
	return s
}

// Sets a variable whose value nobody may read: GITHUB_TOKEN, or a key that slipway.yaml names as env://NAME.
func (s Slipway) WithSecret(
	// Name of the variable.
	name string,
	// What it holds, such as env:NAME or file:PATH.
	value *dagger.Secret,
) Slipway {
	s.SecretNames = append(s.SecretNames[:len(s.SecretNames):len(s.SecretNames)], name)
	s.Secrets = append(s.Secrets[:len(s.Secrets):len(s.Secrets)], value)
	return s
}

// Sets the login of a registry, for publish. There is one: a second one replaces the first.
func (s Slipway) WithRegistryAuth(
	// Host of the registry, such as ghcr.io.
	address string,
	// Name to log in with.
	username string,
	// Password or token, such as env:REGISTRY_PASSWORD.
	secret *dagger.Secret,
) Slipway {
	return s.WithVariable("SLIPWAY_REGISTRY_HOST", address).WithVariable("SLIPWAY_REGISTRY_USERNAME", username).
		WithSecret("SLIPWAY_REGISTRY_PASSWORD", secret)
}

// Checks style, vet, modules and vulnerabilities, and runs the tests. Returns the output directory, with the reports.
//
// The tests run with race detector and coverage. A project that fails makes the call fail, with what failed and why.
//
// +cache="session"
func (s Slipway) Verify(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Checks to leave out: gofmt, vet, "mod tidy", "mod verify", staticcheck, vulnerabilities, test.
	// +optional
	skip []string,
) (*dagger.Directory, error) {
	return s.carryOut(ctx, ship.Verify, source, wish{skip: skip})
}

// Returns the reports of a verb, also when it fails: run.json, and junit.xml and the like where tests ran.
//
// +cache="session"
func (s Slipway) Reports(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Verb to carry out: verify, build, package, image, smoke or ship.
	// +default="verify"
	verb string,
	// Checks of verify to leave out.
	// +optional
	skip []string,
) (*dagger.Directory, error) {
	return s.reports(ctx, verb, source, wish{skip: skip})
}

// Builds every app for every target. Returns the output directory: one directory for each target, and lists of all files.
//
// +cache="session"
func (s Slipway) Build(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Build only these targets: os/arch[/variant].
	// +optional
	target []string,
) (*dagger.Directory, error) {
	return s.carryOut(ctx, ship.Build, source, wish{targets: target})
}

// Builds one program for one target. Returns its file.
//
// +cache="session"
func (s Slipway) Binary(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Name of the app. It may be left out where there is one.
	// +optional
	app string,
	// Target, as os/arch[/variant]. The default is linux on the engine's architecture.
	// +optional
	target string,
) (*dagger.File, error) {
	return s.binary(ctx, source, app, target)
}

// Builds, and packs archives and Linux packages. Returns the output directory.
//
// +cache="session"
func (s Slipway) Package(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Build only these targets: os/arch[/variant].
	// +optional
	target []string,
) (*dagger.Directory, error) {
	return s.carryOut(ctx, ship.Package, source, wish{targets: target})
}

// Builds the image of one app, for one platform. Returns a container, to look into, to start, or to push for a try.
//
// A release is pushed by publish: for all platforms, with its bill of materials and its signature.
//
// +cache="session"
func (s Slipway) Image(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Name of the app. It may be left out where there is one.
	// +optional
	app string,
	// Platform, such as linux/arm64. The default is that of the engine.
	// +optional
	platform string,
) (*dagger.Container, error) {
	return s.image(ctx, source, app, platform)
}

// Builds the images, and tries each one: starts it, asks its health address, stops it. Returns the output directory.
//
// +cache="session"
func (s Slipway) Smoke(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Build only these targets: os/arch[/variant]. What is tried is linux on the engine's architecture.
	// +optional
	target []string,
) (*dagger.Directory, error) {
	return s.carryOut(ctx, ship.Smoke, source, wish{targets: target})
}

// Does all that needs no credentials: verify, build, package, image, smoke. Returns the output directory.
//
// +cache="session"
func (s Slipway) Ship(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Checks of verify to leave out.
	// +optional
	skip []string,
	// Build only these targets: os/arch[/variant].
	// +optional
	target []string,
) (*dagger.Directory, error) {
	return s.carryOut(ctx, ship.Ship, source, wish{skip: skip, targets: target})
}

// Ships, and pushes the images that were tested, with what is known about them. Returns their references, by digest.
//
// slipway.yaml says where to. Tags are set last. It may be repeated: what is there is not sent again.
//
// +cache="never"
func (s Slipway) Publish(ctx context.Context,
	// Directory of the project, with .git.
	source *dagger.Directory,
	// Move the tag of a version that is published already, with another content.
	// +optional
	force bool,
) ([]string, error) {
	run, err := s.run(ctx, ship.Publish, source, wish{force: force})
	return references(run), err
}
