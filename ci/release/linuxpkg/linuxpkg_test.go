package linuxpkg

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/ci/target"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func date() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 789, time.FixedZone("", 3600)) }

func greeter() App {
	return App{
		Name: "greeter", Binary: "greeter", Version: "1.2.3-rc.1", Date: date(), Description: "Greets people\n\nIn several languages.", Homepage: "https://example.org/greeter",
		License: "Apache-2.0", Maintainer: "Ada Lovelace <ada@example.org>",
		Service: &Service{Args: []string{"--log-format=json", "it's"}, Port: 8080, Grace: 9 * time.Second, Environment: []systemd.Variable{{Name: "GREETER_GREETING", Value: "Grüß $dich"}}},
	}
}

// tool is an app that is no service.
func tool() App {
	return App{Name: "tool", Binary: "my_tool", Version: "v1.2.3", Date: date()}
}

// What stands for a binary is small, or has more than one of the blocks that are compressed at once.
const (
	small = 10_000
	large = 400_000
)

func built(t *testing.T, dir string, words int) string {
	t.Helper()
	path := filepath.Join(dir, "the[binary]*") // nothing in a name is a pattern
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("binary ", words)), 0o711))
	return path
}

func linux(arch, variant string) target.Target {
	return target.Target{OS: "linux", Arch: arch, Variant: variant}
}

// makes packages of an app for amd64 and returns the bytes of each.
func makes(t *testing.T, app App, dir string, words int) map[Format][]byte {
	t.Helper()
	packages, err := Write(t.Context(), dir, app, []Binary{{Target: linux("amd64", ""), Path: built(t, t.TempDir(), words)}})
	require.NoError(t, err)
	require.Empty(t, packages.Without)
	made := map[Format][]byte{}
	for _, p := range packages.Made {
		data, err := os.ReadFile(filepath.Join(dir, p.File))
		require.NoError(t, err)
		made[p.Format] = data
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, len(packages.Made), "nothing half-made stays")
	return made
}

func TestDeb(t *testing.T) {
	for name, app := range map[string]App{"greeter": greeter(), "tool": tool()} {
		control, tree := readDeb(t, makes(t, app, t.TempDir(), small)[Deb])
		golden(t, name+".deb", listing(control, tree))
	}
}

func TestAPK(t *testing.T) {
	for name, app := range map[string]App{"greeter": greeter(), "tool": tool()} {
		control, tree := readAPK(t, makes(t, app, t.TempDir(), small)[APK])
		for i := range control { // the digest of what the compression gives
			control[i].content, _, _ = strings.Cut(control[i].content, "datahash = ")
		}
		golden(t, name+".apk", listing(control, tree))
	}
}

func TestRPM(t *testing.T) {
	for name, app := range map[string]App{"greeter": greeter(), "tool": tool()} {
		header, tree := readRPM(t, makes(t, app, t.TempDir(), small)[RPM])
		var b strings.Builder
		for _, tag := range []int{rpmName, rpmVersion, rpmRelease, rpmSummary, rpmBuildTime, rpmBuildHost, rpmLicense, rpmArchitecture, rpmRequires, rpmPreIn, rpmPostIn, rpmPreUn, rpmPostUn} {
			fmt.Fprintf(&b, "%d: %v\n", tag, header[tag])
		}
		golden(t, name+".rpm", b.String()+listing(nil, tree))
	}
}

// listing shows the control files and the tree; of files, what is not the binary.
func listing(control, tree []entry) string {
	var b strings.Builder
	for _, e := range append(control, tree...) {
		fmt.Fprintln(&b, e)
		if !strings.Contains(e.name, "/bin/") && !e.directory {
			b.WriteString("    " + strings.ReplaceAll(strings.TrimSuffix(e.content, "\n"), "\n", "\n    ") + "\n")
		}
	}
	return b.String()
}

// The same app gives the same bytes in another directory, at another time, with other processors and another environment.
func TestDeterministic(t *testing.T) {
	first := makes(t, greeter(), t.TempDir(), large)
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TZ", "Asia/Tokyo")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(built(t, t.TempDir(), large), link))
	require.NoError(t, os.Chmod(link, 0o600))
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // its clock stands in the year 2000
		require.Equal(t, 2000, time.Now().UTC().Year())
		_, err := Write(t.Context(), dir, greeter(), []Binary{{Target: linux("amd64", ""), Path: link}})
		require.NoError(t, err)
	})
	for format, data := range first {
		again, err := os.ReadFile(filepath.Join(dir, "greeter_1.2.3-rc.1_linux_amd64."+string(format)))
		require.NoError(t, err)
		assert.True(t, string(data) == string(again), "%s differs", format)
	}
}

