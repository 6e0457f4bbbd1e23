package sbom

import (
	"debug/buildinfo"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBinary(t *testing.T) {
	document, err := Binary(subject(), info())
	require.NoError(t, err)
	golden(t, "binary", document)
	valid(t, schema(t), document)
}

// A binary as Go makes it.
func TestBinaryOfARealOne(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	program := filepath.Join(t.TempDir(), "program")
	output, err := exec.Command("go", "build", "-o", program, "./testdata/program").CombinedOutput()
	require.NoError(t, err, "%s", output)
	built, err := buildinfo.ReadFile(program)
	require.NoError(t, err)
	document, err := Binary(Subject{Name: "program"}, built)
	require.NoError(t, err)
	valid(t, schema(t), document)
	assert.Equal(t, []string{"library golang.org/x/mod " + versionOf(t, built, "golang.org/x/mod"), "library stdlib " + strings.TrimPrefix(built.GoVersion, "go")}, names(t, document))
	assert.Contains(t, string(document), `"slipway:go:sum"`)
	data, err := os.ReadFile(program)
	require.NoError(t, err)
	image, err := Image(Subject{Name: "program"}, imageOf(t, "amd64", layer(t, "app", string(data))))
	require.NoError(t, err)
	assert.Subset(t, names(t, image), names(t, document), "what the binary says, the image says too")
}

func versionOf(t *testing.T, built *buildinfo.BuildInfo, module string) string {
	t.Helper()
	for _, dep := range built.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	t.Fatalf("%s is not in %v", module, built)
	return ""
}

func TestBinaryWithoutBuildInfo(t *testing.T) {
	for _, nothing := range []*buildinfo.BuildInfo{nil, {}} {
		_, err := Binary(subject(), nothing)
		assert.ErrorContains(t, err, "was it built with Go?")
	}
}

func TestMainVersion(t *testing.T) {
	for _, c := range []struct{ own, subject, want string }{
		{"(devel)", "1.2.3", "v1.2.3"}, {"", "v1.2.3", "v1.2.3"}, {"v1.0.0", "1.2.3", "v1.0.0"}, {"", "", ""}, {"", "dirty", "dirty"},
	} {
		built := info()
		built.Main.Version = c.own
		assert.Equal(t, c.want, mainVersion(Subject{Version: c.subject}, built))
	}
}

func TestPackageURL(t *testing.T) {
	for want, got := range map[string]string{
		"pkg:golang/example.org/a/b@v1.0.0%2Bincompatible":          packageURL("golang", "example.org/a/b", "v1.0.0+incompatible"),
		"pkg:golang/example.org/a":                                  packageURL("golang", "example.org/a", ""),
		"pkg:deb/debian/libgcc-s1@1:12.2.0-14~x%2By?arch=amd64&d=a": packageURL("deb", "debian/libgcc-s1", "1:12.2.0-14~x+y", qualifier{"arch", "amd64"}, qualifier{"c", ""}, qualifier{"d", "a"}),
		"pkg:oci/greeter@sha256:ab?arch=arm64":                      imageURL("Greeter", "sha256:ab", "arm64"),
		"pkg:generic/a%20b/%C3%BC@%40%3F":                           packageURL("generic", "a b/ü", "@?"),
	} {
		assert.Equal(t, want, got)
	}
}

// The order of modules and settings, the zone of the time and the run do not matter.
func TestBinaryDependsOnFactsAlone(t *testing.T) {
	want, err := Binary(subject(), info())
	require.NoError(t, err)
	same := func(seed int64) bool {
		shuffled, s := info(), subject()
		dice := rand.New(rand.NewSource(seed))
		dice.Shuffle(len(shuffled.Deps), func(i, j int) { shuffled.Deps[i], shuffled.Deps[j] = shuffled.Deps[j], shuffled.Deps[i] })
		dice.Shuffle(len(shuffled.Settings), func(i, j int) {
			shuffled.Settings[i], shuffled.Settings[j] = shuffled.Settings[j], shuffled.Settings[i]
		})
		s.Time = s.Time.In(time.FixedZone("", int(seed%86400)))
		got, err := Binary(s, shuffled)
		return err == nil && string(want) == string(got)
	}
	require.NoError(t, quick.Check(same, nil))
}

func TestOtherFactsHaveAnotherNumber(t *testing.T) {
	numbers := map[string]bool{}
	for _, change := range []func(*Subject){
		func(*Subject) {}, func(s *Subject) { s.Version = "1.2.4" }, func(s *Subject) { s.Commit = "" }, func(s *Subject) { s.Time = s.Time.Add(time.Second) }, func(s *Subject) { s.Digest = "" },
	} {
		s := subject()
		change(&s)
		document, err := Binary(s, info())
		require.NoError(t, err)
		numbers[read(t, document).SerialNumber] = true
	}
	assert.Len(t, numbers, 5)
	for number := range numbers {
		assert.Regexp(t, `^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, number)
	}
}
