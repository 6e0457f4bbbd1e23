package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

const commit = "0123456789abcdef0123456789abcdef01234567"

var (
	digestA = "sha256:" + strings.Repeat("a", 64)
	digestB = "sha256:" + strings.Repeat("b", 64)
	digestC = "sha256:" + strings.Repeat("c", 64)

	greeter   = Subject{Name: "registry.example.org/team/greeter", Digest: digestA}
	committed = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	source    = Source{Repository: "https://user:secret@git.example.org/team/greeter.git", Commit: commit}
)

// golden holds JSON against a file, indented for people.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, data, "", "  "))
	pretty.WriteByte('\n')
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(file, pretty.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), pretty.String())
}

// ecKey is a key that is the same in every run; n tells keys apart.
func ecKey(t testing.TB, n byte) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{n}, 32))
	require.NoError(t, err)
	return key
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// signerOf is an ECDSA key for even n, and an Ed25519 key for odd ones.
func signerOf(t testing.TB, n byte) *Key {
	t.Helper()
	var private any = ecKey(t, n+1)
	if n%2 == 1 {
		private = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	}
	key, err := ReadKey(pkcs8(t, private), nil)
	require.NoError(t, err)
	return key
}

func signed(t testing.TB, key *Key, s Statement) []byte {
	t.Helper()
	bundle, err := Sign(t.Context(), key, s)
	require.NoError(t, err)
	return bundle
}

// isType says that an error is of a type, and returns it.
func isType[T error](t testing.TB, err error) T {
	t.Helper()
	var want T
	require.ErrorAs(t, err, &want)
	return want
}

func build() Build {
	return Build{
		Verb: "publish", App: "greeter", Targets: []string{"linux/arm64", "linux/amd64"}, Config: digestB,
		Source:    source,
		Toolchain: Material{Name: "go1.26.8 linux/amd64", URI: "https://go.dev/dl/go1.26.8.linux-amd64.tar.gz", Digest: digestC},
		Bases:     []Material{{Name: "runtime base", Digest: digestB}},
		Builder:   Builder{ID: laptop}, Slipway: "0.4.0", Started: committed.Add(time.Hour), Finished: committed.Add(2 * time.Hour),
	}
}

func provenanceOf(t testing.TB, b Build) Statement {
	t.Helper()
	s, err := Provenance(b, greeter)
	require.NoError(t, err)
	return s
}

func tests() report.Tests {
	covered := 83.5
	return report.Tests{Passed: 3, Failed: 1, Skipped: 1, Suites: []report.Suite{
		{Package: "example.org/greeter/b", Status: report.Cached, Coverage: &covered, Cases: []report.Case{{Name: "TestB", Status: report.OK}}},
		{Package: "example.org/greeter/a", Status: report.Failed, Cases: []report.Case{{Name: "TestA", Status: report.OK}, {Name: "TestA/one", Status: report.Failed}}},
		{Package: "example.org/greeter/broken", Status: report.Failed, NoBuild: true},
		{Package: "example.org/greeter/none", Status: report.Skipped, NoTests: true},
	}}
}

func scan() Scan {
	return Scan{
		Checked: true, Tool: "v1.1.4", Database: "https://vuln.go.dev", Published: "2026-03-01T00:00:00Z",
		Findings: []report.Finding{{Message: "GO-2026-0001 in example.org/bad@v1.0.0 (Parse), fixed in v1.0.1", File: "main.go", Line: 7, Package: "example.org/bad"}},
		Builder:  Builder{ID: laptop}, Started: committed, Finished: committed.Add(time.Minute),
	}
}
