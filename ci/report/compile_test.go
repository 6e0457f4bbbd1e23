package report_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/report"
)

func TestParseCompile(t *testing.T) {
	output := `go: downloading example.com/x v1.0.0
# github.com/slipway-ci/greeter/internal/health
internal/health/health.go:12:3: cannot use n (variable of type int) as string value in return statement
	have (int)
	want (string)
internal/health/health.go:20: too old to have a column
../shared/shared.go:1:2: up and over
/src/examples/greeter/main.go:5:6: absolute in the container
/usr/local/go/src/fmt/print.go:7:8: absolute elsewhere
internal/health/health.go:20:3: too many errors
# [github.com/slipway-ci/greeter]
vet: ./main.go:30:2: result of fmt.Sprintf call not used
go.mod:3: invalid go version 'x'
not:12: a place
`
	const health, greeter = "github.com/slipway-ci/greeter/internal/health", "github.com/slipway-ci/greeter"
	assert.Equal(t, []report.Finding{
		{
			File: "examples/greeter/internal/health/health.go", Line: 12, Column: 3, Tool: "compile", Package: health,
			Message: "cannot use n (variable of type int) as string value in return statement\nhave (int)\nwant (string)",
		},
		{File: "examples/greeter/internal/health/health.go", Line: 20, Message: "too old to have a column", Tool: "compile", Package: health},
		{File: "examples/shared/shared.go", Line: 1, Column: 2, Message: "up and over", Tool: "compile", Package: health},
		{File: "examples/greeter/main.go", Line: 5, Column: 6, Message: "absolute in the container", Tool: "compile", Package: health},
		{File: "/usr/local/go/src/fmt/print.go", Line: 7, Column: 8, Message: "absolute elsewhere", Tool: "compile", Package: health},
		{File: "examples/greeter/main.go", Line: 30, Column: 2, Message: "result of fmt.Sprintf call not used", Tool: "vet", Package: greeter},
		{File: "examples/greeter/go.mod", Line: 3, Message: "invalid go version 'x'", Tool: "vet", Package: greeter},
	}, report.ParseCompile(output, "examples/greeter"))
	assert.Equal(t, []report.Finding{}, report.ParseCompile("", "."))
}

func FuzzParseCompile(f *testing.F) {
	f.Add("# p\na.go:1:2: x\n\ty\n", "dir")
	f.Fuzz(func(t *testing.T, output, dir string) {
		for _, finding := range report.ParseCompile(output, dir) {
			assert.NotEmpty(t, finding.File)
		}
	})
}
