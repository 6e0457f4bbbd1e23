package target

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse_Forms(t *testing.T) {
	for input, want := range map[string]struct {
		target   Target
		text     string
		dir      string
		env      string
		platform string
	}{
		"linux/amd64":          {Target{"linux", "amd64", ""}, "linux/amd64", "linux_amd64", "GOARCH=amd64 GOOS=linux", "linux/amd64"},
		"linux/amd64/v1":       {Target{"linux", "amd64", ""}, "linux/amd64", "linux_amd64", "GOARCH=amd64 GOOS=linux", "linux/amd64"},
		"linux/amd64/v3":       {Target{"linux", "amd64", "v3"}, "linux/amd64/v3", "linux_amd64_v3", "GOAMD64=v3 GOARCH=amd64 GOOS=linux", "linux/amd64/v3"},
		"linux/arm":            {Target{"linux", "arm", ""}, "linux/arm", "linux_arm", "GOARCH=arm GOARM=7 GOOS=linux", "linux/arm"},
		"linux/arm/v6":         {Target{"linux", "arm", "6"}, "linux/arm/v6", "linux_arm_v6", "GOARCH=arm GOARM=6 GOOS=linux", "linux/arm/v6"},
		"linux/arm64/v8":       {Target{"linux", "arm64", ""}, "linux/arm64", "linux_arm64", "GOARCH=arm64 GOOS=linux", "linux/arm64"},
		"linux/arm64/v9.0":     {Target{"linux", "arm64", "v9.0"}, "linux/arm64/v9.0", "linux_arm64_v9.0", "GOARCH=arm64 GOARM64=v9.0 GOOS=linux", "linux/arm64/v9.0"},
		"linux/mips/softfloat": {Target{"linux", "mips", "softfloat"}, "linux/mips/softfloat", "linux_mips_softfloat", "GOARCH=mips GOMIPS=softfloat GOOS=linux", "linux/mips"},
	} {
		t.Run(input, func(t *testing.T) {
			got, err := Parse(input)
			require.NoError(t, err)
			assert.Equal(t, want.target, got)
			assert.Equal(t, want.text, got.String())
			assert.Equal(t, want.dir, got.Dir())
			assert.Equal(t, want.env, strings.Join(got.Env(), " "))
			assert.Equal(t, want.platform, got.Platform())
		})
	}
}

func TestParse_MistakesNameTheWayOut(t *testing.T) {
	for input, want := range map[string]string{
		"linux/m68k":          `Go does not build linux for "m68k"`,
		"js/amd64":            `(valid: js/wasm)`,
		"linux":               "must be os/arch",
		"":                    "must be os/arch",
		"linux/":              "must be os/arch",
		"linux/arm/7":         `did you mean "linux/arm/v7"?`,
		"linux/arm64/v7":      `unknown variant "v7" of arm64`,
		"linux/amd64/v3/x":    "must be os/arch",
		"linus/amd64":         `did you mean "linux/amd64"?`,
		"macos/aarch64":       `did you mean "darwin/arm64"?`,
		"linux/x86_64":        `did you mean "linux/amd64"?`,
		"linux/armv7":         `did you mean "linux/arm/v7"?`,
		"linux-amd64":         `did you mean "linux/amd64"?`,
		"Linux/AMD64":         `did you mean "linux/amd64"?`,
		"linux/amd64\nx/../y": `target "linux/amd64\nx/../y"`,
	} {
		t.Run(input, func(t *testing.T) {
			_, err := Parse(input)
			var parseError *Error
			require.ErrorAs(t, err, &parseError)
			assert.ErrorContains(t, err, want)
			assert.NotEmpty(t, parseError.Valid)
		})
	}
}

func TestKnown_IsWhatThePinnedGoBuilds(t *testing.T) {
	out, err := exec.Command("go", "tool", "dist", "list").Output()
	if err != nil {
		t.Skipf("no go command to compare with: %v", err)
	}
	assert.Equal(t, strings.Fields(string(out)), names(Known()))
}

func TestTarget_FilesUsersExpect(t *testing.T) {
	windows, linux := Target{OS: "windows", Arch: "amd64"}, Target{OS: "linux", Arch: "arm", Variant: "7"}
	assert.Equal(t, "app.exe", windows.Exe("app"))
	assert.Equal(t, "zip", windows.Archive())
	assert.Equal(t, "app", linux.Exe("app"))
	assert.Equal(t, "tar.gz", linux.Archive())
	assert.Equal(t, "app.wasm", Target{OS: "wasip1", Arch: "wasm"}.Exe("app"))
	assert.Negative(t, Compare(linux, windows))
	assert.Zero(t, Compare(linux, Target{OS: "linux", Arch: "arm", Variant: "v7"}))
	for _, d := range Default() {
		assert.Contains(t, Known(), d)
	}
}

func TestSpellings_AreWhatParseTakes(t *testing.T) {
	for _, text := range Spellings() {
		_, err := Parse(text)
		assert.NoError(t, err)
	}
	assert.Subset(t, Spellings(), []string{"linux/amd64", "linux/amd64/v1", "linux/arm/v7", "linux/arm64/v8"})
}

func FuzzTargetParse(f *testing.F) {
	for _, seed := range []string{"linux/amd64", "linux/arm/v7", "windows/arm64", "linux/amd64/v1", "a/b/c", "//", "linux/arm64/v8"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		got, err := Parse(input)
		if err != nil {
			assert.NotEmpty(t, err.Error())
			return
		}
		again, err := Parse(got.String())
		require.NoError(t, err)
		assert.Equal(t, got, again)
		assert.Contains(t, Spellings(), input)
		assert.Contains(t, Known(), Target{OS: got.OS, Arch: got.Arch})
		assert.Contains(t, got.Env(), "GOOS="+got.OS)
		assert.NotContains(t, got.Dir(), "/")
	})
}
