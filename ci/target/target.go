// Package target is the vocabulary of what Slipway builds for: an operating
// system, a processor and, where it matters, a variant of that processor.
//
// Users write a target as linux/amd64, linux/arm/v7 or linux/amd64/v3. The
// same value gives the directory under dist/, the name of the binary, the
// environment of the Go compiler and the platform of an image, so that these
// can never disagree. The package uses the standard library only.
package target

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Target is one thing to build for. Make it with Parse: the methods expect a
// combination that the Go toolchain knows.
type Target struct {
	OS   string // GOOS: linux
	Arch string // GOARCH: arm
	// Variant is the value of GOARM, GOAMD64 and friends ("7", "v3"), and ""
	// for the default of the architecture.
	Variant string
}

// Error says why a target cannot be used, and what can.
type Error struct {
	Input   string   // what was asked for
	Reason  string   // unknown operating system "linus"
	Nearest string   // what was probably meant, or ""
	Valid   []string // what can stand in its place
}

// Error gives the whole story on one line: cause, guess, valid values.
func (e *Error) Error() string {
	text := fmt.Sprintf("target %q: %s", e.Input, e.Reason)
	if e.Nearest != "" {
		text += fmt.Sprintf("; did you mean %q?", e.Nearest)
	}
	if len(e.Valid) > 0 {
		text += " (valid: " + strings.Join(e.Valid, ", ") + ")"
	}
	return text
}

// Parse reads os/arch or os/arch/variant. Variants that are the default of
// their architecture (linux/arm64/v8, linux/amd64/v1) give the plain target.
// The error is an *Error and lists what is valid.
func Parse(s string) (Target, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return Target{}, &Error{Input: s, Reason: "must be os/arch or os/arch/variant", Nearest: guess(s), Valid: names(Default())}
	}
	t := Target{OS: parts[0], Arch: parts[1]}
	if !slices.Contains(Known(), t) {
		return Target{}, unknown(s, t)
	}
	if len(parts) == 3 {
		return t.withVariant(s, parts[2])
	}
	return t, nil
}

// String is the form that Parse reads: linux/arm/v7.
func (t Target) String() string {
	return t.join("/")
}

// Dir is the name of the target's directory under dist/: linux_arm_v7.
func (t Target) Dir() string {
	return t.join("_")
}

// Exe is the file name of a program: name, or name.exe on Windows.
func (t Target) Exe(name string) string {
	switch {
	case t.OS == "windows":
		return name + ".exe"
	case t.Arch == "wasm":
		return name + ".wasm"
	}
	return name
}

// Env is what the Go compiler needs to know, sorted. GOARM is always named
// for arm, because its default depends on the machine that compiles.
func (t Target) Env() []string {
	env := []string{"GOARCH=" + t.Arch, "GOOS=" + t.OS}
	switch set := variantsOf(t.Arch); {
	case t.Variant != "":
		env = append(env, set.env+"="+t.value())
	case t.Arch == "arm":
		env = append(env, "GOARM=7")
	}
	slices.Sort(env)
	return env
}

// Archive is the kind of archive that users of the system expect: zip on
// Windows, tar.gz elsewhere.
func (t Target) Archive() string {
	if t.OS == "windows" {
		return "zip"
	}
	return "tar.gz"
}

// Platform is the platform of an OCI image: linux/arm/v7. Variants that OCI
// has no name for, such as those of mips, are left out.
func (t Target) Platform() string {
	switch t.Arch {
	case "amd64", "arm", "arm64":
		return t.String()
	}
	return t.OS + "/" + t.Arch
}

// Compare orders targets by system, architecture, variant.
func Compare(a, b Target) int {
	return cmp.Or(cmp.Compare(a.OS, b.OS), cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.value(), b.value()))
}

// Default lists the targets that are built when none is named.
func Default() []Target {
	return []Target{
		{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"},
		{OS: "darwin", Arch: "amd64"}, {OS: "darwin", Arch: "arm64"},
		{OS: "windows", Arch: "amd64"}, {OS: "windows", Arch: "arm64"},
	}
}

func (t Target) join(separator string) string {
	parts := []string{t.OS, t.Arch}
	if t.Variant != "" {
		parts = append(parts, t.spelling())
	}
	return strings.Join(parts, separator)
}

// spelling is how people write the variant: GOARM=7 is v7.
func (t Target) spelling() string {
	if t.Arch == "arm" {
		return "v" + t.value()
	}
	return t.Variant
}

// value is what the variant's environment variable takes.
func (t Target) value() string {
	if t.Arch == "arm" {
		return strings.TrimPrefix(t.Variant, "v")
	}
	return t.Variant
}

func (t Target) withVariant(input, variant string) (Target, error) {
	set := variantsOf(t.Arch)
	if slices.Contains(set.defaults, variant) {
		return t, nil
	}
	if !slices.Contains(set.names, variant) {
		return Target{}, &Error{
			Input:   input,
			Reason:  fmt.Sprintf("unknown variant %q of %s", variant, t.Arch),
			Nearest: nearestVariant(t, variant, set.names),
			Valid:   set.under(t),
		}
	}
	t.Variant = variant
	t.Variant = t.value()
	return t, nil
}

func nearestVariant(t Target, variant string, known []string) string {
	if near := nearest(strings.TrimPrefix("v"+variant, "vv"), known); near != "" {
		return t.String() + "/" + near
	}
	return ""
}

func names(targets []Target) []string {
	list := make([]string, len(targets))
	for i, t := range targets {
		list[i] = t.String()
	}
	return list
}
