package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	amd64   = v1.Platform{OS: "linux", Architecture: "amd64"}
	arm64   = v1.Platform{OS: "linux", Architecture: "arm64"}
	commit  = time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("here", 7200))
	options = Options{Created: commit}
)

// entry is a short way to write a tar header.
type entry struct {
	name string
	kind byte
	text string // content, or what a link leads to
	mode int64
	uid  int
	head func(*tar.Header)
}

func file(name, text string) entry {
	return entry{name: name, kind: tar.TypeReg, text: text, mode: 0o644}
}
func dir(name string) entry      { return entry{name: name, kind: tar.TypeDir, mode: 0o755} }
func link(name, to string) entry { return entry{name: name, kind: tar.TypeLink, text: to, mode: 0o644} }
func soft(name, to string) entry {
	return entry{name: name, kind: tar.TypeSymlink, text: to, mode: 0o777}
}

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: e.mode, Uid: e.uid}
		if e.kind == tar.TypeReg {
			header.Size = int64(len(e.text))
		} else {
			header.Linkname = e.text
		}
		if e.head != nil {
			e.head(header)
		}
		require.NoError(t, archive.WriteHeader(header))
		if e.kind == tar.TypeReg {
			_, err := archive.Write([]byte(e.text))
			require.NoError(t, err)
		}
	}
	require.NoError(t, archive.Close())
	return out.Bytes()
}

// rawLayer is a layer from compressed bytes.
func rawLayer(data []byte, kind types.MediaType) v1.Layer {
	return compressedLayer{static.NewLayer(data, kind), data}
}

type compressedLayer struct {
	v1.Layer
	data []byte
}

func (c compressedLayer) DiffID() (v1.Hash, error) {
	opened, err := c.Uncompressed()
	if err != nil {
		return v1.Hash{}, err
	}
	digest, _, err := v1.SHA256(opened)
	return digest, err
}

func (c compressedLayer) Uncompressed() (io.ReadCloser, error) {
	if bytes.HasPrefix(c.data, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(bytes.NewReader(c.data))
	}
	reader, err := zstd.NewReader(bytes.NewReader(c.data))
	if err != nil {
		return nil, err
	}
	return reader.IOReadCloser(), nil
}

func gzipped(t *testing.T, data []byte, level int) v1.Layer {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	require.NoError(t, err)
	w.Name, w.ModTime = "noise", time.Now()
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return rawLayer(out.Bytes(), types.DockerLayer)
}

func zstded(t *testing.T, data []byte) v1.Layer {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return rawLayer(out.Bytes(), types.OCILayerZStd)
}

func imageOf(t *testing.T, platform v1.Platform, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	return image
}

func indexOf(images ...v1.Image) v1.ImageIndex {
	idx := v1.ImageIndex(empty.Index)
	for _, image := range images {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: image})
	}
	return idx
}

func one(t *testing.T, entries ...entry) v1.ImageIndex {
	t.Helper()
	return indexOf(imageOf(t, amd64, gzipped(t, tarOf(t, entries...), 1)))
}

func canonical(t *testing.T, idx v1.ImageIndex, opts Options) v1.ImageIndex {
	t.Helper()
	made, err := Canonical(idx, opts)
	require.NoError(t, err)
	return made
}

func digestOf(t *testing.T, idx v1.ImageIndex) v1.Hash {
	t.Helper()
	digest, err := idx.Digest()
	require.NoError(t, err)
	return digest
}

func images(t *testing.T, idx v1.ImageIndex) []member {
	t.Helper()
	members, err := flatten(idx)
	require.NoError(t, err)
	return members
}

// headers lists what a layer of the first image has.
func headers(t *testing.T, idx v1.ImageIndex, layer int) (found []tar.Header, texts map[string]string) {
	t.Helper()
	layers, err := images(t, idx)[0].image.Layers()
	require.NoError(t, err)
	opened, err := layers[layer].Uncompressed()
	require.NoError(t, err)
	defer opened.Close()
	texts = map[string]string{}
	for archive := tar.NewReader(opened); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found, texts
		}
		require.NoError(t, err)
		text, err := io.ReadAll(archive)
		require.NoError(t, err)
		found, texts[header.Name] = append(found, *header), string(text)
	}
}

func describe(headers []tar.Header) []string {
	var lines []string
	for _, h := range headers {
		line := fmt.Sprintf("%c %04o %d:%d %s", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Name)
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		lines = append(lines, line)
	}
	return lines
}

