package artifact

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update")
	assert.Equal(t, string(want), string(got))
}

func artifacts() []Artifact {
	return []Artifact{
		{Name: "greeter", Path: "linux_amd64/greeter", Kind: Binary, Target: "linux/amd64", Digest: "sha256:11", Size: 12},
		{Name: "checksums.txt", Path: "checksums.txt", Kind: Checksums, Digest: "sha256:22", Size: 34},
		{Name: "greeter", Path: "image/greeter", Kind: Image, Digest: "sha256:33", Size: 56},
		{Name: "a<b>&c.tar.gz", Path: "a<b>&c.tar.gz", Kind: Archive, Target: "linux/arm/v7", Digest: "sha256:44", Size: 78},
	}
}

func TestWriteArtifacts(t *testing.T) {
	var first, second bytes.Buffer
	given := artifacts()
	require.NoError(t, WriteArtifacts(&first, given))
	assert.Equal(t, artifacts(), given, "the caller's order is kept")
	slices.Reverse(given)
	require.NoError(t, WriteArtifacts(&second, given))
	assert.Equal(t, first.String(), second.String())
	golden(t, "artifacts.json", first.Bytes())
}

func TestWriteNoArtifacts(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteArtifacts(&out, nil))
	assert.Equal(t, "[]\n", out.String())
}

func TestWriteMetadata(t *testing.T) {
	var out bytes.Buffer
	zone := time.FixedZone("somewhere", 3600)
	require.NoError(t, WriteMetadata(&out, Metadata{
		Project: "greeter", Version: "1.2.3-4-gabc1234", Tag: "v1.2.3", Commit: strings.Repeat("a", 40),
		Date: time.Date(2026, 1, 2, 3, 4, 5, 6, zone), GoVersion: "1.26.8", SlipwayVersion: "0.1.0",
	}))
	golden(t, "metadata.json", out.Bytes())
}

func TestWriteChecksums(t *testing.T) {
	var out bytes.Buffer
	given := []Sum{{"linux_amd64/app", strings.Repeat("B", 64)}, {"app.zip", strings.Repeat("1", 64)}}
	require.NoError(t, WriteChecksums(&out, given))
	assert.Equal(t, strings.Repeat("1", 64)+"  app.zip\n"+strings.Repeat("b", 64)+"  linux_amd64/app\n", out.String())
}

func TestWriteChecksumsRefusesWhatCannotBeRead(t *testing.T) {
	good := strings.Repeat("0", 64)
	for _, sums := range [][]Sum{
		{{"a\nb", good}}, {{`a\b`, good}}, {{"", good}}, {{"a", "00"}}, {{"a", strings.Repeat("x", 64)}},
		{{"a", good}, {"a", good}},
	} {
		var out bytes.Buffer
		assert.Error(t, WriteChecksums(&out, sums), "%q", sums)
		assert.Empty(t, out.String(), "nothing is half written")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWritersPassErrorsOn(t *testing.T) {
	assert.ErrorContains(t, WriteChecksums(broken{}, []Sum{{"a", strings.Repeat("0", 64)}}), "disk full")
	assert.ErrorContains(t, WriteArtifacts(broken{}, nil), "disk full")
	assert.ErrorContains(t, WriteMetadata(broken{}, Metadata{}), "disk full")
}
