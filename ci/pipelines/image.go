package pipelines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// ImageSource says what images are assembled from.
type ImageSource struct {
	Dockerfile string // text of Dockerfile.runtime
	Base       string // file of the assembled base's root filesystem (package rootfs); unused where an app names a base
}

// dockerfileName is the file that users may put into their project to change how images are assembled.
const dockerfileName = "Dockerfile.runtime"

// Dockerfile returns the project's own Dockerfile.runtime, or the fallback.
func Dockerfile(p project.Project, fallback string) (text string, own bool, err error) {
	data, err := os.ReadFile(filepath.Join(p.Root, dockerfileName))
	if os.IsNotExist(err) {
		return fallback, false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read %s: %w", dockerfileName, err)
	}
	return string(data), true, nil
}

// Image assembles the image of an app for all of its linux targets and exports it to file, as BuildKit writes it: an OCI
// layout in a tar file, not yet canonical. It returns the step, which the caller ends.
func (s Stages) Image(ctx context.Context, stage *report.StageRecorder, app project.App, built Built, from ImageSource, file string) (*report.StepRecorder, error) {
	step := stage.Step(app.Name)
	var variants []*dagger.Container
	for _, b := range built.Binaries {
		if b.App.Name == app.Name && b.Target.OS == "linux" {
			variants = append(variants, s.runtimeImage(b, from))
		}
	}
	_, err := s.Client.Container().Export(ctx, file, dagger.ContainerExportOpts{
		PlatformVariants:  variants,
		ForcedCompression: dagger.ImageLayerCompressionUncompressed, // it is compressed once, canonically
		MediaTypes:        dagger.ImageMediaTypesOcimediaTypes,
	})
	if err != nil {
		return step, fmt.Errorf("assemble the image: %w", explain(err))
	}
	return step, nil
}

// runtimeImage is one platform of an image: Dockerfile.runtime on the base, with the binary.
func (s Stages) runtimeImage(b Binary, from ImageSource) *dagger.Container {
	args := []dagger.BuildArg{{Name: "BASE", Value: "scratch"}}
	root := s.Client.Directory()
	if b.App.Image.Base != "" {
		args[0].Value = b.App.Image.Base
	} else {
		root = s.Client.Container().Import(s.Client.Host().File(from.Base)).Rootfs()
	}
	return s.Client.Directory().
		WithDirectory("root", root).
		WithFile("app", b.file, dagger.DirectoryWithFileOpts{Permissions: 0o755}).
		WithNewFile("Dockerfile", from.Dockerfile).
		DockerBuild(dagger.DirectoryDockerBuildOpts{Platform: dagger.Platform(b.Target.Platform()), BuildArgs: args})
}
