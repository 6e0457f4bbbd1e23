package build_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/examples/greeter/internal/build"
)

func ExampleInfo_String() {
	fmt.Println("greeter", build.Info{
		Version:  "1.2.3",
		Commit:   "abc1234",
		Date:     "2026-01-02T03:04:05Z",
		Go:       "go1.26.8",
		Platform: "linux/amd64",
	})
	// Output: greeter 1.2.3 (commit abc1234, built 2026-01-02T03:04:05Z, go1.26.8 linux/amd64)
}

func TestNewAsksTheRuntime(t *testing.T) {
	info := build.New("1.2.3", "abc1234", "today")
	assert.Equal(t, "1.2.3", info.Version)
	assert.Equal(t, runtime.Version(), info.Go)
	assert.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, info.Platform)
}
