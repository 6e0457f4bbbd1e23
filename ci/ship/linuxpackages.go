package ship

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/release/linuxpkg"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/systemd"
)

// linuxPackages makes the packages of the apps that ask for them. What has no package, a processor that Debian does not know for
// one, is said.
func (a *assembly) linuxPackages(ctx context.Context) error {
	apps := slices.DeleteFunc(slices.Clone(a.run.project.Apps), func(app project.App) bool { return app.Packages == nil })
	if len(apps) == 0 {
		return nil
	}
	stage := a.run.report.Stage("linux packages")
	for _, app := range apps {
		step := stage.Step(app.Name)
		made, err := linuxpkg.Write(ctx, a.run.dist.staging, packaged(a.run.project, app), a.linuxBinaries(app), formats(app)...)
		switch {
		case err != nil && ctx.Err() != nil:
			step.Cancel()
			return context.Cause(ctx)
		case err != nil:
			step.Fail(report.Failure{Title: app.Name + " cannot be packaged", Tail: strings.Split(err.Error(), "\n"), Next: "see packages and service of " + app.Name + " in slipway.yaml"})
			return nil
		}
		a.packages = append(a.packages, made.Made...)
		for _, why := range made.Without {
			a.run.report.Note(why)
		}
		step.Done(report.Result{Summary: plural(len(made.Made), "package")})
	}
	stage.Done(plural(len(a.packages), "package"))
	return nil
}

// packaged is an app as packages know it.
func packaged(p project.Project, app project.App) linuxpkg.App {
	all := linuxpkg.App{
		Name: app.Name, Binary: app.Binary, Version: p.Version.Version, Date: p.Version.Date, Description: app.Packages.Description,
		Homepage: cmp.Or(app.Packages.Homepage, p.Source.URL), License: app.Packages.License, Maintainer: app.Packages.Maintainer,
	}
	if app.Service != nil {
		all.Service = &linuxpkg.Service{Port: app.Service.Port, Start: app.Service.Start, Grace: app.Service.Grace}
		if app.Service.Port < 1024 {
			all.Service.Relax = append(all.Service.Relax, systemd.LowPorts)
		}
	}
	return all
}

func (a *assembly) linuxBinaries(app project.App) []linuxpkg.Binary {
	var all []linuxpkg.Binary
	for _, b := range a.built.Binaries {
		if b.App.Name == app.Name && b.Target.OS == "linux" {
			all = append(all, linuxpkg.Binary{Target: b.Target, Path: filepath.Join(a.run.dist.staging, filepath.FromSlash(b.Path)), Libc: !b.Info.Static})
		}
	}
	return all
}

func formats(app project.App) []linuxpkg.Format {
	var all []linuxpkg.Format
	for _, format := range app.Packages.Formats {
		all = append(all, linuxpkg.Format(format))
	}
	return all
}

// packageArtifacts are the packages as entries of the lists.
func (a *assembly) packageArtifacts() ([]artifact.Artifact, error) {
	var all []artifact.Artifact
	var problems []error
	for _, p := range a.packages {
		digest, size, err := artifact.Digest(filepath.Join(a.run.dist.staging, p.File))
		problems = append(problems, err)
		all = append(all, artifact.Artifact{Name: p.File, Path: p.File, Kind: artifact.Package, Target: p.Target.String(), Digest: "sha256:" + digest, Size: size})
	}
	return all, errors.Join(problems...)
}