func TestLayersAreCanonical(t *testing.T) {
	noise := func(h *tar.Header) {
		h.ModTime, h.AccessTime, h.Uname, h.Gname = time.Now(), time.Now(), "somebody", "people"
		h.PAXRecords, h.Format = map[string]string{"SCHILY.xattr.user.note": "x"}, tar.FormatPAX
	}
	idx := one(t,
		entry{name: "./", kind: tar.TypeDir, mode: 0o700},
		entry{name: "usr/bin/tool", kind: tar.TypeReg, text: "old", mode: 0o4755, uid: 7, head: noise},
		file("/b-x", "bx"), dir("b"), file("b/file", "in b"),
		soft("usr/bin/alias", "tool"),
		entry{name: "dev/null", kind: tar.TypeChar, mode: 0o666}, entry{name: "pipe", kind: tar.TypeFifo},
		entry{name: "usr/bin/tool", kind: tar.TypeReg, text: "new", mode: 0o4755, uid: 7, head: noise},
	)
	found, texts := headers(t, canonical(t, idx, options), 0)
	assert.Equal(t, []string{
		"5 0755 0:0 b/",
		"0 0644 0:0 b/file",
		"0 0644 0:0 b-x",
		"5 0755 0:0 usr/",
		"5 0755 0:0 usr/bin/",
		"2 0777 0:0 usr/bin/alias -> tool",
		"0 4755 7:0 usr/bin/tool",
	}, describe(found))
	assert.Equal(t, "new", texts["usr/bin/tool"], "the last entry of a name counts")
	for _, header := range found {
		assert.Equal(t, commit.Unix(), header.ModTime.Unix())
		assert.Empty(t, header.Uname+header.Gname)
		assert.Empty(t, header.PAXRecords)
		assert.Equal(t, tar.FormatUSTAR, header.Format)
	}
}

func TestModTimeCanBeFixed(t *testing.T) {
	idx := one(t, file("a", "a"))
	first := Options{Created: commit, ModTime: time.Unix(1, 0)}
	second := Options{Created: commit.Add(time.Hour), ModTime: time.Unix(1, 0)}
	layerOf := func(opts Options) v1.Hash {
		layers, err := images(t, canonical(t, idx, opts))[0].image.Layers()
		require.NoError(t, err)
		digest, err := layers[0].Digest()
		require.NoError(t, err)
		return digest
	}
	assert.Equal(t, layerOf(first), layerOf(second))
	assert.NotEqual(t, digestOf(t, canonical(t, idx, first)), digestOf(t, canonical(t, idx, second)))
	_, err := Canonical(idx, Options{})
	assert.NoError(t, err, "no time counts as 1970")
}

func TestAttributes(t *testing.T) {
	opts := Options{Created: commit, Attributes: map[string]Attributes{
		"/tmp":          {Mode: 0o1777},
		"home/nonroot/": {UID: 65532, GID: 65532, Mode: 0o700},
		"/lnk":          {UID: 1, GID: 2, Mode: 0o600},
		"/not/there":    {UID: 5},
	}}
	low := gzipped(t, tarOf(t, dir("tmp"), dir("home/nonroot"), soft("lnk", "tmp")), 1)
	high := gzipped(t, tarOf(t, file("tmp/x", "x"), file("home/nonroot/y", "y"), file("new/z", "z")), 1)
	idx := canonical(t, indexOf(imageOf(t, amd64, low, high)), opts)

	found, _ := headers(t, idx, 0)
	assert.Equal(t, []string{
		"5 0755 0:0 home/", "5 0700 65532:65532 home/nonroot/", "2 0777 1:2 lnk -> tmp", "5 1777 0:0 tmp/",
	}, describe(found))
	found, _ = headers(t, idx, 1)
	assert.Equal(t, []string{
		"5 0755 0:0 home/", "5 0700 65532:65532 home/nonroot/", "0 0644 0:0 home/nonroot/y",
		"5 0755 0:0 new/", "0 0644 0:0 new/z", "5 1777 0:0 tmp/", "0 0644 0:0 tmp/x",
	}, describe(found), "parents that are added are those of the layers below")
}

func TestParentsThatAreLinksStayLinks(t *testing.T) {
	low := gzipped(t, tarOf(t, dir("usr/lib"), soft("lib", "usr/lib")), 1)
	high := gzipped(t, tarOf(t, file("lib/deep/x", "x")), 1)
	found, _ := headers(t, canonical(t, indexOf(imageOf(t, amd64, low, high)), options), 1)
	assert.Equal(t, []string{"5 0755 0:0 lib/deep/", "0 0644 0:0 lib/deep/x"}, describe(found))
}

