package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"

	"dagger/slipway/internal/dagger"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/ci/target"
)

// imageFile is one platform of an image on its way into the engine.
const imageFile = "image.tar"

// enginePlatform is where the function itself runs.
const enginePlatform = "linux/" + runtime.GOARCH

// reports are written whether the project is well or not; an error without them is one of the call.
func (s Slipway) reports(ctx context.Context, name string, source *dagger.Directory, w wish) (*dagger.Directory, error) {
	verbs := []ship.Verb{ship.Verify, ship.Build, ship.Package, ship.Image, ship.Smoke, ship.Ship}
	verb := ship.Verb(name)
	if !slices.Contains(verbs, verb) {
		return nil, fmt.Errorf("--verb %q: there is no such verb that only reports; there is %s", name, said(verbs))
	}
	run, err := s.run(ctx, verb, source, w)
	if err != nil && len(run.Stages) == 0 {
		return nil, err
	}
	return dag.CurrentModule().Workdir(path.Join(distDir, "reports")).Sync(ctx)
}

// binary is one program of a build for its target alone.
func (s Slipway) binary(ctx context.Context, source *dagger.Directory, app, wanted string) (*dagger.File, error) {
	one, err := target.Parse(cmp.Or(wanted, enginePlatform))
	if err != nil {
		return nil, fmt.Errorf("--target: %w", err)
	}
	run, err := s.run(ctx, ship.Build, source, wish{targets: []string{one.String()}})
	if err != nil {
		return nil, err
	}
	built, err := ship.Pick(run, report.KindBinary, app, one.String())
	if err != nil {
		return nil, err
	}
	return dag.CurrentModule().WorkdirFile(path.Join(distDir, built.Path)).Sync(ctx)
}

// image is what stands in the output directory, read back from there.
func (s Slipway) image(ctx context.Context, source *dagger.Directory, app, platform string) (*dagger.Container, error) {
	wanted, err := target.Parse(cmp.Or(platform, enginePlatform))
	if err != nil {
		return nil, fmt.Errorf("--platform: %w", err)
	}
	run, err := s.run(ctx, ship.Image, source, wish{targets: []string{wanted.String()}})
	if err != nil {
		return nil, err
	}
	made, err := ship.Pick(run, report.KindImage, app, "")
	if err != nil {
		return nil, err
	}
	if err := ship.WriteImage(imageFile, distDir, made.Name, wanted); err != nil {
		return nil, err
	}
	container := dag.Container(dagger.ContainerOpts{Platform: dagger.Platform(wanted.Platform())})
	return container.Import(dag.CurrentModule().WorkdirFile(imageFile)).Sync(ctx)
}

// references names each image by its digest.
func references(run report.Run) []string {
	var all []string
	for _, p := range run.Published {
		all = append(all, p.Reference())
	}
	return all
}

// said is a list as an error shows it.
func said(verbs []ship.Verb) string {
	names := make([]string, len(verbs))
	for i, verb := range verbs {
		names[i] = string(verb)
	}
	return strings.Join(names, ", ")
}
