// Package archtest holds the import rules of docs/layout.md, as tests. A rule that breaks says which file breaks it and why
// the rule is there.
package archtest

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

const module = "github.com/slipway-ci/slipway"

// layers lists the packages from top to bottom. A package may import packages of lower layers only: never one beside it,
// never one above. A package below another's directory belongs to that one's room and may be imported by it.
var layers = [][]string{
	{"ci", "cmd/slipway", "bench", "examples/custom", "hack/checkouts"},
	{"internal/command"},
	{"ci/ship", "internal/machinetest", "internal/moduletest"},
	{"ci/engine/gosdk"},
	{"ci/engine", "ci/pipelines", "ci/rootfs", "ci/forge"},
	{"ci/oci/registry", "ci/attest/sbom", "ci/attest/keyless"},
	{"ci/engine/embedded", "ci/pipelines/artifact", "ci/pipelines/inbox", "ci/pipelines/runtimebase", "ci/oci", "ci/oci/credentials", "ci/debian", "ci/report/render", "ci/attest", "ci/release/linuxpkg", "ci/release/changelog", "ci/release/forge", "ci/release/ledger"},
	{"ci/pipelines/inbox/capacity", "ci/pipelines/inbox/outline"},
	{"ci/scaffold"},
	{"ci/reach", "ci/hook"},
	{"ci/project", "ci/rollout/host", "ci/rollout/command"},
	{"ci/rollout/host/helper", "ci/rollout/host/systemdtest", "ci/rollout/host/systemdtest/shim", "ci/rollout/host/systemdtest/service"},
	{"ci/rollout/rollouttest", "ci/rollout/host/protocol"},
	{"ci/report", "ci/target", "ci/secret", "ci/oci/tag", "ci/systemd", "ci/release/forge/forgetest", "ci/attest/keyless/keylesstest", "internal/hosttest", "internal/loadtest", "internal/cosigntest", "ci/rollout/host/remote", "ci/rollout/host/sshtest", "ci/rollout", "ci/git"},
	{"internal/tooltest"},
	{"."}, // the root package: files of the repository that are part of the program
}

// allowed are imports that go beside or past a layer, each with its reason.
var allowed = map[[2]string]string{}

// standardOnly are packages that import nothing from outside: others are built on them, or they run where nothing else is.
var standardOnly = map[string]string{
	"ci/target":                   "the vocabulary of everything else",
	"ci/report":                   "the outcome of a run is a value that anyone may read",
	"ci/pipelines/inbox/outline":  "the helper in the containers is made of it",
	"ci/pipelines/inbox/capacity": "the helper in the containers is made of it",
	"ci/pipelines/inbox":          "it is compiled in a container that has the standard library alone",
	"ci/pipelines/artifact":       "what proves our binaries should depend on as little as possible",
	"ci/debian":                   "it only runs a command",
	"ci/oci/credentials":          "what handles secrets should depend on as little as possible",
	"ci/oci/tag":                  "it only decides",
	"ci/secret":                   "what handles secrets should depend on as little as possible",
	"ci/rollout/host/protocol":    "the helper on the hosts is made of it",
	"ci/rollout/host/helper":      "it is compiled for machines of which nothing is known, and runs there as root",
	"ci/git":                      "it only runs a command",
	"ci/rollout":                  "it only decides, and drivers bring what they need",
	"ci/systemd":                  "packages and hosts are given its units, and it only writes texts",
	"internal/loadtest":           "what counts failures should hide none, as HTTP clients do",
	"ci/release/forge/forgetest":  "a fake should not share a library with what is tried on it",
}

