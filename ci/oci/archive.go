package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ReadTar reads an OCI layout in a tar file, as Dagger's Container.Export and
// AsTarball write it. Blobs are read from the file, and checked, when they are
// needed: it must stay as it is until then.
func ReadTar(path string) (v1.ImageIndex, error) {
	idx, err := readTar(path)
	if err != nil {
		return nil, fmt.Errorf("read image archive %s: %w", path, err)
	}
	return idx, nil
}

func readTar(path string) (v1.ImageIndex, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found, err := scan(file)
	if err != nil {
		return nil, err
	}
	stored := tarBlobs{path: path, parts: found}
	stamp, err := stored.document(markerFile)
	if err == nil {
		err = checkMarker(stamp)
	}
	if err != nil {
		return nil, err
	}
	root, err := stored.document(indexFile)
	if err != nil {
		return nil, err
	}
	return unwrap(storedIndex{root, stored})
}

// part is where a file lies in the archive.
type part struct{ offset, size int64 }

// scan finds the plain files of an archive without reading their content.
func scan(file *os.File) (map[string]part, error) {
	found := map[string]part{}
	archive := tar.NewReader(file)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		found[strings.TrimPrefix(path.Clean("/"+header.Name), "/")] = part{offset, header.Size}
	}
}

// tarBlobs finds blobs in a tar file.
type tarBlobs struct {
	path  string
	parts map[string]part
}

func (t tarBlobs) open(digest v1.Hash) (io.ReadCloser, error) {
	opened, err := t.openPart(path.Join(blobsDir, digest.Algorithm, digest.Hex))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing(digest)
	}
	return opened, err
}

func (t tarBlobs) openPart(name string) (io.ReadCloser, error) {
	at, ok := t.parts[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
	}
	file, err := os.Open(t.path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(file, at.offset, at.size), file}, nil
}

func (t tarBlobs) document(name string) ([]byte, error) {
	if t.parts[name].size > maxDocument {
		return nil, fmt.Errorf("%s is larger than it may be", name)
	}
	opened, err := t.openPart(name)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	return io.ReadAll(opened)
}

// WriteTar writes one platform of a layout as an OCI layout in a tar, as
// Dagger's Container.Import reads it. The bytes depend on the image only.
func WriteTar(w io.Writer, dir string, platform v1.Platform) error {
	idx, err := ReadLayout(dir)
	if err != nil {
		return err
	}
	if err := writeTar(w, idx, plain(platform)); err != nil {
		return fmt.Errorf("write image archive of %s: %w", dir, err)
	}
	return nil
}

func writeTar(w io.Writer, idx v1.ImageIndex, platform v1.Platform) error {
	chosen, err := choose(idx, platform)
	if err != nil {
		return err
	}
	raw, err := chosen.image.RawManifest()
	if err != nil {
		return err
	}
	kind, err := chosen.image.MediaType()
	if err != nil {
		return err
	}
	root, err := encode(rootIndex(v1.Descriptor{
		MediaType: kind, Digest: hashOf(raw), Size: int64(len(raw)), Platform: &chosen.platform,
	}))
	if err != nil {
		return err
	}
	out := layoutTar{tar.NewWriter(w), map[string]bool{}}
	return errors.Join(
		out.addBytes(markerFile, []byte(marker)),
		out.addBytes(indexFile, root),
		eachBlobOf(chosen.image, out.addBlob),
		out.archive.Close(),
	)
}

// choose finds the image for a platform. Its configuration must name the
// platform too: the engine looks there.
func choose(idx v1.ImageIndex, platform v1.Platform) (member, error) {
	members, err := flatten(idx)
	if err != nil {
		return member{}, err
	}
	var names []string
	for _, candidate := range members {
		if comparePlatforms(candidate.platform, platform) != 0 {
			names = append(names, candidate.platform.String())
			continue
		}
		if candidate.config.OS == "" || candidate.config.Architecture == "" {
			return member{}, errors.New("the image's configuration names no platform")
		}
		return candidate, nil
	}
	return member{}, fmt.Errorf("there is no image for %s, only for %s", platform, strings.Join(names, ", "))
}

type layoutTar struct {
	archive *tar.Writer
	written map[string]bool
}

func (l layoutTar) addBytes(name string, data []byte) error {
	if err := l.archive.WriteHeader(layoutHeader(name, int64(len(data)))); err != nil {
		return err
	}
	_, err := l.archive.Write(data)
	return err
}

func (l layoutTar) addBlob(described v1.Descriptor, open opener) error {
	name := path.Join(blobsDir, described.Digest.Algorithm, described.Digest.Hex)
	if l.written[name] {
		return nil
	}
	l.written[name] = true
	content, err := open()
	if err != nil {
		return err
	}
	defer content.Close()
	if err := l.archive.WriteHeader(layoutHeader(name, described.Size)); err != nil {
		return err
	}
	_, err = io.Copy(l.archive, content)
	return err
}

func layoutHeader(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}
}
