package debian

import (
	"bufio"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestArgs(t *testing.T) {
	spec := Spec{Suite: "bookworm", Arch: "arm64", Packages: []string{"git", "ca-certificates"}}
	got := strings.Join(spec.Args("/build/root.tar", "/build/apt.conf", []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"}), "\n") + "\n"
	path := filepath.Join("testdata", "args.golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
	assert.Equal(t, []string{"git", "ca-certificates"}, spec.Packages, "the caller's list keeps its order")
	for _, arg := range spec.Args("out", "", nil) {
		assert.NotContains(t, arg, "--aptopt")
	}
}

func TestParseRelease(t *testing.T) {
	text := "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n\n# a comment\nVERSION_CODENAME='bookworm'\nHOME_URL=\"https://x/?a=b\"\n"
	assert.Equal(t, map[string]string{
		"PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)", "ID": "debian", "VERSION_CODENAME": "bookworm", "HOME_URL": "https://x/?a=b",
	}, parseRelease(bufio.NewScanner(strings.NewReader(text))))
	assert.Empty(t, parseRelease(bufio.NewScanner(strings.NewReader(""))))
}

func FuzzParseRelease(f *testing.F) {
	for _, seed := range []string{"ID=debian", "A=\"b", "=", "A='\"b\"'", "\x00=\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for key, value := range parseRelease(bufio.NewScanner(strings.NewReader(text))) {
			assert.NotContains(t, key, "=")
			assert.False(t, strings.HasPrefix(value, `"`) || strings.HasSuffix(value, `'`))
		}
	})
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	_, err := Sources(dir)
	require.ErrorIs(t, err, ErrUnavailable)
	assert.ErrorContains(t, err, dir)

	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	empty := write("sources.list", "")
	write("sources.list.d/docker.list", "deb [signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian bookworm stable\n")
	write("sources.list.d/notes.txt", "debian-archive-keyring")
	_, err = Sources(dir)
	require.ErrorIs(t, err, ErrUnavailable, "only somebody else's sources, and an empty list")

	own := write("sources.list.d/debian.sources", "Types: deb\nURIs: http://mirror.example.org/debian\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
	older := write("sources.list.d/base.list", "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example.org/debian bookworm main\n")
	found, err := Sources(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{older, own}, found)

	write("sources.list", "deb http://mirror.example.org/debian bookworm main\n")
	found, err = Sources(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{empty, older, own}, found, "sources.list comes first, as in apt")
}

func TestTransport(t *testing.T) {
	for _, kept := range []string{
		`Acquire::http::Proxy "http://proxy:3128";`, `Acquire::https::CaInfo "/etc/ssl/own.pem";`, `Acquire::Check-Valid-Until "false";`, `Acquire::Retries "3";`,
	} {
		assert.True(t, transport(kept), kept)
	}
	for _, dropped := range []string{"", `Acquire "";`, `Acquire::http "";`, `Acquire::cdrom::mount "/media";`, `Acquire::Languages "en";`, `Acquire::Changelogs::URI "";`} {
		assert.False(t, transport(dropped), dropped)
	}
}

func TestLastLines(t *testing.T) {
	assert.Equal(t, "b\nc", lastLines("a\nb\nc\n", 2))
	assert.Equal(t, "a", lastLines("a", 2))
	assert.Empty(t, lastLines("", 2))
}

// fake puts commands on PATH, and nothing else.
func fake(t *testing.T, commands map[string]string) {
	t.Helper()
	bin := t.TempDir()
	for name, text := range commands {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	t.Setenv("PATH", bin)
}

func TestAvailable(t *testing.T) {
	fake(t, nil)
	require.ErrorIs(t, Available(), ErrUnavailable)
	assert.ErrorContains(t, Available(), "mmdebstrap is not installed")
	out := filepath.Join(t.TempDir(), "root.tar")
	require.ErrorIs(t, Write(t.Context(), Spec{Suite: "bookworm", Arch: "amd64"}, out), ErrUnavailable)
	assert.NoFileExists(t, out)
}

func TestWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("assembling a root needs root")
	}
	if _, err := Sources("/etc/apt"); err != nil {
		t.Skip("this is no Debian: ", err)
	}
	const config = `echo 'Acquire::http::Proxy "http://proxy:3128";'; echo 'Acquire::Languages "en";'`
	out := filepath.Join(t.TempDir(), "root.tar")
	spec := Spec{Suite: "bookworm", Arch: "amd64", Packages: []string{"git"}}

	fake(t, map[string]string{"apt-config": config, "mmdebstrap": `for a in "$@"; do case $a in --aptopt=*) conf=${a#--aptopt=};; */root.tar) out=$a;; esac; done; read -r line <"$conf"; echo "$line" >"$out"`})
	require.NoError(t, Write(t.Context(), spec, out))
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, "Acquire::http::Proxy \"http://proxy:3128\";\n", string(data), "the machine's proxy is passed on")

	fake(t, map[string]string{"apt-config": config, "mmdebstrap": `for a in "$@"; do case $a in */root.tar) echo half >"$a";; esac; done; echo 'E: no mirror' >&2; exit 1`})
	other := filepath.Join(filepath.Dir(out), "other.tar")
	require.ErrorContains(t, Write(t.Context(), spec, other), "E: no mirror")
	entries, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing half-written stays")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrDeadlineExceeded)
	assert.Error(t, Write(ctx, spec, other))
}

func TestHostIsDebianOrSaysWhatItIs(t *testing.T) {
	suite, arch, err := Host(t.Context())
	if err != nil {
		require.ErrorIs(t, err, ErrUnavailable)
		return
	}
	assert.NotEmpty(t, suite)
	assert.NotEmpty(t, arch)
}
