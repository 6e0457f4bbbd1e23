package sbom

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

var digest = "sha256:" + strings.Repeat("a", 64)

func subject() Subject {
	return Subject{
		Name: "greeter", Version: "1.2.3", Digest: digest, Time: time.Date(2026, 3, 4, 6, 6, 7, 0, time.FixedZone("CET", 3600)),
		Commit: "0123456789abcdef0123456789abcdef01234567", Source: "https://user:secret@git.example.org/team/greeter.git",
	}
}

func info() *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.8", Path: "example.org/greeter/cmd/greeter", Main: debug.Module{Path: "example.org/greeter", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "example.org/Upper/case", Version: "v2.0.0+incompatible", Sum: "h1:YWJj"},
			{Path: "example.org/plain", Version: "v1.0.0", Sum: "h1:ZGVm"},
			{Path: "example.org/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/fork", Version: "v1.0.1", Sum: "h1:Z2hp"}},
			{Path: "example.org/inside", Version: "v0.0.0", Replace: &debug.Module{Path: "./inside", Version: "(devel)"}},
			{Path: "example.org/beside", Version: "v0.0.0", Replace: &debug.Module{Path: "/home/somebody/beside"}},
			{Path: "example.org/windows", Version: "v0.0.0", Replace: &debug.Module{Path: `C:\Users\somebody\windows`}},
		},
		Settings: []debug.BuildSetting{
			{Key: "-buildmode", Value: "exe"}, {Key: "-ldflags", Value: "-X main.token=secret"}, {Key: "-tags", Value: "netgo"}, {Key: "CGO_CFLAGS", Value: "-I/home/somebody"},
			{Key: "CGO_ENABLED", Value: "0"}, {Key: "GOARCH", Value: "amd64"}, {Key: "GOOS", Value: "linux"}, {Key: "GOAMD64", Value: "v1"}, {Key: "vcs.revision", Value: "0123"},
		},
	}
}

// layer is a layer with files; a directory that is written first stays one.
func layer(t testing.TB, files ...string) v1.Layer {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for i := 0; i+1 < len(files); i += 2 {
		header := &tar.Header{Name: files[i], Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(files[i+1]))}
		if target, ok := strings.CutPrefix(files[i+1], "-> "); ok {
			header = &tar.Header{Name: files[i], Typeflag: tar.TypeSymlink, Linkname: target}
		}
		require.NoError(t, archive.WriteHeader(header))
		if header.Typeflag == tar.TypeReg {
			_, err := archive.Write([]byte(files[i+1]))
			require.NoError(t, err)
		}
	}
	require.NoError(t, archive.Close())
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }, tarball.WithMediaType(types.OCIUncompressedLayer))
	require.NoError(t, err)
	return made
}

func imageOf(t testing.TB, architecture string, layers ...v1.Layer) v1.Image {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: architecture, RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{Entrypoint: []string{"/app"}}})
	require.NoError(t, err)
	image, err = mutate.AppendLayers(image, layers...)
	require.NoError(t, err)
	return image
}

// slim is what Slipway's own base holds, in small.
func slim(t testing.TB) v1.Layer {
	return layer(t,
		"etc/os-release", "NAME=\"Slipway static base\"\nPRETTY_NAME=\"Slipway static base 2026-03-01\"\nID=slipway-static\nVERSION_ID=\"2026-03-01\"\n",
		"etc/passwd", "root:x:0:0\n",
		"etc/ssl/certs/ca-certificates.crt", strings.Repeat("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", 2),
		"usr/share/zoneinfo/Europe/Berlin", "TZif b", "usr/share/zoneinfo/UTC", "TZif u",
	)
}

// debian is a Debian base, in small: packages, and the files that are theirs.
func debian(t testing.TB) v1.Layer {
	return layer(t,
		"usr/lib/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n", "etc/os-release", "-> ../usr/lib/os-release",
		"var/lib/dpkg/status", `Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u1
Description: GNU C Library
 Package: no field

Package: libgcc-s1
Status: install ok installed
Architecture: amd64
Source: gcc-12 (12.2.0-14)
Version: 1:12.2.0-14

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

`,
		"var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n/usr/share/zoneinfo/UTC\n",
		"usr/lib/x86_64-linux-gnu/libc.so.6", "\x7fELF no Go", "usr/share/zoneinfo/UTC", "TZif u",
		"opt/own", "mine", "opt/removed", "gone",
	)
}

// distroless has one file for each package.
func distroless(t testing.TB) v1.Layer {
	return layer(t,
		"var/lib/dpkg/status.d/base-files", "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n",
		"var/lib/dpkg/status.d/base-files.md5sums", "0123  etc/debian_version\n",
		"etc/debian_version", "12.4\n", "etc/os-release", "ID=debian\nVERSION_ID=12\n",
	)
}

func read(t testing.TB, document []byte) cdx.BOM {
	t.Helper()
	var bom cdx.BOM
	require.NoError(t, json.Unmarshal(document, &bom))
	return bom
}

// names are the components of a document.
func names(t testing.TB, document []byte) []string {
	t.Helper()
	bom := read(t, document)
	var list []string
	for _, c := range *bom.Components {
		list = append(list, strings.TrimSpace(string(c.Type)+" "+c.Name+" "+c.Version))
	}
	return list
}

func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(file, data, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(data))
}

// schema holds documents against the schema of CycloneDX, which its library
// brings along.
func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	place, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	for name, file := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		opened, err := os.Open(filepath.Join(strings.TrimSpace(string(place)), "schema", file))
		require.NoError(t, err)
		document, err := jsonschema.UnmarshalJSON(opened)
		require.NoError(t, err)
		require.NoError(t, opened.Close())
		require.NoError(t, compiler.AddResource("http://cyclonedx.org/schema/"+name, document))
	}
	compiled, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	require.NoError(t, err)
	return compiled
}

// valid holds a document against the schema, and against what no schema says:
// each reference is there once, and what refers to it finds it.
func valid(t testing.TB, schema *jsonschema.Schema, document []byte) {
	t.Helper()
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(plain))
	bom := read(t, document)
	known := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, c := range *bom.Components {
		assert.False(t, known[c.BOMRef], "%s is there twice", c.BOMRef)
		known[c.BOMRef] = true
	}
	for _, d := range *bom.Dependencies {
		assert.True(t, known[d.Ref], d.Ref)
		for _, to := range *d.Dependencies {
			assert.True(t, known[to], to)
		}
	}
	assert.NotContains(t, string(document), "secret")
	assert.NotContains(t, string(document), "somebody")
}

// brokenLayer cannot be read.
type brokenLayer struct{ v1.Layer }

func (brokenLayer) Uncompressed() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
