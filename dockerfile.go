// Package slipway holds what the repository's own files give to the program: Dockerfile.runtime, which every project uses
// that has none of its own.
package slipway

import _ "embed"

// DockerfileRuntime is the text of Dockerfile.runtime.
//
//go:embed Dockerfile.runtime
var DockerfileRuntime string
