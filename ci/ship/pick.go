package ship

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// Pick returns the artifact of a kind that a run has made for an app. The app may be left out where there is one; target too, for
// what is made once for all of them.
func Pick(run report.Run, kind, app, target string) (report.Artifact, error) {
	var found []report.Artifact
	var names []string
	for _, a := range run.Artifacts {
		if a.Kind != kind || (target != "" && a.Target != target) {
			continue
		}
		names = append(names, a.Name)
		if app == "" || a.Name == app {
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(names) == 0:
		return report.Artifact{}, &UsageError{fmt.Sprintf("this project has no %s", strings.TrimSuffix(kind+" for "+target, " for "))}
	case len(found) == 0:
		return report.Artifact{}, &UsageError{fmt.Sprintf("there is no app %q; there is %s", app, strings.Join(names, ", "))}
	}
	return report.Artifact{}, &UsageError{fmt.Sprintf("which app? There is %s", strings.Join(unique(names), ", "))}
}

// WriteImage writes one platform of an app's image in an output directory as an OCI layout in a tar file: the form that an engine
// imports.
func WriteImage(file, dist, app string, t target.Target) error {
	platform, err := v1.ParsePlatform(t.Platform())
	if err != nil {
		return fmt.Errorf("name the platform of %s: %w", t, err)
	}
	return writeFile(file, func(f *os.File) error {
		return oci.WriteTar(f, filepath.Join(dist, imagesDir, app), *platform)
	})
}
