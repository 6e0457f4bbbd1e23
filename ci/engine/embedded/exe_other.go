//go:build !windows

package embedded

const exeSuffix = ""
