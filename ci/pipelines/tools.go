package pipelines

import "dagger.io/dagger"

// tool is a Go program that verify runs, at a pinned version. It is built with the project's toolchain, because it must
// understand the project's language version; the checksum database vouches for its source.
type tool struct{ name, module, pkg, version string }

var (
	staticcheck = tool{"staticcheck", "honnef.co/go/tools", "honnef.co/go/tools/cmd/staticcheck", "v0.8.2"}
	govulncheck = tool{"govulncheck", "golang.org/x/vuln", "golang.org/x/vuln/cmd/govulncheck", "v1.9.0"}
)

// built is the tool's binary.
func (s Stages) built(t tool) *dagger.File {
	return s.buildRoot().
		WithEnvVariable("GOBIN", outDir).
		WithEnvVariable("GOWORK", "off").
		WithExec([]string{"go", "install", "-trimpath", "-ldflags=-s -w", t.pkg + "@" + t.version}).
		File(outDir + "/" + t.name)
}
