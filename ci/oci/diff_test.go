package oci

import (
	"archive/tar"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDiff(t *testing.T) {
	service := func(text string, more ...entry) v1.Image {
		return imageOf(t, amd64, gzipped(t, tarOf(t, append([]entry{dir("app"), file("app/service", "\x00\x01built at "+text+"\x00")}, more...)...), 6))
	}
	later := func(h *tar.Header) { h.ModTime = time.Unix(86400, 0) }
	labeled, err := withLabel(service("noon"), "team", "ships")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		a, b v1.ImageIndex
		want []string
	}{
		"the same":            {indexOf(service("noon")), indexOf(service("noon")), nil},
		"a planted timestamp": {indexOf(service("noon")), indexOf(service("dusk")), []string{"linux/amd64: /app/service: content differs from byte 11 on", `linux/amd64: /app/service: "built at noon" and "built at dusk"`}},
		"a file too many":     {indexOf(service("noon")), indexOf(service("noon", file("app/more", "x"))), []string{"linux/amd64: /app/more is only in the second"}},
		"a mode, a time, an owner": {
			indexOf(service("noon", file("x", "x"))),
			indexOf(service("noon", entry{name: "x", kind: tar.TypeReg, text: "x", mode: 0o755, uid: 7, head: later})),
			[]string{
				"linux/amd64: /x: mode is 0644 and 0755", "linux/amd64: /x: owner is 0:0 and 7:0",
				"linux/amd64: /x: time is 1970-01-01 00:00:00 +0000 UTC and 1970-01-02 00:00:00 +0000 UTC",
			},
		},
		"a platform": {indexOf(service("noon")), indexOf(imageOf(t, arm64)), []string{"linux/amd64: only the first has it", "linux/arm64: only the second has it"}},
		"a label":    {indexOf(service("noon")), indexOf(labeled), []string{`linux/amd64: configuration config.Labels is not there and {"team":"ships"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Diff(c.a, c.b)
			require.NoError(t, err)
			assert.Equal(t, c.want, found)
		})
	}
}

// Whatever differs is named: two images whose digests differ are never called the same.
func TestDiffNamesSomething(t *testing.T) {
	one := indexOf(imageOf(t, amd64, gzipped(t, tarOf(t, file("a", "a")), 1)))
	two := indexOf(imageOf(t, amd64, gzipped(t, tarOf(t, file("a", "a")), 9)))
	require.NotEqual(t, digestOf(t, one), digestOf(t, two))
	found, err := Diff(one, two)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "the manifests are not")
}

func withLabel(image v1.Image, name, value string) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{name: value}
	return mutate.ConfigFile(image, config)
}