func TestWhatIsNotPackaged(t *testing.T) {
	path := built(t, t.TempDir(), small)
	packages, err := Write(t.Context(), t.TempDir(), tool(), []Binary{
		{Target: target.Target{OS: "darwin", Arch: "arm64"}, Path: path}, {Target: linux("arm", "5"), Path: path}, {Target: linux("amd64", ""), Path: path, Libc: true},
	})
	require.NoError(t, err)
	var made []string
	for _, p := range packages.Made {
		made = append(made, p.File)
	}
	assert.Equal(t, []string{"tool_1.2.3_linux_arm_v5.deb", "tool_1.2.3_linux_arm_v5.rpm", "tool_1.2.3_linux_amd64.deb", "tool_1.2.3_linux_amd64.rpm"}, made)
	assert.Equal(t, []string{
		"no apk for linux/arm/v5: there is no such architecture",
		"no apk for linux/amd64: the binary is linked to glibc, and Alpine has musl: build it without cgo",
	}, packages.Without)
	short := tool()
	short.Name = "x"
	packages, err = Write(t.Context(), t.TempDir(), short, []Binary{{Target: linux("amd64", ""), Path: path}}, Deb)
	require.NoError(t, err)
	assert.Contains(t, packages.Without[0], "two characters or more")
}

func TestWriteRefuses(t *testing.T) {
	path := built(t, t.TempDir(), small)
	for want, change := range map[string]func(*App){
		`name "../x"`:                    func(a *App) { a.Name = "../x" },
		`binary "a b"`:                   func(a *App) { a.Binary = "a b" },
		`version "1.2"`:                  func(a *App) { a.Version = "1.2" },
		`version "1.2.3 "`:               func(a *App) { a.Version = "1.2.3 " },
		"date 0001-01-01":                func(a *App) { a.Date = time.Time{} },
		`homepage "x\nDepends: evil"`:    func(a *App) { a.Homepage = "x\nDepends: evil" },
		`maintainer "a\nb"`:              func(a *App) { a.Maintainer = "a\nb" },
		"control characters":             func(a *App) { a.Description = "a\x1bb" },
		"port 80 is below 1024":          func(a *App) { a.Service.Port = 80 },
		"argument 1 holds a NUL":         func(a *App) { a.Service.Args = []string{"\x00"} },
		"variable A is not UTF-8":        func(a *App) { a.Service.Environment = []systemd.Variable{{Name: "A", Value: "\xff"}} },
		"relaxation \"root\" is unknown": func(a *App) { a.Service.Relax = []systemd.Relaxation{"root"} },
	} {
		app := greeter()
		change(&app)
		for _, format := range Formats() {
			dir := t.TempDir()
			_, err := Write(t.Context(), dir, app, []Binary{{Target: linux("amd64", ""), Path: path}}, format)
			assert.ErrorContains(t, err, want, format)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, entries)
		}
	}
	_, err := Write(t.Context(), t.TempDir(), greeter(), []Binary{{Target: linux("amd64", ""), Path: path}}, "msi")
	require.ErrorContains(t, err, `format "msi" is unknown`)
	_, err = Write(t.Context(), t.TempDir(), greeter(), []Binary{{Target: linux("amd64", ""), Path: "/nowhere"}})
	require.ErrorIs(t, err, os.ErrNotExist)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err = Write(ctx, t.TempDir(), greeter(), []Binary{{Target: linux("amd64", ""), Path: path}})
	require.ErrorContains(t, err, "enough")
}

func TestAccount(t *testing.T) {
	for name, want := range map[string]string{
		"greeter": "greeter", "7zip": "_7zip", strings.Repeat("a", 63): strings.Repeat("a", 31), "1" + strings.Repeat("a", 62): "_1" + strings.Repeat("a", 29),
	} {
		assert.Equal(t, want, App{Name: name}.account())
	}
}

// Every script is one that a shell reads.
func TestScriptsParse(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	for _, format := range Formats() {
		scripts, err := greeter().scripts(format)
		require.NoError(t, err)
		init, err := greeter().initFile(APK)
		require.NoError(t, err)
		scripts["openrc"] = init.text
		for when, text := range scripts {
			cmd := exec.CommandContext(t.Context(), "sh", "-n")
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s %s: %s", format, when, out)
		}
	}
}

// What a service's arguments hold reaches it unchanged from an OpenRC script, which a shell reads and evaluates once more.
func TestOpenRCArguments(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	app := greeter()
	app.Service.Args = []string{"it's", "$HOME", "`x`", "a  b", `\"`, "", ";", "é\nb"}
	init, err := app.initFile(APK)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", init.text+"\neval \"set -- $command_args\"; for a; do printf '%s|' \"$a\"; done")
	got, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, strings.Join(app.Service.Args, "|")+"|", string(got))
}
