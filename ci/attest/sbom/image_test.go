package sbom

import (
	"os"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestImage(t *testing.T) {
	check := schema(t)
	for name, layers := range map[string][]v1.Layer{
		"slim":       {slim(t), layer(t, "app", "\x7fELF no Go")},
		"debian":     {debian(t), layer(t, "opt/.wh.removed", "", "app", "#!/bin/sh\n")},
		"distroless": {distroless(t), layer(t, "app", "x")},
		"empty":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			document, err := Image(subject(), imageOf(t, "amd64", layers...))
			require.NoError(t, err)
			golden(t, "image-"+name, document)
			valid(t, check, document)
			again, err := Image(subject(), imageOf(t, "amd64", layers...))
			require.NoError(t, err)
			assert.Equal(t, string(document), string(again))
		})
	}
}

func TestImageNamesWhatItHolds(t *testing.T) {
	document, err := Image(subject(), imageOf(t, "amd64", debian(t), layer(t, "opt/.wh.removed", "")))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"file /opt/own", "file /usr/lib/os-release", "operating-system debian 12", "library libc6 2.36-9+deb12u1", "library libgcc-s1 1:12.2.0-14",
	}, names(t, document))
	var references []string
	for _, c := range *read(t, document).Components {
		references = append(references, c.BOMRef)
	}
	assert.True(t, slices.IsSorted(references), references)
}

// This test's own binary as the program of an image.
func TestImageWithAGoProgram(t *testing.T) {
	executable, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(executable)
	require.NoError(t, err)
	document, err := Image(subject(), imageOf(t, "amd64", slim(t), layer(t, "app", string(program), "tool", string(program))))
	require.NoError(t, err)
	valid(t, schema(t), document)
	list := names(t, document)
	assert.Contains(t, list, "application /app 1.2.3", "the program that the image starts has the image's version")
	assert.Contains(t, list, "application /tool", "another one has its own")
	stdlib := 0
	for _, name := range list {
		if strings.HasPrefix(name, "library stdlib ") {
			stdlib++
		}
	}
	assert.Equal(t, 1, stdlib, "what both are made of is there once")
}

func indexOf(t testing.TB, images ...v1.Image) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, image := range images {
		config, err := image.ConfigFile()
		require.NoError(t, err)
		platform := &v1.Platform{OS: config.OS, Architecture: config.Architecture}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index
}

func TestIndex(t *testing.T) {
	one, two := imageOf(t, "amd64", slim(t), layer(t, "app", "x")), imageOf(t, "arm64", slim(t), layer(t, "app", "y"))
	index := indexOf(t, one, two)
	note := mutate.IndexAddendum{Add: imageOf(t, "unknown", layer(t, "note", "z")), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}}
	index = mutate.AppendManifests(index, note)
	document, err := Index(subject(), index)
	require.NoError(t, err)
	digest, err := index.Digest() // and so the number: another version of the library describes the same in other words
	require.NoError(t, err)
	told := strings.ReplaceAll(string(document), digest.Hex, strings.Repeat("1", 64))
	golden(t, "index", []byte(strings.Replace(told, read(t, document).SerialNumber, "urn:uuid:index", 1)))
	valid(t, schema(t), document)
	list := names(t, document)
	assert.Equal(t, 2, strings.Count(strings.Join(list, "\n"), "container greeter"), "each platform")
	assert.Equal(t, 2, strings.Count(strings.Join(list, "\n"), "file /app"), "a program for each")
	assert.Equal(t, 1, strings.Count(strings.Join(list, "\n"), "file /etc/passwd"), "what both have is there once")
	assert.NotContains(t, list, "file /note")

	nested := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: indexOf(t, one, two)})
	below, err := Index(subject(), nested)
	require.NoError(t, err)
	assert.Equal(t, list, names(t, below))
}

// What the platforms say alone, the index says too.
func TestIndexHoldsItsPlatforms(t *testing.T) {
	images := []v1.Image{imageOf(t, "amd64", debian(t)), imageOf(t, "arm64", distroless(t), layer(t, "app", "y"))}
	whole, err := Index(subject(), indexOf(t, images...))
	require.NoError(t, err)
	list := names(t, whole)
	for _, image := range images {
		part, err := Image(subject(), image)
		require.NoError(t, err)
		assert.Subset(t, list, names(t, part))
	}
}

// A layer that ends early is an error, and no document without its files.
func TestBrokenImages(t *testing.T) {
	short, err := mutate.AppendLayers(empty.Image, layer(t, "a", "b"), brokenLayer{layer(t, "c", "d")})
	require.NoError(t, err)
	_, err = Image(subject(), short)
	assert.ErrorContains(t, err, "read image: ")
	_, err = Index(subject(), indexOf(t, short))
	assert.ErrorContains(t, err, "read image index: ")
}

func FuzzPackages(f *testing.F) {
	f.Add("Package: a\nVersion: 1\nStatus: install ok installed\nSource: b (2)\n\nPackage: c\n", "ID=debian\nVERSION_ID='12'\n")
	f.Add("Package: :\nVersion: \x00\r\n\r\n", "=\n#x=y\n")
	f.Fuzz(func(t *testing.T, packages, release string) {
		told := parseRelease(release)
		for _, p := range parsePackages(packages) {
			c := p.component(told)
			assert.NotEmpty(t, c.Name)
			assert.NotEmpty(t, c.Version)
			assert.Regexp(t, `^pkg:deb/[A-Za-z0-9%._~:/-]+@[A-Za-z0-9%._~:-]+\?[A-Za-z0-9%._~:&=-]+$`, c.PackageURL)
		}
	})
}
