package oci

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteRootfs writes one root filesystem, given as an uncompressed tar stream that can be opened more than once, as an OCI
// layout in a tar file, in the form that the engine imports: its image config names the platform. The file appears only
// when it is complete.
func WriteRootfs(path string, platform v1.Platform, rootfs tarball.Opener) error {
	work, err := os.MkdirTemp(filepath.Dir(path), ".rootfs-")
	if err != nil {
		return fmt.Errorf("make a work directory: %w", err)
	}
	defer os.RemoveAll(work)
	image, err := rootfsImage(platform, rootfs)
	if err != nil {
		return err
	}
	dir := filepath.Join(work, "layout")
	written, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	if err := written.AppendImage(image, layout.WithPlatform(platform)); err != nil {
		return fmt.Errorf("write the root filesystem: %w", err)
	}
	part := filepath.Join(work, "layout.tar")
	if err := tarDir(part, dir); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func rootfsImage(platform v1.Platform, rootfs tarball.Opener) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(rootfs, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("read the root filesystem: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	base, err = mutate.ConfigFile(base, &v1.ConfigFile{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		return nil, fmt.Errorf("describe the root filesystem: %w", err)
	}
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, fmt.Errorf("assemble the root filesystem: %w", err)
	}
	return image, nil
}

// tarDir writes the regular files below dir to a tar file.
func tarDir(path, dir string) (err error) {
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	archive := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return tarFile(archive, dir, name)
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return archive.Close()
}

func tarFile(archive *tar.Writer, dir, name string) error {
	rel, err := filepath.Rel(dir, name)
	if err != nil {
		return err
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(rel), Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(archive, in)
	return err
}