func TestHardLinks(t *testing.T) {
	low := gzipped(t, tarOf(t, file("low", "low")), 1)
	high := gzipped(t, tarOf(t, file("z", "shared"), link("a", "z"), link("m", "/a"), file("z", "later"), link("k", "low")), 1)
	found, texts := headers(t, canonical(t, indexOf(imageOf(t, amd64, low, high)), options), 1)
	assert.Equal(t, []string{
		"0 0644 0:0 a", "1 0644 0:0 k -> low", "1 0644 0:0 m -> a", "0 0644 0:0 z",
	}, describe(found))
	assert.Equal(t, "shared", texts["a"])
	assert.Equal(t, "later", texts["z"])
}

func TestLayersThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		entries []entry
		says    string
	}{
		"escape":            {[]entry{file("../x", "")}, "leads out of the image"},
		"escape in a link":  {[]entry{link("x", "../../etc/passwd")}, "leads out of the image"},
		"link to nothing":   {[]entry{link("x", "y")}, "hard link to /y, which is not there"},
		"link to directory": {[]entry{dir("d"), link("x", "d")}, "hard link to the directory /d"},
		"file as directory": {[]entry{file("f", ""), file("f/x", "")}, "/f is a file, and holds /f/x"},
		"removal":           {[]entry{file("etc/.wh.passwd", "")}, "removes /etc/passwd"},
		"opaque":            {[]entry{file("etc/.wh..wh..opq", "")}, "removes /etc/*, which"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Canonical(one(t, c.entries...), options)
			assert.ErrorContains(t, err, c.says)
			assert.ErrorContains(t, err, "linux/amd64 canonical: layer 1: ")
		})
	}
	_, err := Canonical(one(t, file(".wh.x", "")), options)
	var whiteout *WhiteoutError
	require.ErrorAs(t, err, &whiteout)
	assert.Equal(t, "/x", whiteout.Path)
	_, err = Canonical(indexOf(imageOf(t, amd64, gzipped(t, []byte("not a tar, but long enough to be read as one"), 1))), options)
	assert.Error(t, err)
}

func TestEmptyLayersAreDropped(t *testing.T) {
	nothing := gzipped(t, tarOf(t, entry{name: "./", kind: tar.TypeDir, mode: 0o755}), 1)
	something := gzipped(t, tarOf(t, file("a", "a")), 1)
	idx := canonical(t, indexOf(imageOf(t, amd64, nothing, something, nothing)), options)
	assert.Equal(t, digestOf(t, canonical(t, one(t, file("a", "a")), options)), digestOf(t, idx))
}

func TestConfig(t *testing.T) {
	image := imageOf(t, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, gzipped(t, tarOf(t, file("app", "x")), 1))
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config.Container, config.Author = "noise", "somebody"
	config.History = []v1.History{{Created: v1.Time{Time: time.Now()}, CreatedBy: "COPY app /app # buildkit"}}
	config.Config = v1.Config{
		Hostname: "buildhost", Image: "sha256:1", OnBuild: []string{"RUN x"}, Tty: true,
		Env: []string{"Z=1", "A=2"}, User: "0", WorkingDir: "/", Entrypoint: []string{"/old"}, Cmd: []string{"serve"},
		Labels: map[string]string{"old": "label"}, StopSignal: "SIGTERM", Volumes: map[string]struct{}{"/data": {}},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/app", "health"}},
	}
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	opts := Options{
		Created: commit, User: "65532:65532", Entrypoint: []string{"/app"}, ExposedPorts: []string{"8080/tcp"},
		Labels: map[string]string{"org.opencontainers.image.version": "1.2.3"},
	}
	made := images(t, canonical(t, indexOf(image), opts))[0]
	assert.Equal(t, arm64, made.platform, "v8 is what arm64 means")

	manifest, err := made.image.Manifest()
	require.NoError(t, err)
	assert.Equal(t, types.OCIManifestSchema1, manifest.MediaType)
	assert.Equal(t, types.OCIConfigJSON, manifest.Config.MediaType)
	assert.Equal(t, types.OCILayer, manifest.Layers[0].MediaType)

	when := v1.Time{Time: commit.UTC().Truncate(time.Second)}
	want := &v1.ConfigFile{
		Created: when, OS: "linux", Architecture: "arm64",
		History: []v1.History{{Created: when, CreatedBy: "slipway"}},
		RootFS:  made.config.RootFS,
		Config: v1.Config{
			Env: []string{"Z=1", "A=2"}, User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/app"}, Cmd: []string{"serve"},
			Labels:     map[string]string{"org.opencontainers.image.version": "1.2.3"},
			StopSignal: "SIGTERM", Volumes: map[string]struct{}{"/data": {}}, ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/app", "health"}},
		},
	}
	assert.Equal(t, want, made.config)
	opts = Options{Created: commit, WorkingDir: "/w", StopSignal: "SIGINT", Env: []string{"B=1"}, Cmd: []string{}}
	replaced := images(t, canonical(t, indexOf(image), opts))[0].config.Config
	assert.Equal(t, "/w SIGINT [B=1] []", fmt.Sprint(replaced.WorkingDir, " ", replaced.StopSignal, " ", replaced.Env, " ", replaced.Cmd))
	assert.Equal(t, map[string]string{"old": "label"}, replaced.Labels)
}

