package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// tree is the content of one layer, by path without a leading slash.
type tree map[string]node

// node is one file, directory or symbolic link.
type node struct {
	kind     byte // tar.TypeReg, TypeDir, TypeSymlink; TypeLink to a file of a lower layer
	mode     int64
	uid, gid int
	link     string
	content  *content // shared by hard links
}

type content struct{ data []byte }

const (
	modeBits       = 0o7777
	defaultDirMode = 0o755
	whiteoutPrefix = ".wh."
	opaque         = ".wh..opq" // behind the prefix: all that a directory had
)

// readTree reads a layer. The last entry of a name counts, as when unpacking.
func readTree(r io.Reader) (tree, error) {
	read := tree{}
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			// What follows the archive still belongs to the digest that is checked.
			_, err = io.Copy(io.Discard, r)
			return read, err
		}
		if err != nil {
			return nil, err
		}
		if err := read.add(header, archive); err != nil {
			return nil, err
		}
	}
}

func (t tree) add(header *tar.Header, archive io.Reader) error {
	name, err := entryName(header.Name)
	if err != nil || name == "" { // the root itself is the same in every image
		return err
	}
	entry := node{kind: header.Typeflag, mode: header.Mode & modeBits, uid: header.Uid, gid: header.Gid}
	switch header.Typeflag {
	case tar.TypeReg:
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		entry.content = &content{data}
	case tar.TypeSymlink:
		entry.link, entry.mode = header.Linkname, 0o777
	case tar.TypeLink:
		if entry, err = t.hardLink(header); err != nil {
			return err
		}
	case tar.TypeDir:
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil
	default:
		return fmt.Errorf("/%s is of the unknown type %q", name, header.Typeflag)
	}
	t[name] = entry
	return nil
}

// hardLink gives what is linked a further name, as unpacking would. A target
// that this layer lacks must be in a lower one, which is checked later.
func (t tree) hardLink(header *tar.Header) (node, error) {
	target, err := entryName(header.Linkname)
	if err != nil {
		return node{}, err
	}
	linked, ok := t[target]
	if !ok {
		return node{kind: tar.TypeLink, mode: header.Mode & modeBits, uid: header.Uid, gid: header.Gid, link: target}, nil
	}
	if linked.kind == tar.TypeDir {
		return node{}, fmt.Errorf("hard link to the directory /%s", target)
	}
	return linked, nil
}

// entryName is the path from the root, "" for the root itself.
func entryName(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("file name %q leads out of the image", name)
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if removed, ok := strings.CutPrefix(path.Base(clean), whiteoutPrefix); ok {
		if removed == opaque {
			removed = "*"
		}
		return "", &WhiteoutError{Path: path.Join("/", path.Dir(clean), removed)}
	}
	return clean, nil
}

// WhiteoutError says that a layer removes something that an earlier layer put
// there. Such an image still carries what seems to be gone.
type WhiteoutError struct{ Path string }

func (e *WhiteoutError) Error() string {
	return fmt.Sprintf("a layer removes %s, which an earlier layer holds and which stays in the image: "+
		"remove it in the step that makes it, or copy only what is needed into a last stage", e.Path)
}

// settle completes a layer with the parents of its files and with the owners
// and modes of the table. Lower is what the layers below have.
func (t tree) settle(lower tree, table map[string]Attributes) error {
	for _, name := range slices.Collect(maps.Keys(t)) {
		if err := t.addParents(name, lower); err != nil {
			return err
		}
		if entry := t[name]; entry.kind == tar.TypeLink && !lower.isFile(entry.link) {
			return fmt.Errorf("/%s is a hard link to /%s, which is not there", name, entry.link)
		}
	}
	for name, wanted := range table {
		if entry, ok := t[name]; ok {
			t[name] = entry.with(wanted)
		}
	}
	return nil
}

func (t tree) isFile(name string) bool {
	entry, ok := t[name]
	return ok && entry.kind != tar.TypeDir
}

func (n node) with(wanted Attributes) node {
	n.uid, n.gid = wanted.UID, wanted.GID
	if n.kind != tar.TypeSymlink {
		n.mode = wanted.Mode & modeBits
	}
	return n
}

// addParents makes sure that each directory above name is in the layer, with the
// attributes that it has further down. A parent that is a link further down
// (/lib on many systems) must stay one.
func (t tree) addParents(name string, lower tree) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if here, ok := t[dir]; ok {
			if here.kind != tar.TypeDir && here.kind != tar.TypeSymlink {
				return fmt.Errorf("/%s is a file, and holds /%s", dir, name)
			}
			continue
		}
		below, ok := lower[dir]
		switch {
		case ok && below.kind == tar.TypeSymlink:
			return nil
		case ok && below.kind == tar.TypeDir:
			t[dir] = below
		default:
			t[dir] = node{kind: tar.TypeDir, mode: defaultDirMode}
		}
	}
	return nil
}

// over adds a layer to what is below, without the content of its files.
func (t tree) over(lower tree) {
	for name, entry := range t {
		entry.content = nil
		lower[name] = entry
	}
}

// names lists the paths with each directory right before what it holds.
func (t tree) names() []string {
	names := slices.Collect(maps.Keys(t))
	slices.SortFunc(names, comparePaths)
	return names
}

// comparePaths compares element by element: a/b comes before a-b.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}
