package linuxpkg

import (
	"os/exec"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inOrder are versions from old to new, and what they are for package managers.
func inOrder() []struct{ version, dpkg, apk string } {
	return []struct{ version, dpkg, apk string }{
		{"0.0.0-12-gabc1234", "0.0.0+12.gabc1234", "0.0.0_git12-r0"},
		{"1.2.3-alpha", "1.2.3~alpha", "1.2.3_alpha-r0"},
		{"1.2.3-alpha.2", "1.2.3~alpha.2", "1.2.3_alpha2-r0"},
		{"1.2.3-beta-3", "1.2.3~beta.3", "1.2.3_beta3-r0"},
		{"1.2.3-rc.1", "1.2.3~rc.1", "1.2.3_rc1-r0"},
		{"1.2.3-rc.1-4-gabc1234", "1.2.3~rc.1+4.gabc1234", "1.2.3_rc1_git4-r0"},
		{"1.2.3-rc.1.5", "1.2.3~rc.1.5", "1.2.3_rc1_p5-r0"},
		{"1.2.3-rc.2", "1.2.3~rc.2", "1.2.3_rc2-r0"},
		{"v1.2.3-rc.10", "1.2.3~rc.10", "1.2.3_rc10-r0"},
		{"1.2.3", "1.2.3", "1.2.3-r0"},
		{"1.2.3-4-gabc1234", "1.2.3+4.gabc1234", "1.2.3_git4-r0"},
		{"1.2.3-4-gabc1234-dirty", "1.2.3+4.gabc1234+dirty", "1.2.3_git4_p-r0"},
		{"1.2.3-10-g0123456789abcdef0123456789abcdef01234567", "1.2.3+10.g0123456789abcdef0123456789abcdef01234567", "1.2.3_git10-r0"},
		{"1.2.4+build-7", "1.2.4+build.7", "1.2.4-r0"},
		{"1.2.10", "1.2.10", "1.2.10-r0"},
		{"2.0.0-dirty", "2.0.0+dirty", "2.0.0_p-r0"},
	}
}

func TestVersions(t *testing.T) {
	for _, c := range inOrder() {
		v, err := parseVersion(c.version)
		require.NoError(t, err, c.version)
		assert.Equal(t, c.dpkg, v.dpkg(), c.version)
		assert.Equal(t, c.apk, v.apk(), c.version)
	}
	for _, bad := range []string{"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3 ", "1.2.3\n", "v", "1.2.3-rc_1", "-1-gabc1234", "latest"} {
		_, err := parseVersion(bad)
		assert.ErrorContains(t, err, "none that a package can have", bad)
	}
}

// dpkg itself sorts them as they were made.
func TestDpkgSortsVersions(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs dpkg many times: run without -short")
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not installed")
	}
	versions := inOrder()
	for i := range versions[1:] {
		out, err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", versions[i].dpkg, "lt", versions[i+1].dpkg).CombinedOutput()
		assert.NoError(t, err, "%s < %s %s", versions[i].dpkg, versions[i+1].dpkg, out)
		assert.Empty(t, string(out))
	}
}

// What a package manager is given follows its grammar, or is refused.
func FuzzParseVersion(f *testing.F) {
	for _, c := range inOrder() {
		f.Add(c.version)
	}
	f.Add("1.2.3-~\n")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseVersion(text)
		if err != nil {
			return
		}
		assert.Regexp(t, regexp.MustCompile(`^[0-9][A-Za-z0-9.+~]*$`), v.dpkg())
		assert.Regexp(t, regexp.MustCompile(`^[0-9]+(\.[0-9]+)*(_(alpha|beta|pre|rc|git|p)[0-9]*)*-r0$`), v.apk())
	})
}

func TestArch(t *testing.T) {
	for _, c := range []struct{ arch, variant, deb, rpm, apk string }{
		{"amd64", "", "amd64", "x86_64", "x86_64"}, {"amd64", "v3", "amd64", "x86_64", "x86_64"}, {"arm64", "", "arm64", "aarch64", "aarch64"}, {"386", "", "i386", "i686", "x86"},
		{"arm", "", "armhf", "armv7hl", "armv7"}, {"arm", "7", "armhf", "armv7hl", "armv7"}, {"arm", "6", "armhf", "armv6hl", "armhf"}, {"arm", "5", "armel", "armv5tel", ""},
		{"ppc64le", "", "ppc64el", "ppc64le", "ppc64le"}, {"mips64le", "", "mips64el", "mips64el", ""}, {"sparc64", "", "", "", ""},
	} {
		for format, want := range map[Format]string{Deb: c.deb, RPM: c.rpm, APK: c.apk} {
			name, err := arch(format, linux(c.arch, c.variant))
			assert.Equal(t, want, name)
			_, without := asUnsupported(err)
			assert.Equal(t, want == "", without)
		}
	}
}