func TestIndexIsSortedAndFlat(t *testing.T) {
	layer := gzipped(t, tarOf(t, file("a", "a")), 1)
	v7 := v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	statement := mutate.IndexAddendum{Add: imageOf(t, amd64, layer), Descriptor: v1.Descriptor{
		MediaType: types.OCIManifestSchema1, Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
	}}
	nested := mutate.AppendManifests(indexOf(imageOf(t, v7, layer)), mutate.IndexAddendum{Add: indexOf(imageOf(t, amd64, layer))}, statement)
	opts := Options{Created: commit, Annotations: map[string]string{"org.opencontainers.image.version": "1"}}
	made := canonical(t, mutate.AppendManifests(indexOf(imageOf(t, arm64, layer)), mutate.IndexAddendum{Add: nested}), opts)
	manifest, err := made.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, types.OCIImageIndex, manifest.MediaType)
	assert.Equal(t, opts.Annotations, manifest.Annotations)
	var names []string
	for _, described := range manifest.Manifests {
		assert.Equal(t, types.OCIManifestSchema1, described.MediaType)
		names = append(names, described.Platform.String())
	}
	assert.Equal(t, []string{"linux/amd64", "linux/arm/v7", "linux/arm64"}, names)
}

func TestIndexesThatCannotBe(t *testing.T) {
	layer := gzipped(t, tarOf(t, file("a", "a")), 1)
	addAs := func(image v1.Image, platform v1.Platform) v1.ImageIndex {
		return mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	for says, idx := range map[string]v1.ImageIndex{
		"it has no image": empty.Index,
		"two images for linux/arm64": indexOf(imageOf(t, arm64, layer),
			imageOf(t, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, layer)),
		"names its platform": indexOf(imageOf(t, v1.Platform{}, layer)),
		"the index says linux/arm64, the image's configuration says linux/amd64": addAs(imageOf(t, amd64, layer), arm64),
		"wanted an image": mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: layer}),
	} {
		_, err := Canonical(idx, options)
		assert.ErrorContains(t, err, says)
	}
}

// randomEntries makes the files of a layer: a tree in which everything occurs.
func randomEntries(r *rand.Rand) []entry {
	var entries []entry
	var files []string
	for i := range 3 + r.IntN(30) {
		name := fmt.Sprintf("d%d/%c-%d", r.IntN(4), 'a'+rune(r.IntN(26)), i)
		switch r.IntN(6) {
		case 0:
			entries = append(entries, dir(name))
		case 1:
			entries = append(entries, soft(name, "../anything"))
		case 2:
			if len(files) > 0 {
				entries = append(entries, link(name, files[r.IntN(len(files))]))
			}
		default:
			e := file(name, strings.Repeat(name, r.IntN(200)))
			e.uid, e.mode = r.IntN(3)*1000, int64(r.IntN(0o10000))
			entries, files = append(entries, e), append(files, name)
		}
	}
	return entries
}

// disturb gives the same content in other bytes: other times, names and order.
// Hard links stay behind what they link to, and directories are named or not.
func disturb(r *rand.Rand, entries []entry) []entry {
	changed := slices.Clone(entries)
	r.Shuffle(len(changed), func(i, j int) { changed[i], changed[j] = changed[j], changed[i] })
	slices.SortStableFunc(changed, func(a, b entry) int {
		return map[bool]int{true: 1}[a.kind == tar.TypeLink] - map[bool]int{true: 1}[b.kind == tar.TypeLink]
	})
	changed = append([]entry{dir("d0")}, changed...)
	for i := range changed {
		changed[i].name = []string{"", "/", "./"}[r.IntN(3)] + changed[i].name
		changed[i].head = func(h *tar.Header) {
			h.ModTime, h.Uname, h.Format = time.Unix(r.Int64N(1<<32), 5), "u", tar.FormatPAX
		}
	}
	return changed
}

