package project

import (
	"fmt"
	"go/version"
	"strconv"
	"strings"
)

// goLine is one wish for a Go version and the file that has it.
type goLine struct {
	file    string // go.mod, lib/go.mod, go.work
	wish    string // go 1.26, toolchain go1.27.1
	version string // 1.26, 1.27.1
	minimum bool   // the go line: an older Go refuses to build
}

// chooseGo is the highest of the pinned Go and all wishes.
func chooseGo(pinned string, lines []goLine) GoVersion {
	chosen := GoVersion{Version: fullRelease(pinned), Reason: "pinned by this release of slipway"}
	for _, line := range lines {
		if full := fullRelease(line.version); compareGo(full, chosen.Version) > 0 {
			chosen = GoVersion{Version: full, Reason: line.file + " says " + line.wish}
		}
	}
	return chosen
}

// overrideGo checks the version that slipway.yaml asks for. It gives what is
// wrong with it, or "".
func overrideGo(wanted string, lines []goLine) (GoVersion, string) {
	if !ruleOf("go").allows(wanted) {
		return GoVersion{}, fmt.Sprintf("%q is no Go release", wanted)
	}
	full := fullRelease(wanted)
	for _, line := range lines {
		if line.minimum && compareGo(full, fullRelease(line.version)) < 0 {
			return GoVersion{}, fmt.Sprintf("%s is older than %s, which says %s", wanted, line.file, line.wish)
		}
	}
	return GoVersion{Version: full, Reason: defaultConfig + " says " + wanted}, ""
}

// fullRelease is a release that can be fetched: since Go 1.21, 1.27 names the
// language and 1.27.0 the first release with it. Suffixes that vendors put on
// their toolchains are dropped.
func fullRelease(v string) string {
	v, _, _ = strings.Cut(v, "-")
	if version.Lang("go"+v) == "go"+v && minorOf(v) >= 21 {
		return v + ".0"
	}
	return v
}

func compareGo(a, b string) int {
	return version.Compare("go"+a, "go"+b)
}

// minorOf is 26 for 1.26.8.
func minorOf(v string) int {
	_, minor, _ := strings.Cut(strings.TrimPrefix(version.Lang("go"+v), "go"), ".")
	n, _ := strconv.Atoi(minor)
	return n
}