// homes says where a third-party library may be imported, so that it can be replaced in one place.
var homes = map[string][]string{
	"dagger.io/dagger":                       {"ci/engine", "ci/engine/embedded", "ci/pipelines", "ci/ship", "examples/custom", "bench", "internal/machinetest"},
	"github.com/google/go-containerregistry": {"ci/engine/gosdk", "ci/oci", "ci/oci/registry", "ci/rootfs", "ci/ship", "ci/attest/sbom", "internal/machinetest"},
	"github.com/rogpeppe/go-internal":        {"ci/scaffold", "."},
	"github.com/rhysd/actionlint":            {}, // only tests check with it
	"github.com/klauspost/compress":          {"ci/oci"},
	"github.com/goccy/go-yaml":               {"ci/project"},
	"github.com/spf13/cobra":                 {"internal/command"},
	"github.com/spf13/pflag":                 {"internal/command"},
	"golang.org/x/term":                      {"internal/command"},
	"golang.org/x/crypto/x509roots/fallback": {"ci/pipelines/runtimebase"},
	"golang.org/x/crypto/ssh":                {"internal/machinetest", "ci/rollout/host/remote", "ci/rollout/host/sshtest"},
	"github.com/skeema/knownhosts":           {"ci/rollout/host/remote"},
	"github.com/mattn/go-runewidth":          {"ci/report/render"},
	"golang.org/x/sys":                       {"ci/engine/embedded", "ci/oci"},
	"golang.org/x/mod":                       {"ci/project", "ci/reach", "ci/engine/embedded", "ci/release/changelog"},
	"golang.org/x/sync":                      {"ci/pipelines", "ci/ship", "ci/engine/embedded", "ci/oci", "ci/oci/registry", "ci/release/linuxpkg"},
	"github.com/gofrs/flock":                 {"ci/rootfs", "ci/ship", "ci/release/ledger", "internal/machinetest"},
	"github.com/goreleaser/nfpm/v2":          {"ci/release/linuxpkg"},
	"github.com/google/go-github/v80":        {"ci/release/forge"},
	"github.com/sethvargo/go-githubactions":  {"ci/forge"}, // it panics, and its outputs can be broken out of: forge guards against both
	"github.com/yuin/goldmark":               {},           // only tests read Markdown with it
	"github.com/santhosh-tekuri/jsonschema":  {},           // only tests validate with it
	"github.com/CycloneDX/cyclonedx-go":      {"ci/attest/sbom"},
	"github.com/google/uuid":                 {"ci/attest/sbom"},
	"github.com/secure-systems-lab":          {"ci/attest", "ci/attest/keyless/keylesstest"},         // cosign's encrypted keys
	"github.com/sigstore":                    {"ci/attest/keyless", "ci/attest/keyless/keylesstest"}, // many times the size of everything else: docs/adr/0015-sigstore.md
	"google.golang.org/protobuf":             {"ci/attest/keyless"},
}

// edge is where the process itself may be touched.
var edge = map[string]string{
	"os.Exit":   "a library that exits takes the report, the locks and the undo with it",
	"os.Getenv": "values come in from the edge, so that a test can set them",
}

var edgeHomes = map[string][]string{
	"os.Exit":   {"ci", "cmd/slipway", "bench", "examples/custom", "hack/checkouts", "internal/command", "ci/pipelines/inbox", "ci/rollout/host/helper", "ci/rollout/host/systemdtest/shim", "ci/rollout/host/systemdtest/service"},
	"os.Getenv": {"internal/command", "ci/ship", "internal/machinetest", "internal/cosigntest", "ci/rollout/host/systemdtest"},
}

// file is one Go file of the product, without tests.
type file struct {
	pkg, path string
	imports   []string
	source    string
}

func TestImportsGoDown(t *testing.T) {
	for _, f := range product(t) {
		for _, imported := range f.imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			to = cmp.Or(strings.TrimPrefix(to, "/"), ".")
			from, below := layer(f.pkg), layer(to)
			if !assert.GreaterOrEqual(t, from, 0, "%s: package %s has no place in the layers", f.path, f.pkg) || below < 0 {
				assert.GreaterOrEqual(t, below, 0, "%s imports %s, which has no place in the layers", f.path, to)
				continue
			}
			if _, ok := allowed[[2]string{f.pkg, to}]; ok {
				continue
			}
			assert.Less(t, from, below, "%s imports %s: imports only go down, and packages of one layer do not import each other", f.path, to)
		}
	}
}