func TestDigestDependsOnContentOnly(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		low, high := append(randomEntries(r), file("d0/x", "x")), randomEntries(r)
		for i := range high { // no name in both: which one counts is content
			high[i].name = "high/" + high[i].name
			if high[i].kind == tar.TypeLink {
				high[i].text = "high/" + high[i].text
			}
		}
		first := indexOf(
			imageOf(t, amd64, gzipped(t, tarOf(t, low...), 1), gzipped(t, tarOf(t, high...), 9)),
			imageOf(t, arm64, gzipped(t, tarOf(t, low...), 1)))
		high2 := append(disturb(r, high), dir("d0"))
		high2 = slices.DeleteFunc(high2, func(e entry) bool { return strings.Trim(e.name, "./") == "d0" })
		second := indexOf(
			imageOf(t, arm64, zstded(t, tarOf(t, disturb(r, low)...))),
			imageOf(t, amd64, zstded(t, tarOf(t, disturb(r, low)...)), gzipped(t, tarOf(t, high2...), 3)))
		a, b := canonical(t, first, options), canonical(t, second, options)
		require.Equal(t, digestOf(t, a), digestOf(t, b), "seed %d", seed)
		require.Equal(t, digestOf(t, a), digestOf(t, canonical(t, a, options)), "canonical again, seed %d", seed)
	}
}

func TestRandomImages(t *testing.T) {
	image, err := random.Image(1000, 3)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config.OS, config.Architecture = "linux", "amd64"
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	later, err := mutate.Time(image, time.Now())
	require.NoError(t, err)
	a, b := canonical(t, indexOf(image), options), canonical(t, indexOf(later), options)
	assert.Equal(t, digestOf(t, a), digestOf(t, b))
	assert.Equal(t, digestOf(t, a), digestOf(t, canonical(t, a, options)))
}

// This digest changes when the compressor or the form of our documents does:
// then every published image changes too.
func TestDigestStaysTheSame(t *testing.T) {
	same := func(t *testing.T) {
		idx := canonical(t, one(t, dir("etc"), file("etc/hosts", strings.Repeat("127.0.0.1 localhost\n", 500)), file("app", "binary")), options)
		assert.Equal(t, "sha256:a53fdb6743a083df125743f270b6a810482af09ecaa801e2045e5931f5a876f6", digestOf(t, idx).String())
	}
	same(t)
	synctest.Test(t, same) // its clock stands in the year 2000
}

func TestImagesAreConsistent(t *testing.T) {
	idx := canonical(t, one(t, file("a", "a"), file("b/c", "c")), options)
	made := images(t, idx)[0]
	layers, err := made.image.Layers()
	require.NoError(t, err)
	manifest, err := made.image.Manifest()
	require.NoError(t, err)
	for i, layer := range layers {
		diffID, err := layer.DiffID()
		require.NoError(t, err)
		assert.Equal(t, made.config.RootFS.DiffIDs[i], diffID)
		opened, err := layer.Compressed()
		require.NoError(t, err)
		digest, size, err := v1.SHA256(opened)
		require.NoError(t, err)
		assert.Equal(t, manifest.Layers[i].Digest, digest)
		assert.Equal(t, manifest.Layers[i].Size, size)
	}
}

func FuzzReadTree(f *testing.F) {
	for _, name := range []string{"a", "../a", ".wh.a", "a/../../b", "/", "./a//b"} {
		var out bytes.Buffer
		archive := tar.NewWriter(&out)
		_ = archive.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg})
		_ = archive.Close()
		f.Add(out.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := readTree(bytes.NewReader(data))
		if err != nil || read.settle(tree{}, nil) != nil {
			return
		}
		for name := range read {
			require.True(t, filepath.IsLocal(name), "%q", name)
		}
		var first, second bytes.Buffer
		if writeTree(&first, read, time.Unix(0, 0)) != nil { // names that no tar can hold
			return
		}
		again, err := readTree(bytes.NewReader(first.Bytes()))
		require.NoError(t, err)
		require.NoError(t, writeTree(&second, again, time.Unix(0, 0)))
		require.Equal(t, first.Bytes(), second.Bytes())
	})
}
