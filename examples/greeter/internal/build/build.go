// Package build describes the running binary: what --version prints and /version answers.
package build

import (
	"fmt"
	"runtime"
)

// Info says which source a binary was made from, and by which Go for which system.
type Info struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Date     string `json:"date"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// New completes what was linked into the binary with what the runtime knows.
func New(version, commit, date string) Info {
	return Info{
		Version:  version,
		Commit:   commit,
		Date:     date,
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// String is one line for people: 1.2.3 (commit abc1234, built 2026-01-02T03:04:05Z, go1.26.8 linux/amd64).
func (i Info) String() string {
	return fmt.Sprintf("%s (commit %s, built %s, %s %s)", i.Version, i.Commit, i.Date, i.Go, i.Platform)
}
