// Package gosdk gives the embedded engine what it needs for Dagger modules that are written in Go: the image in which they are
// generated, built and run. The official engine brings its own along; ours is told of this one when somebody asks for it, so that
// a run that calls no module pays nothing.
//
// The image is made of what Slipway has in the cache anyway: the Debian root in which tests run (for git and a C compiler), the
// Go toolchain, and the engine's own generator. The files that Slipway's own module needs in there ([rootfs]) are put into it as
// its cache, so that a run in the module builds with the same bits as a run beside it, and fetches nothing.
package gosdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/rootfs"
)

// Options says where the image goes and what it is made of.
type Options struct {
	Content  string            // the directory in which the engine looks (embedded.Endpoint.Content)
	Codegen  string            // the engine's generator (embedded.Endpoint.Codegen)
	Cache    string            // Slipway's directory in the user's cache
	Go       string            // release of the toolchain, such as "1.26.8"
	CAs      []byte            // roots of trust that take the place of Debian's; nil: they stay
	Environ  []string          // for the go command
	Progress func(text string) // what is being done now
}

// nameFile holds the digest of the image that counts. The engine reads it whenever a module is loaded.
const nameFile = "go-sdk"

// revision changes when what is done with the parts changes.
const revision = 1

// inputsAnnotation names what the image was made of.
const inputsAnnotation = "ci.slipway.gosdk.inputs"

// Provide makes the image and names it to the engine, unless it is there.
func Provide(ctx context.Context, o Options) error {
	if o.Codegen == "" {
		return errors.New("the engine that runs was started by an older slipway: end it with slipway engine stop, and start it again")
	}
	parts, err := collect(ctx, o)
	if err != nil {
		return err
	}
	inputs := parts.inputs(o)
	if current(o.Content) == inputs {
		return nil
	}
	o.Progress("assembling the image in which Dagger modules run")
	image, err := parts.image(o, inputs)
	if err != nil {
		return fmt.Errorf("assemble the image for modules: %w", err)
	}
	if err := install(o.Content, image); err != nil {
		return fmt.Errorf("write the image for modules: %w", err)
	}
	return nil
}

// parts are the files that the image is made of.
type parts struct {
	toolchain string
	tests     string // "" where no Debian root can be had
	base      string
}

// collect makes the files that are not there yet. A machine without Debian packages has modules too, but they have no git.
func collect(ctx context.Context, o Options) (parts, error) {
	var p parts
	from := rootfs.Options{Cache: o.Cache, Environ: o.Environ, Progress: o.Progress}
	var err error
	if p.toolchain, err = rootfs.Toolchain(ctx, from, o.Go, runtime.GOARCH); err != nil {
		return p, err
	}
	if p.base, err = rootfs.Base(ctx, from, o.Go, runtime.GOARCH); err != nil {
		return p, err
	}
	if p.tests, err = rootfs.Tests(ctx, from); errors.Is(err, debian.ErrUnavailable) {
		return p, nil
	}
	return p, err
}

func (p parts) files() []string {
	files := []string{p.toolchain, p.base}
	if p.tests != "" {
		files = append(files, p.tests)
	}
	return files
}

// inputs names all that the image is made of. The files in the cache are never changed, and neither is the engine's layer.
func (p parts) inputs(o Options) string {
	h := sha256.New()
	fmt.Fprintln(h, revision, o.Codegen, len(o.CAs))
	for _, file := range p.files() {
		fmt.Fprintln(h, file)
	}
	_, _ = h.Write(o.CAs)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// current is what the image was made of that the engine is told of; "" when there is none, or not all of it.
func current(content string) string {
	digest, err := os.ReadFile(filepath.Join(content, nameFile))
	if err != nil {
		return ""
	}
	manifest, err := readManifest(content, string(digest))
	if err != nil {
		return ""
	}
	for _, blob := range append(manifest.Layers, manifest.Config) {
		info, err := os.Stat(blobPath(content, blob.Digest))
		if err != nil || info.Size() != blob.Size {
			return ""
		}
	}
	return manifest.Annotations[inputsAnnotation]
}

func readManifest(content, digest string) (manifest, error) {
	var m manifest
	hash, err := parseDigest(digest)
	if err != nil {
		return m, err
	}
	data, err := os.ReadFile(blobPath(content, hash))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(data, &m)
}

// sweep removes the blobs of earlier images.
func sweep(content string, keep map[string]bool) error {
	dir := filepath.Join(content, "blobs", "sha256")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if len(name) != hex.EncodedLen(sha256.Size) || keep[name] { // what has another name is being written
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