func TestStandardLibraryOnly(t *testing.T) {
	for _, f := range product(t) {
		why, ok := standardOnly[f.pkg]
		if !ok {
			continue
		}
		for _, imported := range f.imports {
			first, _, _ := strings.Cut(imported, "/")
			own := strings.HasPrefix(imported, module) && standardOnly[strings.TrimPrefix(imported, module+"/")] != ""
			assert.True(t, own || !strings.Contains(first, "."), "%s imports %s: %s is standard library only, because it is %s", f.path, imported, f.pkg, why)
		}
	}
}

func TestLibrariesHaveOneHome(t *testing.T) {
	for _, f := range product(t) {
		for _, imported := range f.imports {
			for library, rooms := range homes {
				if imported == library || strings.HasPrefix(imported, library+"/") {
					assert.Contains(t, rooms, f.pkg, "%s imports %s, whose home is %v", f.path, imported, rooms)
				}
			}
		}
	}
}

func TestTheProcessIsTouchedAtTheEdge(t *testing.T) {
	for _, f := range product(t) {
		for call, why := range edge {
			if strings.Contains(f.source, call+"(") {
				assert.Contains(t, edgeHomes[call], f.pkg, "%s calls %s: %s", f.path, call, why)
			}
		}
	}
}

// The pinned engine's module loader refuses a go.mod that is newer than the Go it was built with, and a module can be no
// older than what it requires.
func TestGoLine(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", data, nil)
	require.NoError(t, err)
	assert.LessOrEqual(t, semver.Compare("v"+mod.Go.Version, "v1.25.5"), 0, "go line %s: the engine accepts at most 1.25.5", mod.Go.Version)
	assert.Nil(t, mod.Toolchain, "a toolchain line would make every user fetch that toolchain")
}

func TestNoPackageIsAGrabBag(t *testing.T) {
	for _, f := range product(t) {
		assert.NotContains(t, []string{"util", "utils", "common", "shared", "helpers", "misc"}, path.Base(f.pkg), f.path)
	}
}

func TestHostKeysAreAlwaysChecked(t *testing.T) {
	for _, f := range product(t) {
		assert.NotContains(t, f.source, "Insecure"+"IgnoreHostKey", f.path)
	}
}

// product reads every Go file of the root module that is part of the product.
func product(t *testing.T) []file {
	t.Helper()
	base := root(t)
	var files []file
	err := filepath.WalkDir(base, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(base, name, entry)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files = append(files, read(t, base, name))
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(files), 50, "the walk found the product")
	return files
}

// skip leaves out what is not the root module's product: other modules, test data, output.
func skip(base, name string, entry fs.DirEntry) error {
	if slices.Contains([]string{"testdata", "dist", "bin"}, entry.Name()) || (strings.HasPrefix(entry.Name(), ".") && name != base) {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != base {
		return fs.SkipDir
	}
	return nil
}

func read(t *testing.T, base, name string) file {
	t.Helper()
	source, err := os.ReadFile(name)
	require.NoError(t, err)
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	require.NoError(t, err)
	rel, err := filepath.Rel(base, name)
	require.NoError(t, err)
	f := file{pkg: filepath.ToSlash(filepath.Dir(rel)), path: rel, source: withoutComments(string(source))}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		f.imports = append(f.imports, imported)
	}
	return f
}

// withoutComments leaves out the lines that are comments: an example in one calls nothing.
func withoutComments(source string) string {
	var code strings.Builder
	for line := range strings.Lines(source) {
		if !strings.HasPrefix(strings.TrimSpace(line), "//") {
			code.WriteString(line)
		}
	}
	return code.String()
}

func layer(pkg string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, pkg) })
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}
