package target

import (
	"fmt"
	"slices"
	"strings"
)

// Known lists what the pinned Go can build for: the output of
// "go tool dist list", held to it by a test. Variants are not in the list.
func Known() []Target {
	return []Target{
		{OS: "aix", Arch: "ppc64"},
		{OS: "android", Arch: "386"}, {OS: "android", Arch: "amd64"}, {OS: "android", Arch: "arm"}, {OS: "android", Arch: "arm64"},
		{OS: "darwin", Arch: "amd64"}, {OS: "darwin", Arch: "arm64"},
		{OS: "dragonfly", Arch: "amd64"},
		{OS: "freebsd", Arch: "386"}, {OS: "freebsd", Arch: "amd64"}, {OS: "freebsd", Arch: "arm"}, {OS: "freebsd", Arch: "arm64"},
		{OS: "illumos", Arch: "amd64"},
		{OS: "ios", Arch: "amd64"}, {OS: "ios", Arch: "arm64"},
		{OS: "js", Arch: "wasm"},
		{OS: "linux", Arch: "386"}, {OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm"}, {OS: "linux", Arch: "arm64"},
		{OS: "linux", Arch: "loong64"}, {OS: "linux", Arch: "mips"}, {OS: "linux", Arch: "mips64"}, {OS: "linux", Arch: "mips64le"},
		{OS: "linux", Arch: "mipsle"}, {OS: "linux", Arch: "ppc64"}, {OS: "linux", Arch: "ppc64le"}, {OS: "linux", Arch: "riscv64"},
		{OS: "linux", Arch: "s390x"},
		{OS: "netbsd", Arch: "386"}, {OS: "netbsd", Arch: "amd64"}, {OS: "netbsd", Arch: "arm"}, {OS: "netbsd", Arch: "arm64"},
		{OS: "openbsd", Arch: "386"}, {OS: "openbsd", Arch: "amd64"}, {OS: "openbsd", Arch: "arm"}, {OS: "openbsd", Arch: "arm64"},
		{OS: "openbsd", Arch: "ppc64"}, {OS: "openbsd", Arch: "riscv64"},
		{OS: "plan9", Arch: "386"}, {OS: "plan9", Arch: "amd64"}, {OS: "plan9", Arch: "arm"},
		{OS: "solaris", Arch: "amd64"},
		{OS: "wasip1", Arch: "wasm"},
		{OS: "windows", Arch: "386"}, {OS: "windows", Arch: "amd64"}, {OS: "windows", Arch: "arm64"},
	}
}

// Spellings lists every text that Parse takes: all known targets, plain and
// with each variant, sorted as in Known.
func Spellings() []string {
	var list []string
	for _, t := range Known() {
		set := variantsOf(t.Arch)
		list = append(list, set.under(t)...)
		for _, name := range set.defaults {
			list = append(list, t.String()+"/"+name)
		}
	}
	return list
}

// variantSet is how one architecture is narrowed further.
type variantSet struct {
	env      string   // GOARM
	names    []string // as people write them
	defaults []string // names of what is built anyway
}

func (v variantSet) under(t Target) []string {
	list := []string{t.String()}
	for _, name := range v.names {
		list = append(list, t.String()+"/"+name)
	}
	return list
}

func variantsOf(arch string) variantSet {
	switch arch {
	case "amd64":
		return variantSet{"GOAMD64", []string{"v2", "v3", "v4"}, []string{"v1"}}
	case "arm":
		return variantSet{"GOARM", []string{"v5", "v6", "v7"}, nil}
	case "arm64":
		return variantSet{"GOARM64", armVersions(), []string{"v8", "v8.0"}}
	case "386":
		return variantSet{"GO386", []string{"softfloat"}, []string{"sse2"}}
	case "mips", "mipsle":
		return variantSet{"GOMIPS", []string{"softfloat"}, []string{"hardfloat"}}
	case "mips64", "mips64le":
		return variantSet{"GOMIPS64", []string{"softfloat"}, []string{"hardfloat"}}
	case "ppc64", "ppc64le":
		return variantSet{"GOPPC64", []string{"power9", "power10"}, []string{"power8"}}
	case "riscv64":
		return variantSet{"GORISCV64", []string{"rva22u64", "rva23u64"}, []string{"rva20u64"}}
	}
	return variantSet{}
}

// armVersions are the values of GOARM64 beyond its default.
func armVersions() []string {
	return []string{
		"v8.1", "v8.2", "v8.3", "v8.4", "v8.5", "v8.6", "v8.7", "v8.8", "v8.9",
		"v9.0", "v9.1", "v9.2", "v9.3", "v9.4", "v9.5",
	}
}

// unknown explains which half of the target is wrong: a system that Go does
// not know, or a processor that it does not have on that system.
func unknown(input string, t Target) *Error {
	e := &Error{Input: input}
	for _, known := range Known() {
		if known.OS == t.OS {
			e.Valid = append(e.Valid, known.String())
		}
	}
	if len(e.Valid) == 0 {
		e.Reason = fmt.Sprintf("unknown operating system %q", t.OS)
		e.Valid = names(Known())
		e.Nearest = guess(input)
		return e
	}
	if e.Nearest = guess(input); !strings.HasPrefix(e.Nearest, t.OS+"/") {
		e.Nearest = "" // the system is right, so another one is no help
	}
	e.Reason = fmt.Sprintf("Go does not build %s for %q", t.OS, t.Arch)
	return e
}

// guess is the known target that was probably meant, or "". Names that other
// tools use come first: nobody finds darwin from macos by edit distance.
func guess(input string) string {
	parts := strings.FieldsFunc(strings.ToLower(input), func(r rune) bool { return strings.ContainsRune("/- ", r) })
	for i, part := range parts {
		parts[i] = translated(part)
	}
	meant := strings.Join(parts, "/")
	if _, err := parseKnown(meant); err == nil && meant != input {
		return meant
	}
	return nearest(meant, names(Known()))
}

// parseKnown is Parse without a guess, which would ask for another guess.
func parseKnown(s string) (Target, error) {
	parts := strings.SplitN(s, "/", 3)
	if len(parts) < 2 || !slices.Contains(Known(), Target{OS: parts[0], Arch: parts[1]}) {
		return Target{}, fmt.Errorf("unknown target %q", s)
	}
	t := Target{OS: parts[0], Arch: parts[1]}
	if len(parts) == 3 {
		return t.withVariant(s, parts[2])
	}
	return t, nil
}

func translated(part string) string {
	switch part {
	case "macos", "osx", "mac", "apple":
		return "darwin"
	case "win", "win32", "win64":
		return "windows"
	case "x86", "i386", "i686":
		return "386"
	case "x64", "x86_64":
		return "amd64"
	case "aarch64", "armv8":
		return "arm64"
	case "armv5", "armv6", "armv7":
		return "arm/v" + part[len("armv"):]
	case "armhf", "armv7l":
		return "arm/v7"
	}
	return part
}

// nearest is the candidate with the fewest edits, when these are few enough
// to call it a typing mistake.
func nearest(input string, candidates []string) string {
	best, fewest := "", 3
	for _, candidate := range candidates {
		if edits := distance(input, candidate); edits < fewest {
			best, fewest = candidate, edits
		}
	}
	return best
}

// distance counts the insertions, deletions and replacements from a to b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
