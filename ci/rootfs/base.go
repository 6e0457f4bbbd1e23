package rootfs

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/pipelines/runtimebase"
)

// Base returns the file that holds the base of the images, assembled from pinned Go modules: CA roots, the time zones of a
// Go release, users. The architecture is that of the engine which reads it; the files are the same for all.
func Base(ctx context.Context, o Options, version, arch string) (string, error) {
	file := filepath.Join(o.Cache, "rootfs", fmt.Sprintf("%s-go%s-%s-v%d.tar", strings.ReplaceAll(runtimebase.Name(), ":", "-"), version, arch, baseLayout))
	return Once(ctx, file, func(out string) error {
		o.Progress("assembling the base of the images")
		archive, err := download(ctx, o, version, arch)
		if err != nil {
			return &ToolchainError{Version: version, Cause: err}
		}
		zones, err := zoneFile(archive)
		if err != nil {
			return err
		}
		base, err := runtimebase.Assemble(bytes.NewReader(zones), int64(len(zones)))
		if err != nil {
			return err
		}
		return oci.WriteRootfs(out, v1.Platform{OS: "linux", Architecture: arch}, func() (io.ReadCloser, error) {
			var root bytes.Buffer
			if err := base.WriteTar(&root, time.Unix(0, 0)); err != nil {
				return nil, err
			}
			return io.NopCloser(&root), nil
		})
	})
}

// baseLayout changes when what is assembled changes, so that older files are not taken for it.
const baseLayout = 1

// zoneFile is the toolchain's own lib/time/zoneinfo.zip.
func zoneFile(archive string) ([]byte, error) {
	zr, err := zip.OpenReader(archive)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", archive, err)
	}
	defer zr.Close()
	for _, f := range zr.File {
		if !strings.HasSuffix(f.Name, "/lib/time/zoneinfo.zip") {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		defer in.Close()
		return io.ReadAll(in)
	}
	return nil, fmt.Errorf("there are no time zones in %s", archive)
}
