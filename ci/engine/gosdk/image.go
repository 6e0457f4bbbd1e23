package gosdk

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/rootfs"
)

type manifest = v1.Manifest

func parseDigest(text string) (v1.Hash, error) { return v1.NewHash(strings.TrimSpace(text)) }

func blobPath(content string, digest v1.Hash) string {
	return filepath.Join(content, "blobs", digest.Algorithm, digest.Hex)
}

// Paths within the image. The engine's Go SDK mounts its cache volumes on goModules and goBuilds.
const (
	goPath     = "/go"
	goModules  = "/go/pkg/mod"
	goBuilds   = "/root/.cache/go-build"
	cacheDir   = "/usr/local/share/slipway"
	codegenBin = "/usr/local/bin/codegen"
	caBundle   = "/etc/ssl/certs/ca-certificates.crt"
)

// config is what programs in the image find around them. GOTOOLCHAIN is local: the engine refuses modules that want a newer Go, and
// a download would be a surprise.
func config() v1.Config {
	return v1.Config{WorkingDir: "/", Env: []string{
		"PATH=" + goPath + "/bin:" + rootfs.GoRoot + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "GOPATH=" + goPath, "GOTOOLCHAIN=local", "SSL_CERT_FILE=" + caBundle, "SLIPWAY_CACHE=" + cacheDir,
	}}
}

// image stacks Debian, Go, and what is ours. The first two are layers already and stay as they are.
func (p parts) image(o Options, inputs string) (v1.Image, error) {
	var layers []v1.Layer
	if p.tests != "" {
		debian, err := tarball.LayerFromFile(p.tests, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.tests, err)
		}
		layers = append(layers, debian)
	}
	toolchain, err := toolchainLayers(p.toolchain)
	if err != nil {
		return nil, err
	}
	own, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return p.ownFiles(o), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.NoCompression)) // most of it is compressed
	if err != nil {
		return nil, fmt.Errorf("read the files of the cache: %w", err)
	}
	layers = append(append(layers, toolchain...), own)
	return stack(layers, inputs)
}

func stack(layers []v1.Layer, inputs string) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, Config: config(), RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		return nil, err
	}
	if image, err = mutate.AppendLayers(image, layers...); err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(image, map[string]string{inputsAnnotation: inputs}).(v1.Image)
	if !ok {
		return nil, errors.New("an annotated image is no image")
	}
	return annotated, nil
}

// toolchainLayers are those of the layout in the cache.
func toolchainLayers(file string) ([]v1.Layer, error) {
	index, err := oci.ReadTar(file)
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(list.Manifests) != 1 {
		return nil, fmt.Errorf("%s holds %d images, not one", file, len(list.Manifests))
	}
	image, err := index.Image(list.Manifests[0].Digest)
	if err != nil {
		return nil, err
	}
	return image.Layers()
}

// ownFiles is the uppermost layer, as a tar stream.
func (p parts) ownFiles(o Options) io.ReadCloser {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(p.writeOwn(ownTar{tar.NewWriter(writer)}, o)) }()
	return reader
}

func (p parts) writeOwn(w ownTar, o Options) error {
	// the parents too: a root without Debian has none of them
	for _, dir := range []string{"/etc/ssl", "/etc/ssl/certs", goPath, "/go/pkg", goModules, "/root", "/root/.cache", goBuilds, "/usr/local/bin", "/usr/local/share", cacheDir, cacheDir + "/rootfs"} {
		if err := w.dir(dir); err != nil {
			return err
		}
	}
	if err := w.file(codegenBin, o.Codegen, 0o755); err != nil {
		return err
	}
	for _, file := range p.files() {
		if err := w.file(path.Join(cacheDir, "rootfs", filepath.Base(file)), file, 0o644); err != nil {
			return err
		}
	}
	if len(o.CAs) > 0 {
		if err := w.bytes(caBundle, o.CAs); err != nil {
			return err
		}
	}
	return w.Close()
}

// ownTar writes files that depend on their content only.
type ownTar struct{ *tar.Writer }

func (w ownTar) dir(name string) error {
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name[1:] + "/", Mode: 0o755, ModTime: time.Unix(0, 0)})
}

func (w ownTar) bytes(name string, content []byte) error {
	if err := w.header(name, int64(len(content)), 0o644); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

func (w ownTar) file(name, from string, mode int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := w.header(name, info.Size(), mode); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}

func (w ownTar) header(name string, size, mode int64) error {
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Size: size, Mode: mode, ModTime: time.Unix(0, 0)})
}

// install writes the blobs, and names the image when all of them are there.
func install(content string, image v1.Image) error {
	if err := os.MkdirAll(content, 0o700); err != nil {
		return err
	}
	if err := layout.Path(content).WriteImage(image); err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	named := filepath.Join(content, nameFile)
	if err := os.WriteFile(named+".new", []byte(digest.String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(named+".new", named); err != nil {
		return err
	}
	written, err := image.Manifest()
	if err != nil {
		return err
	}
	keep := map[string]bool{digest.Hex: true, written.Config.Digest.Hex: true}
	for _, layer := range written.Layers {
		keep[layer.Digest.Hex] = true
	}
	return sweep(content, keep)
}
